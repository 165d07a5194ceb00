"""Who writes: the holder of a Lease (coordination.k8s.io/v1), as client-go does it, on the monotonic clock.

    candidate --(Lease free, or unchanged for its whole duration)--> leader --renew every 2 s--> leader
    leader --(not renewed for 10 s, or somebody else holds it)--> `lost` is called, `held` is false for good: the process must end

Clocks of different machines are never compared: a candidate measures with its own clock how long the Lease has not
changed. The holder stops itself (10 s) before others may take over (15 s). `held` looks at the clock, so that a process
that was frozen and wakes up late does not write on. A renewal that is answered after that does not bring the lead back,
because what could not be written meanwhile waits in no queue.
"""

import asyncio
import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .client import Client
from .errors import ApiError, RuntimeFault
from .kinds import LEASE
from .shapes import an_object

log = logging.getLogger(__name__)
Json = dict[str, Any]


@dataclass(frozen=True)
class LeaseTimes:
    """Seconds. `renew` < `duration`; a call may take at most half of `retry` more than `retry`."""

    duration: float = 15.0
    renew: float = 10.0
    retry: float = 2.0
    call: float = 3.0


@dataclass
class _Seen:
    """The Lease as last read, and when it was first seen so."""

    body: Json | None = None
    at: float = 0.0


@dataclass
class LeaderElection:
    """Run `run` as a task; `leading` is set once, for good; `lost` is called at most once.

    `identity` must be unique per process. `now` gives the wall-clock time that is written for people to read.
    """

    client: Client
    namespace: str
    name: str
    identity: str
    now: Callable[[], datetime]
    lost: Callable[[], None]
    times: LeaseTimes = field(default_factory=LeaseTimes)
    rng: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self.leading = asyncio.Event()
        self._seen = _Seen()
        self._renewed_at: float | None = None
        self._released = False

    @property
    def held(self) -> bool:
        """We lead, and have renewed lately enough that nobody else can."""
        return self._renewed_at is not None and self._clock() < self._ends_at

    @property
    def _ends_at(self) -> float:
        """When the lead ends if it is not renewed; a candidate has none to end."""
        return math.inf if self._renewed_at is None else self._renewed_at + self.times.renew

    async def run(self) -> None:
        """Become leader, then stay it; returns when the lead is lost."""
        while True:
            if await self._attempt():
                break
            await asyncio.sleep(self.times.retry * self.rng.uniform(1.0, 1.2))
        log.info("leading", extra={"lease": f"{self.namespace}/{self.name}", "identity": self.identity})
        self.leading.set()
        while self.held:
            await asyncio.sleep(min(self.times.retry, self._ends_at - self._clock()))
            if self.held and not await self._attempt() and self._held_by_other():
                break
        if not self._released:
            self._renewed_at = None
            log.error("the Lease is lost", extra={"lease": f"{self.namespace}/{self.name}"})
            self.lost()

    async def release(self) -> None:
        """Give the Lease back, so that the next one need not wait. Call it after `run` was cancelled."""
        self._released = True
        if not self.held or self._seen.body is None:
            return
        self._renewed_at = None
        try:
            async with asyncio.timeout(self.times.call):
                await self._give_back(self._seen.body)
        except (RuntimeFault, TimeoutError) as error:
            log.warning("the Lease could not be given back: %s", error or type(error).__name__)

    async def _give_back(self, body: Json) -> None:
        free = {"holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            await self._store(body, self._spec(body) | free)
        except ApiError as error:
            if not error.is_conflict:
                raise
            await self._read()  # a renewal that was cancelled half-way may have been stored all the same
            if self._seen.body is not None and not self._held_by_other():
                await self._store(self._seen.body, self._spec(self._seen.body) | free)

    async def _attempt(self) -> bool:
        """Take or renew. True when the Lease is ours from the moment on at which the call began."""
        began = self._clock()
        try:
            async with asyncio.timeout_at(min(began + self.times.call, self._ends_at)):
                mine = await self._take()
        except (RuntimeFault, TimeoutError) as error:
            log.warning("the Lease could not be taken or renewed: %s", error or type(error).__name__)
            return False
        if not mine or self._clock() >= self._ends_at:  # frozen since the answer came: what has lapsed stays so
            return False
        self._renewed_at = began
        return True

    async def _take(self) -> bool:
        if self._renewed_at is None or self._seen.body is None:
            await self._read()
        body = self._seen.body
        if body is None:
            return await self._create()
        if not self._may_take(body):
            return False
        try:
            await self._store(body, self._spec(body))
        except ApiError as error:
            if not (error.is_conflict or error.is_not_found):
                raise
            await self._read()  # somebody was faster, or took it from us
            return False
        return True

    def _may_take(self, body: Json) -> bool:
        spec = body.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder in ("", self.identity):
            return True
        duration = float(spec.get("leaseDurationSeconds") or self.times.duration)
        return self._clock() - self._seen.at >= duration

    def _held_by_other(self) -> bool:
        """As last read. A Lease that somebody deleted is nobody's: it will be made anew."""
        body = self._seen.body
        return body is not None and (body.get("spec") or {}).get("holderIdentity") != self.identity

    async def _read(self) -> None:
        try:
            body = await self.client.get(LEASE.path(self.namespace, self.name), kind=LEASE.kind, urgent=True)
        except ApiError as error:
            if not error.is_not_found:
                raise
            self._seen = _Seen(None, self._clock())
            return
        old, body = self._seen.body, an_object(body)
        if old is None or old["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            self._seen = _Seen(body, self._clock())

    async def _create(self) -> bool:
        metadata = {"name": self.name, "namespace": self.namespace}
        body = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": self._spec({})}
        try:
            self._seen = _Seen(await self.client.create(body, urgent=True), self._clock())
        except ApiError as error:
            if error.is_already_exists:
                return False
            raise
        return True

    async def _store(self, body: Json, spec: Json) -> None:
        """Replace exactly the version that was read: of two that try, one fails."""
        stored = await self.client.replace({**body, "spec": spec}, urgent=True)
        self._seen = _Seen(stored, self._clock())

    def _spec(self, body: Json) -> Json:
        old = body.get("spec") or {}
        stamp = self.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        same = old.get("holderIdentity") == self.identity
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self.times.duration)),
            "renewTime": stamp,
            "acquireTime": old.get("acquireTime") if same else stamp,
            "leaseTransitions": (old.get("leaseTransitions") or 0) + (0 if same or not old else 1),
        }

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()
