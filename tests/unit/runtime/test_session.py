"""How a session ends: whatever its connections are at, none is left when it is closed. And what it does not send any more."""

import asyncio
import gc
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from aiohttp import web
from rag_operator.runtime.errors import NotLeading
from rag_operator.runtime.login import Login, Token
from rag_operator.runtime.session import new_session
from rag_operator.runtime.transport import Request, Transport

from tests.cluster.pki import Authority

ENDLESS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"


class Deaf:
    """A double of an API server under load: it begins an endless answer, then neither reads nor ends anything, so that TLS's
    goodbye stays without an answer."""

    def __init__(self, authority: Authority) -> None:
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(*authority.issue("server", "/CN=server", ("IP:127.0.0.1",)))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._held: list[socket.socket] = []
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                connection = self.context.wrap_socket(plain, server_side=True)
                self._held.append(connection)
                connection.recv(65536)
                connection.sendall(ENDLESS)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        for connection in self._held:
            connection.close()


@pytest.fixture
def login(tmp_path: Path) -> Iterator[Login]:
    authority = Authority(tmp_path / "pki")
    with closing(Deaf(authority)) as server:
        tls = ssl.create_default_context(cafile=str(authority.certificate))
        yield Login(server=server.url, tls=tls, token=Token(lambda: None))


async def watch_and_leave(login: Login) -> None:
    """A stream that is cancelled, as the informers' are when the process ends, and the end of the session."""
    session, begun = new_session(login), asyncio.Event()

    async def watch() -> None:
        async with session.get(f"{login.server}/watch") as response:
            await response.content.readany()
            begun.set()
            await response.content.readany()

    task = asyncio.create_task(watch())
    await asyncio.wait_for(begun.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await session.close()


def test_a_stream_that_was_left_is_cut_when_the_session_is_closed(login: Login) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        asyncio.run(watch_and_leave(login))
        gc.collect()
    assert [] == [str(warning.message) for warning in said]


async def test_a_write_whose_connection_came_after_the_lease_was_lost_is_not_sent(tmp_path: Path) -> None:
    """The handshake is answered only when the Lease is gone, as by a process that was frozen in it."""
    authority, asked = Authority(tmp_path / "pki"), list[str]()

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.method)
        return web.json_response({})

    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(*authority.issue("server", "/CN=server", ("IP:127.0.0.1",)))
    listener = socket.create_server(("127.0.0.1", 0))
    tls = ssl.create_default_context(cafile=str(authority.certificate))
    login = Login(server=f"https://127.0.0.1:{listener.getsockname()[1]}", tls=tls, token=Token(lambda: None))
    runner = web.ServerRunner(web.Server(answer))  # type: ignore[arg-type]
    await runner.setup()
    told: list[str] = []
    transport = Transport(login, request_seconds=10, silence_seconds=10, on_request=lambda verb, *_: told.append(verb))
    held = True
    transport.fence = lambda: held
    try:
        write = asyncio.create_task(transport.call(Request(verb="apply", method="PATCH", path="/a", data=b"{}")))
        lease = asyncio.create_task(transport.call(Request(verb="update", method="PUT", path="/l", urgent=True)))
        await asyncio.sleep(0.2)  # both are connected, and wait for the handshake
        held = False
        await web.SockSite(runner, listener, ssl_context=serving).start()
        with pytest.raises(NotLeading):
            await write
        assert await lease == b"{}"
        assert asked == ["PUT"]
        assert told == ["update"], "what was not sent is no request"
    finally:
        await transport.close()
        await runner.cleanup()
