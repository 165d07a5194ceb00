"""The control loop, wired: informers -> queue -> workers -> `reconcile`.

    what somebody wants or did (urgent), what follows from it, each resync (idle) --> queue --> reconcile(namespace, name)

The caches are filled before the Lease is held, so that taking over costs no LIST. Only workers write, and they start with
the lead.
"""

import asyncio
import logging
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from prometheus_client.core import Metric

from .cluster import GpuMeter, KubernetesCluster, NodeWatch, owner_key, to_wake, watched
from .observed import condition_of
from .reconcile import reconcile, report_bug
from .runtime import kinds
from .runtime import metrics as meters
from .runtime.client import Client
from .runtime.informer import Informer
from .runtime.logs import about
from .runtime.metrics import Metrics
from .runtime.workers import Outcome, Workers
from .runtime.workqueue import Level, WorkQueue
from .settings import Settings

log = logging.getLogger(__name__)

Json = dict[str, Any]
Key = tuple[str, str]
STUCK_SECONDS = 150.0
LONGEST_PASS_SECONDS = 300.0
WITNESS_SECONDS = 2.0
FOLLOW_SECONDS = 0.1
"""The answers of controllers and pods to a write of ours come in bursts: one pass for what comes within this time."""


class Controller:
    """Everything between the API server and `reconcile`. Made on the running event loop."""

    def __init__(self, client: Client, settings: Settings, metrics: Metrics, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._metrics = metrics
        self._now = now
        self._loop = asyncio.get_running_loop()
        self.queue: WorkQueue[Key] = WorkQueue()
        self.informers = {
            part.name: Informer(
                client,
                part.kind,
                namespace=settings.namespace,
                label_selector=part.label_selector,
                field_selector=part.field_selector,
                metadata_only=part.metadata_only,
                trim=part.trim,
                index=owner_key,
                on_change=self._changed,
            )
            for part in watched()
        }
        self.services = self.informers[kinds.RAG_SERVICE.kind]
        self.nodes = NodeWatch(client, self._gpus_changed, retry_seconds=settings.resync_seconds)
        """Not one of the informers: it runs only where somebody runs a model server and the right is there."""
        self.cluster = KubernetesCluster(client, self.informers, settings, self.nodes, metrics.moved)
        self.gpus = GpuMeter(self._loop.time)
        self.working = False
        metrics.observe(self._measure)

    async def synced(self) -> None:
        """Wait until every cache has been filled once."""
        await asyncio.gather(*(informer.synced.wait() for informer in self.informers.values()))

    async def work(self) -> None:
        """Reconcile until cancelled."""
        await self.synced()
        self.working = True
        self.gpus.begin()
        workers = Workers(self.queue, self._handle, on_outcome=self._count, on_bug=self._tell, around=_one_pass)
        await workers.run(self._settings.workers)

    async def resync(self) -> None:
        """Compare all caches with the server now and then, one after the other, and look at every service once."""
        await self.synced()
        while True:
            pause = self._settings.resync_seconds * random.uniform(0.9, 1.1)  # noqa: S311 (spread, not secrecy)
            caches = self._caches()
            for informer in caches.values():
                await asyncio.sleep(pause / len(caches))
                informer.resync()
            for service in self.services.items():
                key = (service["metadata"]["namespace"], service["metadata"]["name"])
                self.queue.add(key, level=Level.IDLE)

    def witness(self, key: Key, version: int) -> None:
        """Somebody else's watch saw this version of a RagService. When our own cache stays behind it, mistrust the cache."""
        if not self.services.has_seen(version):
            self._loop.call_later(WITNESS_SECONDS, self._compare, key, version)

    def faults(self) -> list[str]:
        """What is stuck."""
        now = self._loop.time()
        found = [
            f"the cache of {name} does nothing"
            for name, informer in self._caches().items()
            if now - informer.last_activity > STUCK_SECONDS
        ]
        if self.queue.longest_active() > LONGEST_PASS_SECONDS:
            found.append("a pass does not end")
        return found

    def state(self) -> Json:
        """Queue and caches, for people; names and versions only."""
        caches = {
            name: {
                "objects": len(informer),
                "version": informer.version,
                "lists": informer.lists,
                "versions": dict(sorted(_versions(informer.items()))),
            }
            for name, informer in self._caches().items()
        }
        queue = {where: ["/".join(key) for key in keys] for where, keys in self.queue.state().items()}
        return {"working": self.working, "queue": queue, "caches": caches}

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _handle(self, key: Key) -> float | None:
        return await reconcile(key, self.cluster, self._settings, self._now)

    async def _tell(self, key: Key, error: BaseException) -> None:
        await report_bug(key, self.cluster, error, self._now)

    def _changed(self, old: Json | None, new: Json | None) -> None:
        self.gpus.changed(old, new)
        for key, urgent in self.cluster.concerns.of(old, new).items():
            if urgent:
                self.queue.add(key)
            else:
                self.queue.add(key, FOLLOW_SECONDS, level=Level.FOLLOW)

    def _gpus_changed(self, everyone: bool) -> None:
        for key in to_wake(self.services.items(), everyone=everyone):
            self.queue.add(key, level=Level.FOLLOW)

    def _caches(self) -> dict[str, Informer]:
        return {**self.informers, **self.nodes.watching()}

    def _compare(self, key: Key, version: int) -> None:
        if not self.services.has_seen(version):
            log.warning("the cache is behind; comparing it with the server", extra={"object": "/".join(key)})
            self._metrics.lost.inc()
            self.services.resync()
            self.queue.add(key)

    def _count(self, key: Key, outcome: Outcome) -> None:
        self._metrics.reconciles.labels(outcome.result).inc()
        self._metrics.seconds.labels(outcome.result).observe(outcome.seconds)
        self._metrics.waited.observe(outcome.waited)
        log.debug("pass", extra={"object": "/".join(key), "result": outcome.result, "seconds": outcome.seconds})

    def _measure(self) -> Iterator[Metric]:
        yield from meters.of_caches(dict(self._caches()), self._loop.time())
        yield from meters.of_values(
            {
                "queue_depth": ("Keys whose turn it is.", self.queue.depth),
                "queue_waiting": ("Keys that wait for their time.", self.queue.waiting),
            }
        )
        counts = Counter(_ready(service) for service in self.services.items())
        yield from meters.of_conditions("ragservices", "RagServices by their Ready condition.", dict(counts))
        yield from self.gpus.collect()


def _one_pass(key: Key) -> AbstractContextManager[None]:
    """Every log line of a pass names its object and itself."""
    return about(object="/".join(key), reconcile=secrets.token_hex(4))


def _versions(objects: Iterable[Json]) -> Iterator[tuple[str, str]]:
    """Namespace/name (of a node, its name) and version of cached objects."""
    for metadata in (obj["metadata"] for obj in objects):
        place = (metadata.get("namespace"), metadata["name"])
        yield "/".join(filter(None, place)), metadata["resourceVersion"]


def _ready(service: Json) -> str:
    condition = condition_of(service.get("status") or {}, "Ready")
    return str(condition["status"]) if condition is not None else "Unknown"
