"""Stopping without cutting anybody off.

SIGTERM -> /ready is 503, answers say `connection: close`, requests are still served
        -> nobody at work and a moment of quiet, or the drain time is over
        -> what is still at work ends with DRAINING (retryable), as a status or as the stream's last event -> exit
"""

import asyncio
from collections.abc import Callable

from .context import RequestContext

QUIET_SECONDS = 1.0
LAST_WORDS_SECONDS = 3.0
_TICK = 0.05


class Drain:
    """Knows every request at work, and whether the process is on its way out."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last_seen = clock()
        self.draining = False
        self.closed = False
        self.active: set[RequestContext] = set()

    def enter(self, context: RequestContext) -> None:
        """A request begins its work."""
        self.active.add(context)
        self._last_seen = self._clock()

    def leave(self, context: RequestContext) -> None:
        """It has ended."""
        self.active.discard(context)
        self._last_seen = self._clock()

    def begin(self) -> None:
        """Say on /ready that this process is going."""
        if not self.draining:
            self.draining = True
            self._last_seen = self._clock()

    async def finish(self, seconds: float) -> None:
        """Wait until the work is done, at most `seconds`; then end what is left, and wait for its last words."""
        self.begin()
        await self._while(lambda: bool(self.active) or self._clock() - self._last_seen < QUIET_SECONDS, seconds)
        self.closed = True
        for context in list(self.active):
            context.abort("draining")
        await self._while(lambda: bool(self.active), LAST_WORDS_SECONDS)

    async def _while(self, busy: Callable[[], bool], seconds: float) -> None:
        deadline = self._clock() + seconds
        while busy() and self._clock() < deadline:  # noqa: ASYNC110 - quiet is a span of time, not an event
            await asyncio.sleep(_TICK)
