"""The one way to make an HTTP session to the API server: ours and kopf's are two, made alike."""

import aiohttp

from .login import Login

USER_AGENT = "rag-operator"
KEEP_SECONDS = 60.0
"""An idle connection is kept for the next request, for a TLS handshake costs more than most; the API server ends it at 90 s."""


def new_session(login: Login, user_agent: str = USER_AGENT) -> aiohttp.ClientSession:
    """A session on the running event loop whose requests carry the current token. The caller closes it.

    The number of connections has no limit here: watches hold one each, and the transport bounds the other requests.
    """

    async def authorize(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        sent = await login.token.header()
        if sent:
            request.headers["Authorization"] = sent
        response = await handler(request)
        if response.status != 401:
            return response
        login.token.expire()  # it may have been rotated a moment ago: read it anew and try once more
        fresh = await login.token.header()
        if not fresh or fresh == sent:
            return response
        response.release()
        request.headers["Authorization"] = fresh
        return await handler(request)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=login.tls or True, limit=0, keepalive_timeout=KEEP_SECONDS),
        headers={"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "identity"},
        middlewares=(authorize,),
        proxy=login.proxy,
    )
