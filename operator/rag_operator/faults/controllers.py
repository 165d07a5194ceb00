"""Faults of what makes pods and volumes: refused by quota or admission, held by hand, not provided."""

from datetime import datetime

from ..api.reasons import Reason
from ..observed import Notices, Refusal
from .words import Fault, Json, recent, said


def controller_fault(body: Json, notices: Notices = ()) -> Fault | None:
    """Pods that the controller of a Deployment, StatefulSet or Job may not create."""
    name = body["metadata"]["name"]
    for condition in (body.get("status") or {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return refused(f"Pods of {name}", condition.get("message") or "")
    if _lacks_pods(body):
        words = _noted(notices, body, ("FailedCreate",))
        if words:
            return refused(f"Pods of {name}", words.partition(" failed error: ")[2] or words)
    return None


def _lacks_pods(body: Json) -> bool:
    """A StatefulSet or Job that should have a pod and has none: they tell why in an event only."""
    status = body.get("status") or {}
    if body.get("kind") == "StatefulSet":
        return bool(status.get("replicas", 0) < body["spec"].get("replicas", 1))
    if body.get("kind") == "Job":
        return not any(status.get(count) for count in ("active", "succeeded", "failed", "terminating"))
    return False


def held_fault(body: Json) -> Fault | None:
    """A hand on the brake, when a roll-out does not end: fields that we do not set."""
    spec, name = body.get("spec") or {}, body["metadata"]["name"]
    if body.get("kind") == "Deployment" and spec.get("paused"):
        return Fault(
            Reason.RollOutHeld,
            f"Deployment {name} is paused by somebody: `kubectl rollout resume deployment/{name}` lets it go on.",
        )
    partition = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition")
    if body.get("kind") == "StatefulSet" and partition:
        return Fault(
            Reason.RollOutHeld,
            f"StatefulSet {name} has spec.updateStrategy.rollingUpdate.partition {partition}, set by somebody: its pods keep"
            " the old template. Set it to 0.",
        )
    return None


def claim_fault(claim: Json, now: datetime, notices: Notices = ()) -> Fault | None:
    """A volume claim that is not bound, of a pod that does not run."""
    name, status = claim["metadata"]["name"], claim.get("status") or {}
    if status.get("phase") == "Lost":
        return Fault(Reason.VolumePending, f"Volume claim {name} has lost its volume: restore it or delete the claim.")
    if status.get("phase", "Pending") != "Pending":
        return None
    words = _noted(notices, claim, ("ProvisioningFailed",))
    if words:
        return Fault(
            Reason.VolumePending,
            f"Volume claim {name} is not bound: {said(words)}. Repair or create the storage class that it names.",
        )
    if recent(claim["metadata"].get("creationTimestamp"), now):
        return None
    given = claim["spec"].get("storageClassName")
    storage_class = f'storage class "{given}"' if given else "the default storage class"
    return Fault(
        Reason.VolumePending,
        f"Volume claim {name} is not bound: {storage_class} has to provide a volume"
        f" (see `kubectl describe persistentvolumeclaim {name}`).",
    )


def growth_fault(claim: Json) -> Fault | None:
    """A volume that does not grow as asked."""
    for condition in (claim.get("status") or {}).get("conditions") or ():
        if condition["type"] in {"ControllerResizeError", "NodeResizeError"} and condition["status"] == "True":
            text = said(condition.get("message") or "")
            return Fault(Reason.VolumePending, f"Volume claim {claim['metadata']['name']} cannot grow: {text}.")
    return None


def refusal_fault(refusal: Refusal) -> Fault:
    """A child that the API server would not take."""
    who = f"{refusal.child.kind} {refusal.child.name}"
    if refusal.reason == "NameTaken":
        return Fault(Reason.NameTaken, f"{who} exists and belongs to somebody else: delete or rename it.")
    return refused(who, refusal.message)


def refused(who: str, message: str) -> Fault:
    """Told apart by the server's own words."""
    text = said(message)
    if "exceeded quota" in text:
        return Fault(Reason.QuotaExceeded, f"{who} may not be created: {text}. Raise the quota or lower the requests.")
    return Fault(
        Reason.AdmissionRefused,
        f"{who} may not be created or changed: {text}. Meet that rule, or have it changed by who runs the cluster.",
    )


def _noted(notices: Notices, body: Json, reasons: tuple[str, ...]) -> str:
    """The latest of these warnings about this object; empty when there is none."""
    uid = body["metadata"].get("uid", "")
    words = [notice.note for notice in notices if notice.about(uid) and notice.reason in reasons]
    return words[-1] if words else ""
