"""Why does it not run? Facts of pods, claims and controllers, lifted into a reason and a sentence that says what to do.

Pure; reads bodies as the API server stores them. Messages are stable: no times, no counters that rise while nothing changes.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from .api.reasons import Reason
from .observed import Pod, Refusal

Json = Mapping[str, Any]

PULL_REASONS = frozenset(
    {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)
MAX_MESSAGE = 512
GRACE = timedelta(seconds=10)
"""A volume is made, and a pod placed, within this time; until then waiting for it is no fault."""


class Fault(NamedTuple):
    """A reason of the closed list, and what to do."""

    reason: Reason
    message: str


def first_fault(pods: Iterable[Pod], now: datetime) -> Fault | None:
    """The fault to show: of the first pod, by name, that has one."""
    for pod in sorted(pods, key=lambda pod: pod.name):
        fault = pod_fault(pod, now)
        if fault is not None:
            return fault
    return None


def pod_fault(pod: Pod, now: datetime) -> Fault | None:
    """What keeps a pod from running; None when it runs, or is merely on its way."""
    status = pod.raw.get("status") or {}
    return _unscheduled(pod, status, now) or _container_fault(pod, status)


def _unscheduled(pod: Pod, status: Json, now: datetime) -> Fault | None:
    for condition in status.get("conditions") or ():
        if condition["type"] != "PodScheduled" or condition["status"] != "False":
            continue
        text = short(condition.get("message") or "")
        if condition.get("reason") == "SchedulingGated" or _recent(condition.get("lastTransitionTime"), now):
            return None
        if "persistentvolumeclaim" in text and "not found" in text:
            return Fault(Reason.ClaimMissing, f"Pod {pod.name} waits for a volume claim: {text} Create the claim.")
        if "persistentvolumeclaim" in text or "PersistentVolume" in text:
            return Fault(Reason.VolumePending, f"Pod {pod.name} waits for its volume: {text}")
        if "Insufficient" in text:
            return Fault(
                Reason.InsufficientResources,
                f"No node has room for pod {pod.name}: {text} Lower the requests, or add nodes.",
            )
        return Fault(Reason.Unschedulable, f"Pod {pod.name} fits on no node: {text}")
    return None


def _container_fault(pod: Pod, status: Json) -> Fault | None:
    for container in status.get("containerStatuses") or ():
        state = container.get("state") or {}
        waiting, ended = state.get("waiting"), state.get("terminated")
        last = (container.get("lastState") or {}).get("terminated")
        if waiting:
            return _waiting(pod, container, waiting, last)
        if ended and ended.get("exitCode", 0) != 0:
            return _ended(pod, ended)
    return None


def _waiting(pod: Pod, container: Json, waiting: Json, last: Json | None) -> Fault | None:
    reason, text = waiting.get("reason", ""), short(waiting.get("message") or "")
    if reason in PULL_REASONS:
        image = container.get("image", "")
        return Fault(
            Reason.ImagePullFailed,
            f'Image "{image}" of pod {pod.name} cannot be pulled: check its name, its tag and the access to its registry.',
        )
    if reason == "CreateContainerConfigError":
        missing = Reason.SecretMissing if "secret" in text else Reason.ConfigMapMissing
        return Fault(missing, f"Pod {pod.name} cannot start: {text}.")
    if reason in {"CreateContainerError", "RunContainerError"}:
        return Fault(Reason.CrashLoop, f"Pod {pod.name} cannot start: {text}")
    if reason == "CrashLoopBackOff" and last:
        return _ended(pod, last)
    return None


def _ended(pod: Pod, ended: Json) -> Fault:
    if ended.get("reason") == "OOMKilled":
        return Fault(
            Reason.OutOfMemory,
            f"Pod {pod.name} was ended for using more memory than its limit: raise the memory limit.",
        )
    said = short(ended.get("message") or "")
    tail = f": {said}" if said else f"; see `kubectl logs {pod.name} --previous`."
    return Fault(Reason.CrashLoop, f"Pod {pod.name} ends with exit code {ended.get('exitCode')}{tail}")


def claim_fault(claim: Json, now: datetime) -> Fault | None:
    """A volume claim that is not bound, of a pod that does not run."""
    name, status = claim["metadata"]["name"], claim.get("status") or {}
    if status.get("phase", "Pending") == "Pending":
        if _recent(claim["metadata"].get("creationTimestamp"), now):
            return None
        storage_class = claim["spec"].get("storageClassName") or "the default storage class"
        return Fault(
            Reason.VolumePending,
            f"Volume claim {name} is not bound: {storage_class} has to provide a volume"
            f" (see `kubectl describe persistentvolumeclaim {name}`).",
        )
    if status.get("phase") == "Lost":
        return Fault(Reason.VolumePending, f"Volume claim {name} has lost its volume: restore it or delete the claim.")
    return None


def growth_fault(claim: Json) -> Fault | None:
    """A volume that does not grow as asked."""
    for condition in (claim.get("status") or {}).get("conditions") or ():
        if condition["type"] in {"ControllerResizeError", "NodeResizeError"} and condition["status"] == "True":
            text = short(condition.get("message") or "")
            return Fault(Reason.VolumePending, f"Volume claim {claim['metadata']['name']} cannot grow: {text}")
    return None


def _recent(time: str | None, now: datetime) -> bool:
    return time is not None and now - datetime.fromisoformat(time) < GRACE


def controller_fault(body: Json) -> Fault | None:
    """Pods that the controller of a Deployment, StatefulSet or Job may not create: quota or admission."""
    for condition in (body.get("status") or {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return refused(f"Pods of {body['metadata']['name']}", condition.get("message") or "")
    return None


def refusal_fault(refusal: Refusal) -> Fault:
    """A child that the API server would not take."""
    who = f"{refusal.child.kind} {refusal.child.name}"
    if refusal.reason == "NameTaken":
        return Fault(Reason.NameTaken, f"{who} exists and belongs to somebody else: delete or rename it.")
    return refused(who, refusal.message)


def refused(who: str, message: str) -> Fault:
    """Told apart by the server's own words."""
    text = short(message)
    if "exceeded quota" in text:
        return Fault(Reason.QuotaExceeded, f"{who} may not be created: {text}. Raise the quota or lower the requests.")
    return Fault(Reason.AdmissionRefused, f"{who} may not be created or changed: {text}")


def short(text: str) -> str:
    """One line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 3] + "..."
