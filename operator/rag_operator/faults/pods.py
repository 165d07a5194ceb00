"""Faults of pods: not placed, not started, ended, not answering."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from ..api.reasons import Reason
from ..observed import Notices, Pod
from .words import GRACE, RESTARTED, SLOW_START, Fault, Json, recent, said

PULL_REASONS: Final = frozenset(
    {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)
STARTING: Final = frozenset({"ContainerCreating", "PodInitializing"})
MOUNT_EVENTS: Final = ("FailedMount", "FailedAttachVolume", "FailedMapVolume")
SANDBOX_EVENTS: Final = ("FailedCreatePodSandBox", "FailedCreatePodContainer", "NetworkNotReady")

_MISSING: Final = (
    (re.compile(r'\b(?:secret|Secret) "([^"]+)" not found'), Reason.SecretMissing, 'Secret "{0}": create it'),
    (
        re.compile(r'\b(?:configmap|ConfigMap) "([^"]+)" not found'),
        Reason.ConfigMapMissing,
        'ConfigMap "{0}": create it',
    ),
    (
        re.compile(r"couldn't find key (\S+) in Secret [^/\s]+/(\S+)"),
        Reason.SecretKeyMissing,
        'the key "{0}" of Secret "{1}": add it',
    ),
    (
        re.compile(r"couldn't find key (\S+) in ConfigMap [^/\s]+/(\S+)"),
        Reason.ConfigMapKeyMissing,
        'the key "{0}" of ConfigMap "{1}": add it',
    ),
)
_WRAPPINGS: Final = (re.compile(r"^Back-off pulling image \"[^\"]*\"(: \w+)?:? ?"), re.compile(r"^.*\bdesc = "))


def first_fault(pods: Iterable[Pod], now: datetime, notices: Notices = ()) -> Fault | None:
    """The fault to show: of the first pod, by name, that has one."""
    for pod in sorted(pods, key=lambda pod: pod.name):
        fault = pod_fault(pod, now, notices)
        if fault is not None:
            return fault
    return None


def pod_fault(pod: Pod, now: datetime, notices: Notices = ()) -> Fault | None:
    """What keeps a pod from running; None when it runs, or is merely on its way."""
    status = pod.raw.get("status") or {}
    return (
        _given_up(pod, status)
        or _unscheduled(pod, status, now)
        or _container_fault(pod, status, now, notices)
        or _lost(pod, notices)
    )


def probe_fault(pods: Iterable[Pod], now: datetime, notices: Notices) -> Fault | None:
    """A pod that runs and is not ready, in the words of its failing probe."""
    for pod in sorted(pods, key=lambda pod: pod.name):
        if not pod.running or pod.ready or _just_started(pod.raw.get("status") or {}, now):
            continue
        words = _noted(notices, pod, ("Unhealthy",))
        if words:
            return Fault(
                Reason.ProbeFailing,
                f"Pod {pod.name} runs but does not answer: {said(words)}. Check its image, and see `kubectl logs {pod.name}`.",
            )
    return None


def _given_up(pod: Pod, status: Json) -> Fault | None:
    """Ended by its node, not by its program: evicted, or refused on arrival."""
    if status.get("phase") != "Failed" or not status.get("reason") or status.get("containerStatuses"):
        return None
    words = said(status.get("message") or status["reason"])
    return Fault(Reason.Evicted, f"Pod {pod.name} was ended by its node: {words}. Free what it names, or add nodes.")


def _lost(pod: Pod, notices: Notices) -> Fault | None:
    if pod.ready or not pod.running or not _noted(notices, pod, ("NodeNotReady",)):
        return None
    return Fault(
        Reason.NodeLost,
        f"The node of pod {pod.name} does not answer: repair it, or delete the node so that the pod starts elsewhere.",
    )


def _unscheduled(pod: Pod, status: Json, now: datetime) -> Fault | None:
    for condition in status.get("conditions") or ():
        if condition["type"] != "PodScheduled" or condition["status"] != "False":
            continue
        if condition.get("reason") == "SchedulingGated" or recent(condition.get("lastTransitionTime"), now):
            return None
        return _placing(pod.name, said(condition.get("message") or ""))
    return None


def _placing(pod: str, text: str) -> Fault:
    if "persistentvolumeclaim" in text and "not found" in text:
        return Fault(Reason.ClaimMissing, f"Pod {pod} waits for a volume claim: {text}. Create the claim.")
    if "persistentvolumeclaim" in text.lower() or "PersistentVolume" in text:
        return Fault(
            Reason.VolumePending,
            f"Pod {pod} waits for its volume: {text}. See `kubectl describe persistentvolumeclaim`.",
        )
    if "Insufficient" in text:
        return Fault(
            Reason.InsufficientResources, f"No node has room for pod {pod}: {text}. Lower the requests, or add nodes."
        )
    return Fault(Reason.Unschedulable, f"Pod {pod} fits on no node: {text}. Make a node fit, or add one.")


def _container_fault(pod: Pod, status: Json, now: datetime, notices: Notices) -> Fault | None:
    for container in status.get("containerStatuses") or ():
        state = container.get("state") or {}
        waiting, ended = state.get("waiting"), state.get("terminated")
        last = (container.get("lastState") or {}).get("terminated")
        if waiting:
            fresh = recent(status.get("startTime"), now)
            return _waiting(pod, container, waiting, last) or (None if fresh else _creating(pod, waiting, notices))
        if ended and ended.get("exitCode", 0) != 0:
            return _ended(pod, ended)
        crashed = last and last.get("exitCode", 0) != 0 and not pod.ready
        if last and crashed and recent((state.get("running") or {}).get("startedAt"), now, RESTARTED):
            return _ended(pod, last)
    return None


def _waiting(pod: Pod, container: Json, waiting: Json, last: Json | None) -> Fault | None:
    reason, text = waiting.get("reason", ""), waiting.get("message") or ""
    if reason in PULL_REASONS:
        return _not_pulled(pod, container.get("image", ""), text)
    if reason in {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}:
        return _missing(pod, text) or _not_started(pod, text)
    if reason == "CrashLoopBackOff" and last:
        return _ended(pod, last)
    return None


def _not_pulled(pod: Pod, image: str, text: str) -> Fault:
    for wrapping in _WRAPPINGS:
        text = wrapping.sub("", text)
    answer = f" ({said(text)})" if text else ""
    return Fault(
        Reason.ImagePullFailed,
        f'Image "{image}" of pod {pod.name} cannot be pulled{answer}: check its name, its tag and the access to its registry.',
    )


def _creating(pod: Pod, waiting: Json, notices: Notices) -> Fault | None:
    """A container that waits for its volumes or its network: only the node's warnings tell why."""
    if waiting.get("reason") not in STARTING:
        return None
    words = _noted(notices, pod, MOUNT_EVENTS)
    if words:
        found = _missing(pod, words)
        return found or Fault(
            Reason.VolumePending, f"Pod {pod.name} waits for its volumes: {said(words)}. Correct the claim."
        )
    words = _noted(notices, pod, SANDBOX_EVENTS)
    if words:
        return Fault(Reason.StartFailed, f"The node cannot start pod {pod.name}: {said(words)}. Repair the node.")
    return None


