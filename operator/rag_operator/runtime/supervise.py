"""Tasks that must live as long as the process: when one ends, for whatever reason, so does everything."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Supervisor:
    """Start tasks, then `wait` until one of them ends or `stop` is called; then `cancel` some or all."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._ended = asyncio.Event()
        self.fault: str | None = None
        """Why the process has to end, None after an orderly `stop`."""

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        """Run `work` until the end."""
        task = asyncio.create_task(work, name=name)
        self._tasks[name] = task
        task.add_done_callback(self._watch)

    def stop(self, fault: str | None = None) -> None:
        """End everything. The first fault is kept."""
        if not self._ended.is_set():
            self.fault = fault
            self._ended.set()

    async def wait(self) -> None:
        """Until the end is wanted."""
        await self._ended.wait()

    @property
    def dead(self) -> list[str]:
        """Names of tasks that have ended."""
        return [name for name, task in self._tasks.items() if task.done()]

    async def cancel(self, *names: str, seconds: float = 2.0) -> None:
        """Cancel these tasks, or all, and wait for them for a while."""
        chosen = [task for name, task in self._tasks.items() if not names or name in names]
        for task in chosen:
            task.cancel()
        if chosen:
            await asyncio.wait(chosen, timeout=seconds)

    def _watch(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.critical("%s died", task.get_name(), exc_info=error)
        self.stop(f"{task.get_name()} ended")


class RestartBudget:
    """At most `count` restarts in `seconds`: what fails more often is not healed by starting it again."""

    def __init__(self, count: int, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._count = count
        self._failures: deque[float] = deque()

    def spend(self) -> bool:
        """One more failure. False when the budget is used up."""
        now = self._clock()
        self._failures.append(now)
        while self._failures and now - self._failures[0] > self._seconds:
            self._failures.popleft()
        return len(self._failures) < self._count
