"""The one way to make an HTTP session to the API server: ours and kopf's are two, made alike."""

import asyncio
import ssl
from weakref import WeakSet

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from .login import Login

USER_AGENT = "rag-operator"
KEEP_SECONDS = 60.0
"""An idle connection is kept for the next request, for a TLS handshake costs more than most; the API server ends it at 90 s."""


class Connector(aiohttp.TCPConnector):
    """Leaves no connection behind when it is closed.

    A stream that is left says goodbye by TLS, for up to 30 s when the server is busy, and is no longer counted among the
    connections that aiohttp closes: the loop would end before it, with a socket that nobody closes.
    """

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        """No limit: watches hold one connection each, and the transport bounds the other requests."""
        super().__init__(ssl=tls or True, limit=0, keepalive_timeout=KEEP_SECONDS)
        self._opened: WeakSet[asyncio.Transport] = WeakSet()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        if connection.transport is not None:
            self._opened.add(connection.transport)
        return connection

    async def close(self, *, abort_ssl: bool = False) -> None:
        await super().close(abort_ssl=abort_ssl)
        for transport in self._opened:
            transport.abort()
        await asyncio.sleep(0)  # the loop closes what was aborted in its next round


def new_session(login: Login, user_agent: str = USER_AGENT) -> aiohttp.ClientSession:
    """A session on the running event loop whose requests carry the current token. The caller closes it."""

    async def authorize(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        sent = await login.token.header()
        if sent:
            request.headers["Authorization"] = sent
        response = await handler(request)
        if response.status != 401:
            return response
        login.token.expire(sent)  # it may have been rotated a moment ago: read it anew and try once more
        fresh = await login.token.header()
        if not fresh or fresh == sent:
            return response
        response.release()
        request.headers["Authorization"] = fresh
        return await handler(request)

    return aiohttp.ClientSession(
        connector=Connector(login.tls),
        headers={"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "identity"},
        middlewares=(authorize,),
        proxy=login.proxy,
    )
