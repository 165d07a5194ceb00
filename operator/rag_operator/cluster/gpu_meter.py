"""GPU-seconds of model servers, for Prometheus: what each RagService has had of which GPU.

    Deployments of model servers: ready pods x GPUs of the template, from one change to the next --> counters

Only ready pods count, so the figure is what served; a pod that loads or waits holds its GPU unseen. Devices by dynamic resource
allocation have no number in the template and are left out. Counters begin anew with the process, as Prometheus expects.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from .. import names
from ..observed import component_of
from ..runtime.metrics import PREFIX
from ..scheduling import need_of

Json = dict[str, Any]
LABELS = ["namespace", "name", "resource"]


class Owner(NamedTuple):
    """Whose GPUs: a RagService, and the resource by which they are asked for."""

    namespace: str
    service: str
    resource: str


class Held(NamedTuple):
    """GPUs of one Deployment: of its ready pods, and of all that it wants."""

    owner: Owner
    ready: int
    wanted: int


class GpuMeter:
    """`changed` is told every change of an object; nothing is counted before `begin`. Times: seconds of a monotonic clock."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._held: dict[tuple[str, str], tuple[Held, ...]] = {}
        self._seconds: dict[Owner, float] = {}
        self._gone: set[tuple[str, str]] = set()
        """Services that were deleted; their model servers may go on for a while."""
        self._since: float | None = None

    def begin(self) -> None:
        """Count from now on: one process of several does."""
        self._since = self._monotonic()

    def changed(self, old: Json | None, new: Json | None) -> None:
        """An object came, changed or went."""
        body = new or old
        if body is None:
            return
        place = body["metadata"]["namespace"], body["metadata"]["name"]
        if body["kind"] == "RagService":
            (self._gone.discard if new is not None else self._gone.add)(place)
            self._forget_the_gone()
        elif body["kind"] == "Deployment" and component_of(body) == names.COMPONENT_MODEL:
            self._count()
            self._held.pop(place, None)
            if new is not None and (held := tuple(_held(new))):
                self._held[place] = held
            self._forget_the_gone()

    def collect(self) -> Iterator[Metric]:
        """The counters now, and how many GPUs there are beside how many are wanted."""
        self._count()
        if self._since is None:
            return
        seconds = CounterMetricFamily(f"{PREFIX}_gpu_seconds", "GPU time of ready model pods.", labels=LABELS)
        for owner, value in sorted(self._seconds.items()):
            seconds.add_metric(list(owner), value)
        gpus = GaugeMetricFamily(f"{PREFIX}_gpus", "GPUs of model pods.", labels=[*LABELS, "state"])
        for owner in sorted({held.owner for many in self._held.values() for held in many}):
            mine = [held for many in self._held.values() for held in many if held.owner == owner]
            gpus.add_metric([*owner, "ready"], sum(held.ready for held in mine))
            gpus.add_metric([*owner, "wanted"], sum(held.wanted for held in mine))
        yield from (seconds, gpus)

    def _count(self) -> None:
        if self._since is None:
            return
        now = self._monotonic()
        passed, self._since = now - self._since, now
        for many in self._held.values():
            for held in many:
                self._seconds[held.owner] = self._seconds.get(held.owner, 0.0) + passed * held.ready

    def _forget_the_gone(self) -> None:
        """The series of a service that is gone would stay for ever, but its last model server still counts."""
        holding = {held.owner[:2] for many in self._held.values() for held in many}
        ended = self._gone - holding
        if ended:
            self._seconds = {owner: value for owner, value in self._seconds.items() if owner[:2] not in ended}
            self._gone -= ended


def _held(body: Json) -> Iterator[Held]:
    metadata, spec = body["metadata"], body["spec"]
    ready = (body.get("status") or {}).get("readyReplicas", 0)
    for resource, each in need_of(spec["template"]).devices:
        owner = Owner(metadata["namespace"], metadata["labels"].get(names.LABEL_SERVICE, ""), resource)
        yield Held(owner, ready * each, spec.get("replicas", 1) * each)
