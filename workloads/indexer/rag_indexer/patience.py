"""Trying again what fails for reasons that pass: a server that starts, is busy, or is out of reach."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from .errors import IndexFailure

log = logging.getLogger("rag_indexer")

T = TypeVar("T")


class Passing(Exception):
    """A failure that passes. `after` is how long the server asks to wait, in seconds."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Patience(NamedTuple):
    """How long one server is waited for, in seconds; `server` is for the log. The pause doubles from the first to the longest."""

    server: str
    seconds: float
    first_pause: float
    longest_pause: float

    async def repeat(
        self,
        call: Callable[[], Awaitable[T]],
        given_up: Callable[[str], IndexFailure],
        on_waiting: Callable[[], None] = lambda: None,
    ) -> T:
        """Repeats a call while it raises Passing. Raises what `given_up` makes of the last reason when the time is up."""
        deadline, pause = time.monotonic() + self.seconds, self.first_pause
        while True:
            try:
                return await call()
            except Passing as error:
                reason, pause = error.reason, max(pause, min(error.after, self.longest_pause))
            if time.monotonic() + pause > deadline:
                raise given_up(reason)
            on_waiting()
            log.info(f"waiting for the {self.server}", extra={"reason": reason, "pause_seconds": pause})
            await asyncio.sleep(pause)
            pause = min(pause * 2, self.longest_pause)
