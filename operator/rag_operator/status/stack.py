"""Conditions of the spec and of the parts that run: the vector store, the model, the API."""

from .. import names
from ..api import Reason
from ..faults import Fault, claim_fault, controller_fault, growth_fault, held_fault
from ..observed import Json
from .facts import FALSE, KEY_REFUSED, TRUE, UNKNOWN, Facts, Verdict, fault_verdict, is_suspended, ratio
from .spec_warnings import spec_warnings


def spec_valid(facts: Facts) -> Verdict:
    """Can the declared be carried out?"""
    if facts.problem is not None:
        return Verdict(FALSE, Reason(facts.problem.reason), facts.problem.message)
    warnings = spec_warnings(facts)
    if warnings:
        return Verdict(TRUE, Reason.ValidWithWarnings, f"The spec can be carried out. {' '.join(warnings)}")
    return Verdict(TRUE, Reason.Valid, "The spec can be carried out.")


def suspended(facts: Facts) -> Verdict:
    """Is nothing to run?"""
    if facts.suspended:
        return Verdict(TRUE, Reason.Suspended, "spec.suspend is true: nothing runs, all data is kept.")
    return Verdict(FALSE, Reason.NotSuspended, "The service is to run.")


def vector_store_ready(facts: Facts) -> Verdict:
    """Has its controller finished with our generation, and does it answer?"""
    if facts.suspended:
        return is_suspended()
    if facts.observed.service.spec.vector_store.external is not None:
        return _external_store(facts)
    body = facts.observed.child("StatefulSet", names.qdrant(facts.name))
    fault = _store_fault(facts, body)
    if fault is not None:
        return fault_verdict(fault)
    if body is None:
        return Verdict(UNKNOWN, Reason.QdrantStarting, "The vector store has not been created yet.")
    if not stateful_set_settled(body):
        return Verdict(FALSE, Reason.QdrantStarting, "The vector store is starting.")
    return Verdict(TRUE, Reason.QdrantServing, "The vector store answers.")


def _store_fault(facts: Facts, body: Json | None) -> Fault | None:
    fault = facts.refusal(names.COMPONENT_QDRANT, names.COMPONENT_KEYS)
    if fault is not None or body is None:
        return fault
    claim = facts.observed.claims.get(names.qdrant_claim(facts.name))
    fault = growth_fault(claim) if claim is not None else None
    if fault is not None or stateful_set_settled(body):
        return fault
    notices, pods = facts.observed.notices, facts.observed.pods_of(names.COMPONENT_QDRANT)
    return (
        controller_fault(body, notices)
        or (claim_fault(claim, facts.now, notices) if claim is not None else None)
        or facts.pod_fault(pods)
        or facts.probe_fault(pods)
        or held_fault(body)
    )


def _external_store(facts: Facts) -> Verdict:
    """It is not ours to look at: the API pods say whether they reach it."""
    said = facts.failing("vector_store")
    if said is not None:
        return Verdict(
            FALSE,
            Reason.VectorStoreUnreachable,
            f"{said} Correct spec.vectorStore.external.url, or let the API reach it.",
        )
    refused = facts.failing("collections")
    if refused is not None and KEY_REFUSED in refused:
        return Verdict(
            FALSE, Reason.VectorStoreUnauthorized, f"{refused} Correct the Secret that apiKeySecretRef names."
        )
    if any(answer.models is not None and all(c.ok for c in answer.checks) for answer in facts.answers.values()):
        return Verdict(TRUE, Reason.VectorStoreServing, "The API pods reach the external vector store.")
    return Verdict(UNKNOWN, Reason.WaitingForApi, "No API pod could be asked about the external vector store yet.")


def api_ready(facts: Facts) -> Verdict:
    """Are all pods of the declared template, and only those, ready?"""
    if facts.suspended:
        return is_suspended()
    body = facts.observed.child("Deployment", names.api(facts.name))
    fault = _api_fault(facts, body)
    if fault is not None:
        return fault_verdict(fault)
    if body is None:
        return Verdict(UNKNOWN, Reason.ApiStarting, "The API has not been created yet.")
    if body["spec"].get("replicas") == 0:
        return Verdict(FALSE, Reason.ScaledToZero, "spec.api.replicas is 0: no pod answers. Raise it to serve.")
    if deployment_settled(body):
        return Verdict(TRUE, Reason.ApiServing, f"{ratio(body)} pods are ready.")
    return _api_starting(facts, body)


def _api_fault(facts: Facts, body: Json | None) -> Fault | None:
    fault = facts.refusal(names.COMPONENT_API, names.COMPONENT_SETTINGS, names.COMPONENT_KEYS, names.COMPONENT_RELEASES)
    if fault is None and body is not None:
        fault = controller_fault(body, facts.observed.notices) or facts.pod_fault(facts.api_pods)
    keys = facts.failing("api_keys")
    if fault is None and keys is not None:
        fault = Fault(Reason.ApiKeysMissing, f"{keys} {_keys_remedy(facts)}".strip())
    annotations = (body or {}).get("metadata", {}).get("annotations") or {}
    if fault is None and annotations.get(names.ANNOTATION_RETURNED) == "true":
        fault = _returned(facts)
    return fault


def _returned(facts: Facts) -> Fault:
    image = facts.observed.service.spec.api.image
    what = f"with the image {image} " if image is not None else ""
    return Fault(
        Reason.ApiReturned,
        f"API pods {what}as spec.api declares them did not become ready in time, and the former ones were kept. Correct spec.api, or"
        " go back with spec.rollback.revision: they are tried again at the next edit of it and with the next release.",
    )


def _keys_remedy(facts: Facts) -> str:
    reference = facts.observed.service.spec.api.auth.keys_secret_ref
    if reference is None:
        return ""
    return f'Put a JSON list of keys into the Secret "{reference.name}" under "{reference.key}".'


def _api_starting(facts: Facts, body: Json) -> Verdict:
    silent = [pod for pod in facts.api_pods if (a := facts.answers.get(pod.name)) is not None and a.models is None]
    fault = facts.probe_fault(silent) or held_fault(body)
    if fault is not None:
        return fault_verdict(fault)
    if facts.plan.serving is None:
        return Verdict(FALSE, Reason.WaitingForIndex, "The API becomes ready when the first index is verified.")
    said = facts.failing("vector_store") or facts.failing("collections") or facts.failing("releases")
    smoke = facts.failing("smoke")
    if said is None and smoke is not None:  # of a new pod: former ones may be ready all the time
        return Verdict(FALSE, Reason.ApiStarting, smoke)
    if said is not None and not any(pod.ready for pod in facts.api_pods):
        return Verdict(FALSE, Reason.ApiStarting, said)
    return Verdict(FALSE, Reason.ApiStarting, f"{ratio(body)} pods are ready with the declared settings.")


def deployment_settled(body: Json) -> bool:
    """Its controller has seen our generation, and all pods, and only those, are of the declared template and ready."""
    status, replicas = body.get("status") or {}, body["spec"].get("replicas", 1)
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")]
    return _seen(body) and all(count == replicas for count in counts)


def stateful_set_settled(body: Json) -> bool:
    """As for a Deployment; its revisions tell whether a roll-out is over."""
    status, replicas = body.get("status") or {}, body["spec"].get("replicas", 1)
    same = status.get("currentRevision") == status.get("updateRevision")
    return _seen(body) and same and all(status.get(name, 0) == replicas for name in ("replicas", "readyReplicas"))


def _seen(body: Json) -> bool:
    observed = (body.get("status") or {}).get("observedGeneration", 0)
    return bool(observed >= body["metadata"].get("generation", 0))
