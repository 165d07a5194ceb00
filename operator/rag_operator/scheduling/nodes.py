"""Facts of nodes and of the pods on them: what placing a pod depends on, and nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from sys import intern
from typing import Any, NamedTuple

from .amounts import PODS, amounts, is_extended, pod_requests, sum_of

Json = Mapping[str, Any]
Part = tuple[tuple[str, int], ...]


class Taint(NamedTuple):
    """A node refuses pods that do not tolerate it, when the effect is NoSchedule or NoExecute."""

    key: str
    value: str
    effect: str

    @property
    def repels(self) -> bool:
        """Whether the scheduler must mind it."""
        return self.effect in {"NoSchedule", "NoExecute"}

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node. `allocatable` in thousandths of a CPU and whole units of the rest, `pods` among them. Whether it is ready, its
    taints say."""

    name: str
    labels: Mapping[str, str] = field(repr=False)
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    allocatable: Mapping[str, int] = field(default_factory=dict)

    @property
    def devices(self) -> frozenset[str]:
        """Extended resources of which it has any."""
        return frozenset(name for name, value in self.allocatable.items() if value and is_extended(name))


class PodUse(NamedTuple):
    """What a pod takes from its node. Terminating ones take it until they are gone."""

    node: str
    namespace: str
    taken: Part
    terminating: bool

    @property
    def holds_device(self) -> bool:
        """Whether it has extended resources."""
        return any(is_extended(name) for name, _ in self.taken)


@dataclass(frozen=True, slots=True)
class NodeUse:
    """What the pods of one node take together."""

    taken: Mapping[str, int] = field(default_factory=dict)
    leaving: Mapping[str, int] = field(default_factory=dict)
    """The share of terminating pods, of extended resources only."""
    holders: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Extended resource -> namespace -> number of pods that have some of it."""


NO_USE = NodeUse()


def node_facts(body: Json) -> NodeFacts:
    """Read a Node."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    return NodeFacts(
        name=body["metadata"]["name"],
        labels={intern(k): intern(v) for k, v in (body["metadata"].get("labels") or {}).items()},
        taints=tuple(Taint(t["key"], t.get("value") or "", t["effect"]) for t in spec.get("taints") or ()),
        unschedulable=bool(spec.get("unschedulable")),
        allocatable=amounts(status.get("allocatable")),
    )


def pod_use(body: Json) -> PodUse:
    """Read a Pod that is on a node."""
    metadata, spec = body["metadata"], body["spec"]
    taken = _shared(tuple(sorted((intern(name), value) for name, value in pod_requests(spec).items())))
    return PodUse(
        intern(spec.get("nodeName") or ""), intern(metadata["namespace"]), taken, "deletionTimestamp" in metadata
    )


@lru_cache(maxsize=4096)
def _shared(part: Part) -> Part:
    """One tuple for the many pods that ask for the same."""
    return part


def node_use(pods: Iterable[PodUse]) -> NodeUse:
    """Sum up the pods of one node."""
    found = list(pods)
    if not found:
        return NO_USE
    holders: dict[str, dict[str, int]] = {}
    for pod in found:
        for name, _ in pod.taken:
            if is_extended(name):
                spaces = holders.setdefault(name, {})
                spaces[pod.namespace] = spaces.get(pod.namespace, 0) + 1
    taken = sum_of(pod.taken for pod in found)
    taken[PODS] = len(found)
    leaving = sum_of(_devices(pod) for pod in found if pod.terminating)
    return NodeUse(taken, leaving, holders)


def less(use: NodeUse, pods: Iterable[PodUse]) -> NodeUse:
    """What is taken when these pods of the node have gone. Who holds the rest is not told apart."""
    gone = node_use(pods)
    return NodeUse({name: value - gone.taken.get(name, 0) for name, value in use.taken.items()}, {}, use.holders)


def _devices(pod: PodUse) -> Sequence[tuple[str, int]]:
    return [(name, value) for name, value in pod.taken if is_extended(name)]
