"""The gateway by itself, told what a server tells it."""

import asyncio
from typing import Any

from rag_api.admission import Admission
from rag_api.auth import Open
from rag_api.context import RequestContext
from rag_api.drain import Drain
from rag_api.limits import RateLimit, Slots
from rag_api.middleware import Gateway, respond
from rag_api.telemetry import Metrics
from starlette.types import Message, Receive, Scope, Send

SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "POST",
    "path": "/query",
    "headers": [(b"content-type", b"application/json")],
}


class Server:
    """A double of the server's side: one body, then a disconnect, either at once or when the response is complete."""

    def __init__(self, *, gone: bool) -> None:
        self.sent: list[Message] = []
        self._body_read = False
        self._over = asyncio.Event()
        if gone:
            self._over.set()

    async def receive(self) -> Message:
        if not self._body_read:
            self._body_read = True
            return {"type": "http.request", "body": b"{}", "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._over.set()


async def _unused(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError


class Slow(Server):
    """A double of the server's side: the body arrives when the drain is over."""

    def __init__(self, drain: Drain) -> None:
        super().__init__(gone=False)
        self._drain = drain

    async def receive(self) -> Message:
        self._drain.closed = True
        return await super().receive()


async def _run(server: Server) -> list[str]:
    """A handler that answers and then has a little more to do; what became of it."""
    seen: list[str] = []

    async def handler(_context: RequestContext, _body: bytes, send: Send) -> None:
        try:
            await asyncio.sleep(0)
            await respond(send, 200, b"{}")
            await asyncio.sleep(0.05)
            seen.append("finished")
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    metrics = Metrics()
    admission = Admission(Open(), RateLimit(0, lambda: 0.0), Slots(1, 1.0), metrics)
    gateway = Gateway(_unused, {"/query": handler}, admission, Drain(lambda: 0.0), metrics)
    await gateway(dict(SCOPE), server.receive, server.send)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    return seen


async def test_the_end_of_the_response_is_no_client_that_left() -> None:
    server = Server(gone=False)
    assert await _run(server) == ["finished"]
    assert [200] == [message["status"] for message in server.sent if message["type"] == "http.response.start"]


async def test_a_body_that_comes_after_the_drain_starts_no_work() -> None:
    async def handler(_context: RequestContext, _body: bytes, _send: Send) -> None:
        raise AssertionError

    metrics, drain = Metrics(), Drain(lambda: 0.0)
    admission = Admission(Open(), RateLimit(0, lambda: 0.0), Slots(1, 1.0), metrics)
    server = Slow(drain)
    await Gateway(_unused, {"/query": handler}, admission, drain, metrics)(dict(SCOPE), server.receive, server.send)
    assert [503] == [message["status"] for message in server.sent if message["type"] == "http.response.start"]
    assert b"DRAINING" in server.sent[-1]["body"]


async def test_a_client_that_has_left_stops_the_work() -> None:
    server = Server(gone=True)
    assert await _run(server) == ["cancelled"]
    assert server.sent == []
