"""Workers between the queue and the reconcile function: what its outcome means for the key."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from typing import Generic, NamedTuple, TypeVar

from .errors import NotLeading, RuntimeFault, fault_id
from .slots import rank
from .workqueue import Level, WorkQueue

log = logging.getLogger(__name__)
K = TypeVar("K", bound=Hashable)


class Outcome(NamedTuple):
    """How one pass ended: `result` is done, again, retry or error."""

    result: str
    seconds: float
    waited: float


class Workers(Generic[K]):
    """Run `handle(key)` for every turn. One key is never with two workers.

    `handle` returns None (settled: wait for a change) or seconds until the next look. A RuntimeFault (network, conflict) backs the key off quietly; any other exception is a bug: it is logged whole
    under its `fault_id`, told to `on_bug`, and backs the key off too. Neither stops the others.
    """

    def __init__(
        self,
        queue: WorkQueue[K],
        handle: Callable[[K], Awaitable[float | None]],
        *,
        on_outcome: Callable[[K, Outcome], None] = lambda key, outcome: None,
        on_bug: Callable[[K, BaseException], Awaitable[None]] | None = None,
        around: Callable[[K], AbstractContextManager[None]] = lambda key: nullcontext(),
    ) -> None:
        """`around(key)` encloses each pass with all that it logs."""
        self._queue = queue
        self._handle = handle
        self._on_outcome = on_outcome
        self._on_bug = on_bug
        self._around = around
        self._turns = itertools.count(1)

    async def run(self, count: int) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(self._work(), name=f"worker {number}")

    async def _work(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            turn = await self._queue.take()
            started = clock()
            rank.set(next(self._turns))
            try:
                with self._around(turn.key):
                    result = await self._pass(turn.key)
            finally:
                self._queue.done(turn.key)
            self._on_outcome(turn.key, Outcome(result, clock() - started, turn.waited))

    async def _pass(self, key: K) -> str:
        try:
            again = await self._handle(key)
        except NotLeading:
            return "retry"  # the process is on its way out
        except RuntimeFault as error:
            pause = self._queue.retry(key, at_least=error.retry_after or 0.0)
            log.info("reconcile will be repeated: %s", error, extra={"pause": round(pause, 1)})
            return "retry"
        except Exception as error:
            pause = self._queue.retry(key)
            log.exception("reconcile failed; this is a bug", extra={"fault": fault_id(error), "pause": round(pause, 1)})
            await self._tell(key, error)
            return "error"
        self._queue.forget(key)
        if again is None:
            return "done"
        self._queue.add(key, again, level=Level.FOLLOW)
        return "again"

    async def _tell(self, key: K, error: Exception) -> None:
        if self._on_bug is None:
            return
        try:
            await self._on_bug(key, error)
        except RuntimeFault as fault:
            log.info("the failure could not be reported: %s", fault)
        except Exception:
            log.exception("the failure could not be reported")
