"""How the pods of a model are exchanged now, and how they would be at the next change. Pure.

    template or wish changed --> choose by what is free now, and remember it on the Deployment
    roll-out under way       --> what was chosen stays: its own new pod may have taken the last free GPU
    its new pod fits nowhere --> choose again: nothing is free
    at rest                  --> nothing is written; the status tells what a change would cost now

What was chosen stands in an annotation of the Deployment, beside a hash of what it was chosen for. Another model has another
Deployment: the same choice then says what the former one keeps meanwhile.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from .. import names
from ..api import Vllm
from ..api.model_source import CacheAccess, CacheType
from ..api.reasons import Reason
from ..faults import short
from ..observed import Json, Observed, Pod
from ..scheduling import COSTS, Need, RollOut, Strategy, Wish, choose, need_of
from .identity import digest

UNDER_WAY = "Its new pods are being started this way."


class Pods(NamedTuple):
    """Pods of model servers of one RagService: of the Deployment in question, and of models that it takes over from."""

    own: tuple[Pod, ...]
    others: tuple[Pod, ...] = ()

    @property
    def all(self) -> tuple[Pod, ...]:
        return self.own + self.others


def pods_of(observed: Observed, model_hash: str) -> Pods:
    """All of them that run or will."""
    found = [pod for pod in observed.pods_of(names.COMPONENT_MODEL) if not pod.ended]
    label = model_hash[:8]
    return Pods(
        tuple(pod for pod in found if pod.labels.get(names.LABEL_MODEL) == label),
        tuple(pod for pod in found if pod.labels.get(names.LABEL_MODEL) != label),
    )


def roll_out(observed: Observed, spec: Vllm, template: Json, live: Json | None, pods: Pods) -> Strategy:
    """How to exchange pods for those of this template. `live` is the Deployment, None before it is made."""
    need = need_of(template)
    if live is None and not pods.others:
        return _choose(spec, room=True)  # nothing is exchanged
    if live is None or _mark(live)[1] != _subject(spec, template):
        return _chosen(observed, spec, need, pods)
    return _going_on(observed, spec, need, live, pods)


def announced(observed: Observed, spec: Vllm, live: Json, pods: Pods) -> Strategy:
    """What the status tells: what is under way, or else how a change would be rolled out now."""
    need = need_of(live["spec"]["template"])
    if _mark(live)[0] is None or is_settled(live):
        return _chosen(observed, spec, need, pods)
    return _going_on(observed, spec, need, live, pods)


def left_to(former: int, strategy: Strategy, spec: Vllm, live: Json | None) -> int:
    """Replicas that a former model keeps of its `former` ones while the new one's Deployment (`live`) takes over."""
    if strategy.kind is RollOut.RECREATE:
        return 0
    if strategy.kind is RollOut.ONE_BY_ONE:
        ready: int = ((live or {}).get("status") or {}).get("readyReplicas", 0)
        return max(0, min(former, spec.replicas - 1 - ready))
    return former


def marked(deployment: Json, spec: Vllm, strategy: Strategy) -> Json:
    """The rendered Deployment with this strategy, and a note of what it was chosen for."""
    mark = f"{strategy.kind}/{_subject(spec, deployment['spec']['template'])}"
    metadata = deployment["metadata"]
    annotations = {**metadata.get("annotations", {}), names.ANNOTATION_ROLL_OUT: mark}
    return {
        **deployment,
        "metadata": {**metadata, "annotations": annotations},
        "spec": {**deployment["spec"], "strategy": strategy.deployment()},
    }


