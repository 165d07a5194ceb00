"""Condition GpuSchedulable, the column GPU, and how a model's pods are exchanged and what that costs.

every pod has a node    --> True
a pod has none          --> what the nodes themselves say; where the operator may not look, the scheduler's message
no pod could be made    --> quota or admission, in the words of the refusal
"""

from typing import Final

from .. import names
from ..api import Reason, Vllm
from ..faults import Fault, controller_fault
from ..observed import Json, Pod
from ..releases.model import hosting
from ..releases.roll_out import announced, pods_of, waiting
from ..scheduling import Need, need_of
from .facts import FALSE, TRUE, UNKNOWN, Facts, Verdict, fault_verdict, is_suspended

IDLE_SHARE: Final = 0.1
"""GPUs that work less than this share of an hour are worth a word."""


def gpu_schedulable(facts: Facts) -> Verdict | None:
    """Do the pods of the wanted model find nodes with GPUs? None where no model server of ours asks for any."""
    spec = _asking(facts)
    if spec is None:
        return None
    if facts.suspended:
        return is_suspended()
    body = _deployment(facts)
    refused = facts.refusal(names.COMPONENT_MODEL)
    if refused is not None:
        return fault_verdict(refused)
    if body is None:
        return Verdict(UNKNOWN, Reason.GpuPending, "The model server has not been created yet.")
    made = controller_fault(body, facts.observed.notices)
    return fault_verdict(made) if made is not None else _placed(facts, body)


def _placed(facts: Facts, body: Json) -> Verdict:
    pods, wanted = pods_of(facts.observed, facts.plan.model.hash).own, body["spec"].get("replicas", 1)
    homeless = waiting(pods)
    if not homeless and len(pods) < wanted:
        return Verdict(FALSE, Reason.GpuPending, f"{len(pods)} of {wanted} model pods have been created.")
    if not homeless:
        return Verdict(TRUE, Reason.GpuScheduled, f"Every model pod has a node with its GPUs.{_idle(facts, pods)}")
    return _homeless(facts, need_of(body["spec"]["template"]), homeless)


def _idle(facts: Facts, pods: tuple[Pod, ...]) -> str:
    """A hint where all of the model's pods have been seen for an hour and had little to do."""
    shares = [facts.engine_use.get(pod.name, 1.0) for pod in pods]
    if not shares or max(shares) >= IDLE_SHARE:
        return ""
    fewer = "lower spec.model.vllm.replicas" if len(pods) > 1 else "choose a smaller GPU, or an External model"
    return f" They worked less than {IDLE_SHARE:.0%} of the last hour: {fewer}, if it stays so."


def _homeless(facts: Facts, need: Need, pods: tuple[Pod, ...]) -> Verdict:
    """The scheduler's own words come after a while: until then it may yet find a place."""
    fault = facts.pod_fault(pods)
    if fault is None:
        return Verdict(FALSE, Reason.GpuPending, "A model pod waits for the scheduler.")
    nodes = facts.observed.nodes
    if nodes is None or need.claims or fault.reason in {Reason.VolumePending, Reason.ClaimMissing}:
        return fault_verdict(fault)
    said = nodes.explain(need)
    return fault_verdict(fault if said.reason is None else Fault(said.reason, said.message))


def gpu_status(facts: Facts) -> Json:
    """`gpu`, like "1/2 nvidia.com/gpu": of the wanted model, GPUs of ready pods of all that it wants. `modelRollOut`: the way,
    why, and its cost."""
    spec, body = _asking(facts), _deployment(facts)
    if spec is None:
        return {"gpu": "-"}
    if body is None:
        return {"gpu": "0/0"}
    told: Json = {"gpu": _ratio(spec, body)}
    if not facts.suspended:
        strategy = announced(facts.observed, spec, body, pods_of(facts.observed, facts.plan.model.hash))
        told["modelRollOut"] = {"strategy": str(strategy.kind), "message": f"{strategy.why} {strategy.cost}"}
    return told


def _ratio(spec: Vllm, body: Json) -> str:
    devices = need_of(body["spec"]["template"]).devices
    resource, each = devices[0] if devices else ("GPU by claim", spec.gpu.count)
    ready = (body.get("status") or {}).get("readyReplicas", 0)
    return f"{ready * each}/{body['spec'].get('replicas', 1) * each} {resource}"


def roll_out_event(before: Json, after: Json) -> tuple[str, str, str] | None:
    """Event (type, reason, message) when model pods are exchanged another way than before."""
    old, new = before.get("modelRollOut") or {}, after.get("modelRollOut") or {}
    if not new or old.get("strategy") == new["strategy"]:
        return None
    kind = "Warning" if new["strategy"] == "Blocked" else "Normal"
    return kind, str(Reason.ModelRollOut), f"{new['strategy']}: {new['message']}"


def _asking(facts: Facts) -> Vllm | None:
    """Where a model server of ours is wanted that asks for GPUs: how."""
    spec = hosting(facts.observed.service, facts.plan.model)
    wants = facts.plan.model.runtime == "VLLM" and (spec.gpu.count > 0 or spec.resource_claims)
    return spec if wants else None


def _deployment(facts: Facts) -> Json | None:
    return facts.observed.child("Deployment", names.model(facts.name, facts.plan.model.hash))
