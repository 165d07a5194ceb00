"""Which requests are sent now, when there are more than the server takes at a time: those of the pass that began first.

Sixteen at a time keep two cores of an API server busy; more of them only wait there, each on a connection of its own, whose
TLS handshake costs both sides more than most requests. And who came first is done first, instead of all at the end.
"""

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import AsyncIterator
from contextvars import ContextVar

rank: ContextVar[int] = ContextVar("rank", default=0)
"""Of the pass on whose behalf something is sent: lower ones first. What belongs to no pass is 0."""


class Slots:
    """At most `count` are inside at the same time; who waits longest of the lowest rank is next."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Inside."""
        if self._free > 0:
            self._free -= 1
        else:
            await self._wait()
        try:
            yield
        finally:
            self._leave()

    async def _wait(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank.get(), next(self._order), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()  # it was given to us and we do not want it any more
            raise

    def _leave(self) -> None:
        """The slot goes to the next who waits; nobody can come between."""
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
