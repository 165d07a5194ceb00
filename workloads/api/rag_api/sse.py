"""Server-Sent Events, encoded by hand, and the one place that may end a stream.

open -> (token | citation | heartbeat)* -> done | error       exactly one terminal event on every path
"""

import asyncio
from collections.abc import Callable, Iterable

import msgspec
from starlette.types import Send

from .errors import ApiError

_ENCODE = msgspec.json.Encoder().encode
_LAST_WORDS_SECONDS = 2.0

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)
HEARTBEAT = b": keep-alive\n\n"


def event(name: bytes, data: object) -> bytes:
    """One event. JSON escapes line breaks, so the data is always one line."""
    return b"event: %b\ndata: %b\n\n" % (name, _ENCODE(data))


class EventStream:
    """Writes the events of one answer. After a terminal event nothing more is written."""

    def __init__(self, send: Send, clock: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self._lock = asyncio.Lock()
        self.opened = False
        self.closed = False
        self.last_write = 0.0

    async def open(self, meta: object) -> None:
        """Start the response; from here on an error is an event, no longer a status."""
        self.opened = True
        await self._send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
        await self.write((event(b"meta", meta),))

    async def write(self, events: Iterable[bytes]) -> None:
        """Write the events in one piece."""
        await self._body(b"".join(events), more=True)

    async def done(self, events: Iterable[bytes], data: object) -> None:
        """The last events and the terminal `done`, in one piece."""
        await self._close(b"".join(events) + event(b"done", data))

    async def fail(self, error: ApiError, trace_id: str) -> None:
        """The terminal `error`; nothing when the stream has ended. A client that reads nothing is given up on."""
        try:
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._close(event(b"error", error.fields(trace_id)))
        except TimeoutError:
            self.closed = True

    async def heartbeat(self) -> None:
        """A comment that keeps proxies from closing a quiet connection. Never waits behind a write that is blocked."""
        if self.opened and not self.closed and not self._lock.locked():
            await self._body(HEARTBEAT, more=True)

    async def _close(self, body: bytes) -> None:
        await self._body(body, more=False)

    async def _body(self, body: bytes, *, more: bool) -> None:
        async with self._lock:
            if self.closed:
                return
            self.closed = not more
            self.last_write = self._clock()
            await self._send({"type": "http.response.body", "body": body, "more_body": more})