def is_settled(body: Json) -> bool:
    """Its controller has seen our generation, and all pods, and only those, are of the declared template and ready."""
    status, replicas = body.get("status") or {}, body["spec"].get("replicas", 1)
    counts = (status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"))
    seen: bool = status.get("observedGeneration", 0) >= body["metadata"].get("generation", 0)
    return seen and all(count == replicas for count in counts)


def exclusive_cache(spec: Vllm) -> bool:
    """Whether the cache's volume can be mounted on one node alone."""
    return spec.cache.type is CacheType.VOLUME and spec.cache.access_mode is CacheAccess.READ_WRITE_ONCE


def waiting(pods: tuple[Pod, ...]) -> tuple[Pod, ...]:
    """Those that have no node yet."""
    return tuple(pod for pod in pods if not (pod.running or pod.ended or _scheduled(pod)[0] == "True"))


def refused(pods: tuple[Pod, ...]) -> bool:
    """The scheduler has found no node for one of them."""
    return any(_scheduled(pod)[0] == "False" for pod in waiting(pods))


def room(observed: Observed, need: Need) -> bool | None:
    """Whether one more pod finds a place now, or as soon as a pod that is ending has left its GPU: who goes back at once meets the
    former server's pod. None when nobody may look, or when devices by claims are asked for."""
    if observed.nodes is None or need.claims:
        return None
    said = observed.nodes.explain(need)
    return said.fits or said.reason is Reason.GpuFreedSoon


def _going_on(observed: Observed, spec: Vllm, need: Need, live: Json, pods: Pods) -> Strategy:
    kind = _mark(live)[0] or RollOut.SURGE
    if kind in {RollOut.ONE_BY_ONE, RollOut.RECREATE}:
        return _kept(kind)
    unplaced = waiting(pods.own) or not _has_begun(live)
    still_blocked = kind is RollOut.BLOCKED and unplaced and not room(observed, need)
    if still_blocked or _is_stuck(observed, need, live, pods):
        return _choose(spec, room=False, obstacle=_obstacle(observed, need, pods))
    return _kept(RollOut.SURGE)


def _is_stuck(observed: Observed, need: Need, live: Json, pods: Pods) -> bool:
    """A surge that nobody has room for, beside pods that still serve. A GPU that is about to be freed is worth waiting for."""
    status = live.get("status") or {}
    beside = status.get("replicas", 0) > status.get("updatedReplicas", 0) or len(waiting(pods.others)) < len(
        pods.others
    )
    if not beside or not refused(pods.own):
        return False
    if observed.nodes is None or need.claims:
        return True
    return observed.nodes.explain(need).reason not in {None, Reason.GpuFreedSoon}


def _obstacle(observed: Observed, need: Need, pods: Pods) -> str:
    """Why no pod would find a place although one of the old ones had left; empty when it would."""
    if observed.nodes is None or need.claims:
        words = [words for pod in waiting(pods.own) if (words := _scheduled(pod)[1])]
        return "" if any("Insufficient" in text for text in words) else short(words[0]) if words else ""
    said = observed.nodes.after(need, [pod.name for pod in pods.all])
    return "" if said.fits else said.message


def _has_begun(live: Json) -> bool:
    status = live.get("status") or {}
    seen = status.get("observedGeneration", 0) >= live["metadata"].get("generation", 0)
    return bool(seen and status.get("updatedReplicas", 0))


def _chosen(observed: Observed, spec: Vllm, need: Need, pods: Pods) -> Strategy:
    free = room(observed, need)
    return _choose(spec, room=free, obstacle=_obstacle(observed, need, pods) if free is False else "")


def _choose(spec: Vllm, *, room: bool | None, obstacle: str = "") -> Strategy:
    wish = Wish(spec.strategy.value)
    return choose(wish, spec.replicas, exclusive_cache=exclusive_cache(spec), room=room, obstacle=obstacle)


def _kept(kind: RollOut) -> Strategy:
    return Strategy(kind, UNDER_WAY, COSTS[kind])


def _mark(live: Json) -> tuple[RollOut | None, str]:
    """What was chosen, and the hash of what it was chosen for."""
    text = (live["metadata"].get("annotations") or {}).get(names.ANNOTATION_ROLL_OUT, "")
    kind, _, subject = text.partition("/")
    return (RollOut(kind), subject) if kind in set(RollOut) else (None, "")


def _subject(spec: Vllm, template: Mapping[str, Any]) -> str:
    """Another template, or another wish, is another roll-out."""
    return digest([template, spec.strategy.value, exclusive_cache(spec), spec.replicas > 1])


def _scheduled(pod: Pod) -> tuple[str, str]:
    """Status and message of the condition PodScheduled, empty when there is none."""
    conditions = (pod.raw.get("status") or {}).get("conditions") or ()
    for condition in conditions:
        if condition["type"] == "PodScheduled":
            return str(condition["status"]), str(condition.get("message") or "")
    return "", ""
