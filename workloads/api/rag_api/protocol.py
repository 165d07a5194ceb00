"""uvicorn's HTTP protocol with bounds on what a client may send before it has asked for anything, and on how long it may
leave an answer lying.

httptools collects a request's head without a bound of its own, in size or time.
"""

import asyncio
import re
import socket
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 32 * 1024
HEAD_SECONDS = 10.0
UNTAKEN_SECONDS = 30.0

_UPGRADE = re.compile(rb"(?<=\r\n)upgrade(?=[ \t]*:)", re.IGNORECASE)
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request head is too large, or does not arrive in time. One object per connection."""

    head_seconds = HEAD_SECONDS
    untaken_seconds = UNTAKEN_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """A connection counts as a head that has begun."""
        super().connection_made(transport)
        self._start_timer()
        self._bound_what_is_not_taken(transport.get_extra_info("socket"))

    def on_message_begin(self) -> None:
        """Called by the parser."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, then look whether it still waits for the rest of a head.

        Whatever arrives when no request is at work counts as one, an empty line or the rest of a body that nobody
        wanted: uvicorn has just stopped its own clock for it.
        """
        at_rest = self.cycle is None or self.cycle.response_complete
        super().data_received(_without_upgrade(data) if self._in_head or at_rest else data)
        at_rest = self.cycle is not None and self.cycle.response_complete
        if not (self._in_head or at_rest) or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        elif self._head_timer is None:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """The timer must not outlive the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def _bound_what_is_not_taken(self, connection: socket.socket | None) -> None:
        """Closing waits until the client has taken what was written. The kernel ends the wait for one that never does."""
        if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self.untaken_seconds * 1000))

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _without_upgrade(data: bytes) -> bytes:
    """The head with its wish for another protocol renamed; a server may ignore it, and this one speaks no other.

    httptools would drop the body of such a request. Java's client sends the wish with each first one.
    """
    end = data.find(b"\r\n\r\n")
    head = data if end < 0 else data[:end]
    return _UPGRADE.sub(b"x-asked", head) + data[len(head) :]
