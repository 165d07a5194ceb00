"""Load is shed before work is done for it: a token bucket per key, then a slot with a bounded wait.

Both live in this process: with several pods the rate is per pod.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from .errors import ConcurrencyLimit, RateLimited

_MAX_BUCKETS = 10_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    updated: float


class RateLimit:
    """`per_minute` requests per key, refilled evenly; a full bucket allows a burst of as many. 0 means no limit."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._capacity = per_minute
        self._per_second = per_minute / 60
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, key: str) -> tuple[tuple[bytes, bytes], ...]:
        """Take one token; the RateLimit headers of the answer. Raises RateLimited with the seconds to wait."""
        if not self._capacity:
            return ()
        now = self._clock()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(float(self._capacity), now)
            if len(self._buckets) > _MAX_BUCKETS:
                self._buckets.popitem(last=False)
        bucket.tokens = min(self._capacity, bucket.tokens + (now - bucket.updated) * self._per_second)
        bucket.updated = now
        if bucket.tokens < 1:
            wait = int((1 - bucket.tokens) / self._per_second) + 1
            raise RateLimited(
                f"This key may send {self._capacity} requests a minute. Try again in {wait} s.",
                retry_after=wait,
                headers=self._headers(0, wait),
            )
        bucket.tokens -= 1
        return self._headers(int(bucket.tokens), int((self._capacity - bucket.tokens) / self._per_second))

    def _headers(self, remaining: int, reset: int) -> tuple[tuple[bytes, bytes], ...]:
        return (
            (b"ratelimit-policy", b'"key";q=%d;w=60' % self._capacity),
            (b"ratelimit", b'"key";r=%d;t=%d' % (remaining, reset)),
        )


class Slots:
    """At most `size` requests at work; others wait in order, for at most `timeout` seconds, at most 4 x `size` of them."""

    def __init__(self, size: int, timeout: float) -> None:
        self._size = size
        self._timeout = timeout
        self._used = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def used(self) -> int:
        """Slots taken now."""
        return self._used

    @property
    def waiting(self) -> int:
        """Requests waiting for a slot now."""
        return len(self._waiting)

    @property
    def free(self) -> bool:
        """Whether the next request gets a slot without waiting."""
        return self._used < self._size and not self._waiting

    async def acquire(self) -> None:
        """Take a slot. Raises ConcurrencyLimit after the queue timeout. Cancelled while waiting, it takes none."""
        if self.free:
            self._used += 1
            return
        if self._timeout <= 0 or len(self._waiting) >= 4 * self._size:
            raise self._full()
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._timeout):
                await turn
        except TimeoutError:
            self._leave(turn)
            raise self._full() from None
        except asyncio.CancelledError:
            self._leave(turn)
            raise

    def release(self) -> None:
        """Give the slot to the next in the queue, or back."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._used -= 1

    def _leave(self, turn: asyncio.Future[None]) -> None:
        """Out of the queue; a slot that was handed over in the same moment goes on to the next."""
        if turn.done() and not turn.cancelled():
            self.release()
        elif turn in self._waiting:
            self._waiting.remove(turn)

    def _full(self) -> ConcurrencyLimit:
        return ConcurrencyLimit(f"All {self._size} slots of this pod are taken. Try again shortly.", retry_after=1)
