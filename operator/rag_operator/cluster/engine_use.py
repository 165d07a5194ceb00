"""How busy engines were, from their own figures: for a hint that fewer GPUs would do.

    ready model pods --GET /metrics, at most every minute--> time that requests spent in the engine --> share of the last hour

The share is an upper bound: requests that run beside each other are added up, as if they had run one after the other. An engine
that works at the moment of the look counts as busy, for what it works on is counted only when it is done.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import aiohttp

from ..observed import Pod
from ..runtime.bounded import Bounded
from ..runtime.errors import RuntimeFault
from .pods import Fetch

WINDOW_SECONDS: Final = 3600.0
PAUSE_SECONDS: Final = 60.0
MAX_PODS: Final = 4096
SPENT: Final = "vllm:request_inference_time_seconds_sum"
RUNNING: Final = "vllm:num_requests_running"

_SAMPLE = re.compile(rf"^({SPENT}|{RUNNING})(?:\{{[^}}]*\}})? (\S+)", re.MULTILINE)


class Look(NamedTuple):
    """What an engine said at one time: seconds that requests have spent in it, and how many are in it."""

    at: float
    spent: float
    running: float


class EngineUse:
    """Remembers the looks of an hour, by the container's incarnation. `fetch` as in `PodDoor`."""

    def __init__(self, fetch: Fetch, monotonic: Callable[[], float]) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._looks: Bounded[tuple[str, str], deque[Look]] = Bounded(MAX_PODS)

    async def of(self, pods: Sequence[Pod]) -> Mapping[str, float]:
        """Share of the last hour, at most, by name, of the ready pods that have been seen for so long."""
        ready = [pod for pod in pods if pod.ready and pod.ip]
        shares = await asyncio.gather(*map(self._share, ready))
        return {pod.name: share for pod, share in zip(ready, shares, strict=True) if share is not None}

    async def _share(self, pod: Pod) -> float | None:
        now, key = self._monotonic(), (pod.uid, pod.incarnation)
        looks = self._looks.get(key) or deque()
        if not looks or now - looks[-1].at >= PAUSE_SECONDS:
            look = await self._look(pod, now)
            if look is None:
                return None
            looks.append(look)
            self._looks.set(key, looks)
        while len(looks) > 1 and now - looks[1].at >= WINDOW_SECONDS:
            looks.popleft()
        return share(looks[0], looks[-1])

    async def _look(self, pod: Pod, now: float) -> Look | None:
        try:
            text = (await self._fetch(pod, "/metrics")).decode(errors="replace")
        except (OSError, TimeoutError, aiohttp.ClientError, RuntimeFault):
            return None
        return read(text, now)


def read(text: str, now: float) -> Look | None:
    """From an engine's /metrics; None when it does not tell."""
    sums: dict[str, float] = {}
    for name, value in _SAMPLE.findall(text):
        sums[name] = sums.get(name, 0.0) + float(value)
    return Look(now, sums[SPENT], sums[RUNNING]) if {SPENT, RUNNING} == sums.keys() else None


def share(first: Look, last: Look) -> float | None:
    """Share of the time between two looks that requests spent in the engine; None when that is not yet an hour."""
    passed = last.at - first.at
    if passed < WINDOW_SECONDS:
        return None
    return 1.0 if last.running else (last.spent - first.spent) / passed