def _missing(pod: Pod, text: str) -> Fault | None:
    """Something that the pod names and that is not there."""
    for pattern, reason, remedy in _MISSING:
        found = pattern.search(text)
        if found:
            names = [name.rstrip(".,:") for name in found.groups()]
            return Fault(reason, f"Pod {pod.name} cannot start without {remedy.format(*names)}.")
    return None


def _not_started(pod: Pod, text: str) -> Fault:
    if "OOM-killed" in text:
        return _out_of_memory(pod)
    if "subPath" in text:
        return Fault(
            Reason.DocumentsMissing,
            f"Pod {pod.name} cannot start: the path of its documents is not on the volume ({said(text)}). Correct the path in"
            " spec.index.documents, or make that folder.",
        )
    return Fault(Reason.StartFailed, f"Pod {pod.name} cannot start: {said(text)}. Correct what the node refuses.")


def _ended(pod: Pod, ended: Json) -> Fault:
    text = ended.get("message") or ""
    if ended.get("reason") == "OOMKilled" or "OOM-killed" in text:
        return _out_of_memory(pod)
    if ended.get("reason") in {"StartError", "ContainerCannotRun"}:
        return _not_started(pod, text)
    tail = f": {said(text)}. See" if text else ". See"
    return Fault(
        Reason.CrashLoop,
        f"Pod {pod.name} ends with exit code {ended.get('exitCode')}{tail} `kubectl logs {pod.name} --previous`.",
    )


def _out_of_memory(pod: Pod) -> Fault:
    return Fault(
        Reason.OutOfMemory, f"Pod {pod.name} was ended for using more memory than its limit: raise the memory limit."
    )


def _just_started(status: Json, now: datetime) -> bool:
    """A probe may fail for a while: longer before it was answered for the first time."""
    for container in status.get("containerStatuses") or ():
        since = ((container.get("state") or {}).get("running") or {}).get("startedAt")
        return recent(since, now, GRACE if container.get("started") else SLOW_START)
    return False


def _noted(notices: Notices, pod: Pod, reasons: tuple[str, ...]) -> str:
    """The latest of these warnings about this pod; empty when there is none."""
    words = [notice.note for notice in notices if notice.about(pod.uid) and notice.reason in reasons]
    return words[-1] if words else ""
