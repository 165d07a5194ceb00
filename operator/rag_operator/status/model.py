"""Condition ModelReady: does something turn sources into answers, and if not, what keeps it from it?

Extractive   part of the API: always
External     not ours to look at: the API pods say whether they reach it, also when something answers in its place
VLLM         weights there? Deployment rolled out? and what do its pods, or the log of an engine that ended, say?
"""

from rag_contract.release_table import ModelRelease

from .. import names
from ..api import Reason
from ..faults import Fault, controller_fault, held_fault
from ..faults.engine import engine_fault
from ..observed import Json, Pod
from ..releases.roll_out import waiting
from .facts import FALSE, TRUE, UNKNOWN, Facts, Verdict, fault_verdict, is_suspended, ratio
from .gpu import gpu_schedulable
from .model_fetch import model_fetched
from .stack import deployment_settled


def model_ready(facts: Facts) -> Verdict:
    """Is there something that turns sources into answers?"""
    if facts.suspended:
        return is_suspended()
    model = facts.plan.model
    if model.runtime == "Extractive":
        message = "The extractive runtime is part of the API: no model server is needed."
        return Verdict(TRUE, Reason.ExtractiveServing, message)
    if not facts.observed.service.spec.model.enabled:
        return Verdict(TRUE, Reason.ModelDisabled, "spec.model.enabled is false: the model is not asked.")
    return _external(facts, model) if model.runtime == "External" else _hosted(facts, model)


def _external(facts: Facts, model: ModelRelease) -> Verdict:
    """Only pods that serve this very model can tell."""
    said = facts.failing("model") or _stood_in(facts, model)
    if said is not None:
        return Verdict(
            FALSE, Reason.ModelUnreachable, f"{said} Correct spec.model.external, or let the API pods reach it."
        )
    where = model.endpoints[0].url
    if _serves(facts, model):
        return Verdict(TRUE, Reason.ExternalServing, f'The API pods ask "{model.name}" at {where}.')
    return Verdict(UNKNOWN, Reason.WaitingForApi, f"No API pod could be asked about the model at {where} yet.")


def _stood_in(facts: Facts, model: ModelRelease) -> str | None:
    """A fallback answers for the model: questions are answered, and the model is not what is declared."""
    return facts.noted("model") if _serves(facts, model) else None


def _serves(facts: Facts, model: ModelRelease) -> bool:
    """Whether an API pod that is ready says that it serves this model."""
    return any(
        revision.model.hash == model.hash
        for pod in facts.api_pods
        if pod.ready and (answer := facts.answers.get(pod.name)) is not None and answer.models is not None
        for revision in answer.models.revisions
    )


def _hosted(facts: Facts, model: ModelRelease) -> Verdict:
    body = facts.observed.child("Deployment", names.model(facts.name, model.hash))
    refused = facts.refusal(names.COMPONENT_MODEL, names.COMPONENT_MODEL_CACHE)
    if refused is not None:
        return fault_verdict(refused)
    if body is None:
        message = f'The server of the model "{model.name}" has not been created yet.'
        return model_fetched(facts) or Verdict(FALSE, Reason.ModelLoading, message)
    if body["spec"].get("replicas") == 0:
        message = "spec.model.vllm.replicas is 0: no pod runs the model. Raise it to serve."
        return Verdict(FALSE, Reason.ScaledToZero, message)
    return _loaded(facts, model, body) if deployment_settled(body) else _loading(facts, model, body)


def _loading(facts: Facts, model: ModelRelease, body: Json) -> Verdict:
    pods = model_pods(facts, model)
    homeless = waiting(tuple(pods)) if gpu_schedulable(facts) is not None else ()
    fault = _fault(facts, body, [pod for pod in pods if pod not in homeless])
    if fault is not None:
        return fault_verdict(fault)
    message = f'{ratio(body)} pods have loaded the model "{model.name}".'
    if homeless:  # the nodes tell more than the scheduler's words, and must not be contradicted by them
        message += f" Pod {min(pod.name for pod in homeless)} has no node yet: the condition GpuSchedulable says why."
    return Verdict(FALSE, Reason.ModelLoading, message)


def _loaded(facts: Facts, model: ModelRelease, body: Json) -> Verdict:
    said = (facts.failing("model") if _serves(facts, model) else None) or _stood_in(facts, model)
    if said is not None:
        name = names.model(facts.name, model.hash)
        return Verdict(FALSE, Reason.ModelUnreachable, f"{said} The API pods must be able to reach Service {name}.")
    return Verdict(TRUE, Reason.ModelServing, f'{ratio(body)} pods have loaded the model "{model.name}".')


def _fault(facts: Facts, body: Json, pods: list[Pod]) -> Fault | None:
    """What the engine says, then what keeps its pods from running."""
    return (
        controller_fault(body, facts.observed.notices)
        or engine_fault(pods)
        or facts.pod_fault(pods)
        or (facts.probe_fault(pods) if any(_started(pod) for pod in pods) else None)
        or held_fault(body)
    )


def model_pods(facts: Facts, model: ModelRelease) -> list[Pod]:
    """Pods of this model that run or will."""
    pods = facts.observed.pods_of(names.COMPONENT_MODEL)
    return [pod for pod in pods if pod.labels.get(names.LABEL_MODEL) == model.hash[:8] and not pod.ended]


def _started(pod: Pod) -> bool:
    """Its startup probe has succeeded: from then on a failing probe is a fault, before it is a model that loads."""
    statuses = (pod.raw.get("status") or {}).get("containerStatuses") or ()
    return any(container.get("started") for container in statuses)
