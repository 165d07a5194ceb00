"""Observed: everything one pass knows about one RagService, gathered before anything is decided.

    informer caches, referenced ConfigMaps, answers of the API pods --> Observed --> plan, checks, build, status

Nothing here does I/O. An absent child is absent from the mapping (`child` gives None); facts are never guessed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from rag_contract.reports import ModelsCurrent, ReadyCheck

from . import names
from .api import RagService
from .scheduling import ClusterNodes

Json = dict[str, Any]


class ChildKey(NamedTuple):
    """A child inside the namespace of its RagService."""

    kind: str
    name: str


def key_of(obj: Mapping[str, Any]) -> ChildKey:
    """The key of a child's body."""
    return ChildKey(obj["kind"], obj["metadata"]["name"])


def component_of(obj: Mapping[str, Any]) -> str:
    """The component that a child or pod belongs to, by its label; empty when it has none."""
    labels = obj["metadata"].get("labels") or {}
    return str(labels.get(names.LABEL_COMPONENT, ""))


def variables(job: Mapping[str, Any]) -> dict[str, str]:
    """Environment of a Job's only container; what comes from Secrets is empty."""
    (container, *_) = job["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one.get("value") or "" for one in container.get("env") or ()}


@dataclass(frozen=True, slots=True)
class Reference:
    """A ConfigMap that the user names. Only what is used is kept: a hash of the whole, and the texts asked for.

    `size` is the number of keys; `content_hash` covers data and binaryData.
    """

    name: str
    found: bool
    content_hash: str = ""
    size: int = 0
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pod:
    """What matters of one pod. `raw` is the trimmed body, for the functions that explain why a pod does not run."""

    name: str
    uid: str
    component: str
    raw: Json = field(repr=False)
    ip: str = ""
    ready: bool = False
    running: bool = False
    deleting: bool = False
    incarnation: str = ""
    """Changes when the container is started anew."""
    message: str = ""
    """Termination message of the container that ended last, empty when none ended."""
    succeeded: bool = False
    ended: bool = False
    """It will never run again: done, failed, or evicted."""

    @property
    def labels(self) -> Mapping[str, str]:
        return self.raw["metadata"].get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.raw["metadata"].get("annotations") or {}


@dataclass(frozen=True, slots=True)
class PodAnswer:
    """What an API pod said. `models` is None when it could not be asked, with the `error`; `checks` are the failing ones, and
    of a pod that is asked closely those that hold with a word."""

    models: ModelsCurrent | None = None
    checks: tuple[ReadyCheck, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A write that the API server refused in this pass. `status` is the HTTP code, `reason` Kubernetes' word for it."""

    child: ChildKey
    component: str
    status: int
    reason: str
    message: str


class Notice(NamedTuple):
    """A warning that Kubernetes wrote about a pod, claim or child of ours: facts that stand in no object's status."""

    uid: str
    """Of the object that it is about."""
    reason: str
    note: str

    def about(self, uid: str) -> bool:
        """It concerns this very object, not an earlier one of the same name."""
        return self.uid == uid


Notices = Sequence[Notice]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stored RagService that today's rules refuse: it was written before them, or with validation off."""

    body: Json
    message: str


@dataclass(frozen=True, slots=True)
class Observed:
    """The world of one RagService at one moment. Children are those whose controller owner is this very object (by uid)."""

    service: RagService
    body: Json
    """The RagService as stored; `status` is its status as stored."""
    children: Mapping[ChildKey, Json] = field(default_factory=dict)
    pods: tuple[Pod, ...] = ()
    claims: Mapping[str, Json] = field(default_factory=dict)
    references: Mapping[str, Reference] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
    """Kubernetes' warnings about pods, claims and children, the oldest first."""
    new_key: str = ""
    """Names the loss of the vector store key while it is about to be made anew: pods may hold the one that is gone."""

    nodes: ClusterNodes | None = None
    """All nodes and who takes what of them; None when nobody needs them, or the operator may not look."""

    @property
    def status(self) -> Json:
        return self.body.get("status") or {}

    def child(self, kind: str, name: str) -> Json | None:
        """Body of a child, or None."""
        return self.children.get(ChildKey(kind, name))

    def of_kind(self, kind: str) -> list[Json]:
        """Children of a kind, by name."""
        return [obj for key, obj in sorted(self.children.items()) if key.kind == kind]

    def pods_of(self, component: str) -> tuple[Pod, ...]:
        """Pods of a component that are not on their way out, by name."""
        return tuple(pod for pod in self.pods if pod.component == component and not pod.deleting)

    def with_children(self, written: Iterable[Json]) -> "Observed":
        """The same world with what the API server answered to our writes: newer than the caches can be."""
        changed = {key_of(obj): obj for obj in written}
        return replace(self, children={**self.children, **changed}) if changed else self


def pod_of(raw: Json) -> Pod:
    """Read a pod's body. Our pods have one container, so `ready` and `running` are the container's."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    containers = status.get("containerStatuses") or []
    first = containers[0] if containers else {}
    state, last = first.get("state") or {}, first.get("lastState") or {}
    ended = state.get("terminated") or last.get("terminated") or {}
    conditions = {c["type"]: c["status"] for c in status.get("conditions") or ()}
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        component=component_of(raw),
        raw=raw,
        ip=status.get("podIP") or "",
        ready=conditions.get("Ready") == "True",
        running="running" in state,
        deleting="deletionTimestamp" in metadata,
        incarnation=f"{first.get('containerID', '')}/{first.get('restartCount', 0)}",
        message=ended.get("message") or "",
        succeeded=status.get("phase") == "Succeeded",
        ended=status.get("phase") in {"Succeeded", "Failed"},
    )


def condition_of(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """The condition of that type in a status, or None."""
    return next((c for c in status.get("conditions") or () if c["type"] == kind), None)


def controller_uid(obj: Mapping[str, Any]) -> str | None:
    """Uid of the controlling owner, or None."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner["uid"])
    return None


def finished(job: Json) -> tuple[str, datetime] | None:
    """How a Job ended ("Complete" or "Failed") and when; None while it runs."""
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition["type"] in {"Complete", "Failed"} and condition["status"] == "True":
            return condition["type"], datetime.fromisoformat(condition["lastTransitionTime"])
    return None
