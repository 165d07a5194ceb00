"""Which keys have to be looked at, and when. Level-triggered: a key is only a name, the world is read when its turn comes.

    add(key) -> [later, by time] -> [ready, by level] -> worker -> done(key)
A key is there once, however often it is added; it is never with two workers; when it is added while a worker has it, it comes
again right after.
"""

import asyncio
import heapq
import itertools
import math
import random
from collections import OrderedDict
from collections.abc import Callable, Hashable
from enum import IntEnum
from typing import Generic, NamedTuple, TypeVar

from .backoff import pause_after

K = TypeVar("K", bound=Hashable)
FIRST_SECONDS = 0.2
CAP_SECONDS = 300.0
PASSED_OVER = 8
OVERTAKEN = 64
"""Entries of the heap that may be stale, beside as many as there are keys."""


class Level(IntEnum):
    """Which of the keys whose turn it is come first. Within a level it is first come, first served."""

    URGENT = 0
    """Somebody wants something."""
    FOLLOW = 1
    """Something that was begun goes on."""
    IDLE = 2
    """Nobody waits for it."""


class Turn(NamedTuple, Generic[K]):
    """A key whose turn it is, and for how many seconds it had been ready."""

    key: K
    waited: float


class _Plan(NamedTuple):
    when: float
    level: Level


class WorkQueue(Generic[K]):
    """Give it keys with `add`, take them with `take`, and say `done` for each key taken. Lives on one event loop."""

    def __init__(
        self,
        *,
        first: float = FIRST_SECONDS,
        cap: float = CAP_SECONDS,
        rng: random.Random | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Back-off of a failing key: `first` seconds, doubled up to `cap`, less up to a half at random."""
        self._first = first
        self._cap = cap
        self._rng = rng or random.Random()  # noqa: S311 (spread, not secrecy)
        self._clock = clock or asyncio.get_running_loop().time
        self._later: dict[K, _Plan] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._ready: dict[Level, OrderedDict[K, float]] = {level: OrderedDict() for level in Level}
        self._passed_over = dict.fromkeys(Level, 0)
        self._active: dict[K, float] = {}
        self._again: dict[K, _Plan] = {}
        self._failures: dict[K, int] = {}
        self._wake = asyncio.Event()
        self._began = math.inf
        """When the first worker came: nothing has waited for one before."""

    # -- in ------------------------------------------------------------------------------------------------------------

    def add(self, key: K, after: float = 0.0, *, level: Level = Level.URGENT) -> None:
        """The key wants a look in `after` seconds. The earliest wish wins, and the more urgent level."""
        plan = _Plan(self._clock() + max(after, 0.0), level)
        if key in self._active:
            self._again[key] = _merge(self._again.get(key), plan)
            return
        there = next((ready for ready in Level if key in self._ready[ready]), None)
        if there is None:
            self._schedule(key, _merge(self._later.get(key), plan))
        elif level < there and after <= 0:
            self._ready[level][key] = self._ready[there].pop(key)
        self._wake.set()

    def retry(self, key: K, *, at_least: float = 0.0) -> float:
        """The key failed: it comes again after its back-off, or `at_least` seconds (up to the cap), as somebody asks. Returns
        the seconds.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        pause = pause_after(failures, self._first, self._cap) * self._rng.uniform(0.5, 1.0)
        pause = max(pause, min(at_least, self._cap) * self._rng.uniform(1.0, 1.1))
        self.add(key, pause)
        return pause

    def forget(self, key: K) -> None:
        """The key did well: its next failure starts the back-off anew."""
        self._failures.pop(key, None)

    # -- out -----------------------------------------------------------------------------------------------------------

    async def take(self) -> Turn[K]:
        """Wait for the next key. Lower levels yield to higher ones, yet get a turn when they were passed over eight times."""
        self._began = min(self._began, self._clock())
        while True:
            self._ripen()
            turn = self._pop()
            if turn is not None:
                return turn
            self._wake.clear()
            pause = self._heap[0][0] - self._clock() if self._heap else None
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def done(self, key: K) -> None:
        """The worker has finished with the key, however it ended."""
        self._active.pop(key, None)
        again = self._again.pop(key, None)
        if again is not None:
            self._schedule(key, _merge(self._later.get(key), again))
            self._wake.set()

    # -- facts for metrics and health ----------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """Keys whose turn it is and that no worker has yet."""
        self._ripen()
        return sum(map(len, self._ready.values()))

    @property
    def waiting(self) -> int:
        """Keys that wait for their time."""
        return len(self._later)

    def failures(self, key: K) -> int:
        """Failures in a row."""
        return self._failures.get(key, 0)

    def longest_active(self) -> float:
        """Seconds for which the slowest worker has had its key; 0 when all are idle."""
        return self._clock() - min(self._active.values()) if self._active else 0.0

    def state(self) -> dict[str, list[K]]:
        """All keys by where they are, for people."""
        return {
            "active": list(self._active),
            "ready": [key for level in Level for key in self._ready[level]],
            "later": list(self._later),
            "failing": list(self._failures),
        }

    # -- inside --------------------------------------------------------------------------------------------------------

    def _schedule(self, key: K, plan: _Plan) -> None:
        if plan.when <= self._clock():
            self._later.pop(key, None)
            self._ready[plan.level][key] = self._clock()
        elif self._later.get(key) != plan:
            self._later[key] = plan
            heapq.heappush(self._heap, (plan.when, next(self._order), key))
            if len(self._heap) > 2 * len(self._later) + OVERTAKEN:
                self._heap = [(plan.when, next(self._order), key) for key, plan in self._later.items()]
                heapq.heapify(self._heap)

    def _ripen(self) -> None:
        """Move what is due from later to ready. Heap entries that were overtaken by an earlier wish are dropped here, or
        all at once when they are many: what was planned for next month would stay until then.
        """
        now = self._clock()
        while self._heap and (self._heap[0][0] <= now or self._stale(self._heap[0])):
            entry = heapq.heappop(self._heap)
            if not self._stale(entry):
                plan = self._later.pop(entry[2])
                self._ready[plan.level][entry[2]] = now

    def _stale(self, entry: tuple[float, int, K]) -> bool:
        plan = self._later.get(entry[2])
        return plan is None or plan.when != entry[0]

    def _pop(self) -> Turn[K] | None:
        waiting = [level for level in Level if self._ready[level]]
        if not waiting:
            return None
        chosen = next((level for level in waiting if self._passed_over[level] >= PASSED_OVER), waiting[0])
        for level in waiting:
            self._passed_over[level] += level > chosen
        self._passed_over[chosen] = 0
        ready = self._ready[chosen]
        key, since = ready.popitem(last=False)
        now = self._clock()
        self._active[key] = now
        return Turn(key, now - max(since, self._began))


def _merge(one: _Plan | None, other: _Plan) -> _Plan:
    if one is None:
        return other
    return _Plan(min(one.when, other.when), min(one.level, other.level))
