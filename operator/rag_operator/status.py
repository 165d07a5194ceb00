"""Status: one function for each condition, all of them on every pass, and `Ready` rolled up from the parts. Pure.

    Facts (observed, plan, problem, refusals, answers of the pods) --> conditions, columns, history, events, when to look again

A condition is never an input to a decision; earlier ones are read only to keep `lastTransitionTime` and to pace retries.
`Ready` is True only when every API pod itself reported what the spec declares, and Unknown when it could not be asked.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from . import names
from .api.reasons import Reason
from .errors import InvalidSpec
from .faults import Fault, claim_fault, controller_fault, first_fault, refusal_fault, short
from .observed import Json, Observed, Pod, PodAnswer, Refusal, Unreadable, finished
from .releases import Plan
from .releases.plan import index_result

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"
HISTORY = 10


class Verdict(NamedTuple):
    """One condition without its book-keeping."""

    status: str
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the conditions look at. `answers` are by pod name."""

    observed: Observed
    plan: Plan
    problem: InvalidSpec | None
    refusals: tuple[Refusal, ...]
    answers: Mapping[str, PodAnswer]

    @property
    def name(self) -> str:
        return self.observed.service.metadata.name

    @property
    def suspended(self) -> bool:
        return self.observed.service.spec.suspend

    @property
    def api_pods(self) -> tuple[Pod, ...]:
        return self.observed.pods_of(names.COMPONENT_API)

    def refusal(self, *components: str) -> Fault | None:
        """The first refused write of these components, in a stable order."""
        found = sorted((refusal for refusal in self.refusals if refusal.component in components), key=lambda r: r.child)
        return refusal_fault(found[0]) if found else None

    def failing(self, check: str) -> str | None:
        """What a pod says about a failing readiness check; None when no pod says that it fails."""
        for name in sorted(self.answers):
            for item in self.answers[name].checks:
                if item.name == check and not item.ok:
                    return f"Pod {name}: {item.message}"
        return None


# Reasons of work under way: they are shown only when nothing is wrong.
UNDER_WAY = frozenset(
    {
        Reason.QdrantStarting,
        Reason.ApiStarting,
        Reason.IndexBuilding,
        Reason.WaitingForIndex,
        Reason.WaitingForApi,
        Reason.TableRefreshing,
        Reason.CollectionMissing,
    }
)


def spec_valid(facts: Facts) -> Verdict:
    if facts.problem is not None:
        return Verdict(FALSE, Reason(facts.problem.reason), facts.problem.message)
    return Verdict(TRUE, Reason.Valid, "The spec can be carried out.")


def vector_store_ready(facts: Facts) -> Verdict:
    if facts.suspended:
        return _suspended()
    if facts.observed.service.spec.vector_store.external is not None:
        return _external_store(facts)
    fault = facts.refusal(names.COMPONENT_QDRANT, names.COMPONENT_KEYS)
    body = facts.observed.child("StatefulSet", names.qdrant(facts.name))
    if fault is None and body is not None:
        claim = facts.observed.claims.get(names.qdrant_claim(facts.name))
        fault = (
            controller_fault(body)
            or first_fault(facts.observed.pods_of(names.COMPONENT_QDRANT))
            or (claim_fault(claim) if claim else None)
        )
    if fault is not None:
        return Verdict(FALSE, fault.reason, fault.message)
    if body is None:
        return Verdict(UNKNOWN, Reason.QdrantStarting, "The vector store has not been created yet.")
    if not _stateful_set_settled(body):
        return Verdict(FALSE, Reason.QdrantStarting, "The vector store is starting.")
    return Verdict(TRUE, Reason.QdrantServing, "The vector store answers.")


def _external_store(facts: Facts) -> Verdict:
    said = facts.failing("vector_store")
    if said is not None:
        return Verdict(FALSE, Reason.VectorStoreUnreachable, said)
    if any(answer.models is not None and not answer.checks for answer in facts.answers.values()):
        return Verdict(TRUE, Reason.VectorStoreServing, "The API pods reach the external vector store.")
    return Verdict(UNKNOWN, Reason.WaitingForApi, "No API pod could be asked about the external vector store yet.")


def index_ready(facts: Facts) -> Verdict:
    plan = facts.plan
    fault = plan.faults.get(names.COMPONENT_INDEX)
    if fault is not None:
        return Verdict(FALSE, Reason(fault.reason), fault.message)
    said = facts.failing("collections")
    if said is not None and plan.verified is not None:
        return Verdict(FALSE, Reason.CollectionMissing, f"{said} It is built again from the documents.")
    if plan.verified is not None:
        found = plan.verified
        return Verdict(
            TRUE,
            Reason.IndexVerified,
            f'Index "{found.version}" holds {found.documents} documents in {found.chunks} chunks.',
        )
    if facts.suspended:
        return _suspended()
    refused = facts.refusal(names.COMPONENT_INDEX)
    if refused is not None:
        return Verdict(FALSE, refused.reason, refused.message)
    return _index_job(facts)


def _index_job(facts: Facts) -> Verdict:
    index = facts.plan.index
    if index is None:
        return Verdict(UNKNOWN, Reason.IndexBuilding, "The index is not known yet.")
    name = names.index_job(facts.name, index.hash)
    job = facts.observed.child("Job", name)
    if job is None:
        return Verdict(FALSE, Reason.IndexBuilding, f'Index "{index.version}" is about to be built.')
    end = finished(job)
    if end is not None and end[0] == "Failed":
        return _index_failed(facts, job, name)
    fault = controller_fault(job) or first_fault(_pods_of_job(facts, name))
    if fault is not None:
        return Verdict(FALSE, fault.reason, fault.message)
    return Verdict(FALSE, Reason.IndexBuilding, f'Job {name} builds the index "{index.version}".')


def _index_failed(facts: Facts, job: Json, name: str) -> Verdict:
    """The indexer's own word first, then what happened to its pod, then the Job's."""
    again = f"It is tried again every few minutes; delete the Job {name} to try at once."
    result = index_result(facts.observed, facts.plan.index) if facts.plan.index else None
    if result is not None and result.outcome == "Failed":
        known = result.reason in set(Reason)
        return Verdict(
            FALSE, Reason(result.reason) if known else Reason.IndexFailed, f"{short(result.message)} {again}"
        )
    fault = first_fault(_pods_of_job(facts, name))
    if fault is not None:
        return Verdict(FALSE, Reason.IndexFailed, f"{fault.message} {again}")
    words = [c.get("message", "") for c in job["status"]["conditions"] if c["type"] == "Failed"]
    return Verdict(FALSE, Reason.IndexFailed, f"Job {name} failed: {short(' '.join(words))}. {again}")


def _pods_of_job(facts: Facts, job: str) -> list[Pod]:
    pods = facts.observed.pods_of(names.COMPONENT_INDEX)
    return [pod for pod in pods if pod.labels.get("job-name") == job and not pod.succeeded]


def model_ready(facts: Facts) -> Verdict:
    if facts.suspended:
        return _suspended()
    return Verdict(
        TRUE, Reason.ExtractiveServing, "The extractive runtime is part of the API: no model server is needed."
    )


def api_ready(facts: Facts) -> Verdict:
    if facts.suspended:
        return _suspended()
    body = facts.observed.child("Deployment", names.api(facts.name))
    fault = facts.refusal(names.COMPONENT_API, names.COMPONENT_SETTINGS, names.COMPONENT_KEYS, names.COMPONENT_RELEASES)
    if fault is None and body is not None:
        fault = controller_fault(body) or first_fault(facts.api_pods)
    if fault is not None:
        return Verdict(FALSE, fault.reason, fault.message)
    if body is None:
        return Verdict(UNKNOWN, Reason.ApiStarting, "The API has not been created yet.")
    keys = facts.failing("api_keys")
    if keys is not None:
        return Verdict(FALSE, Reason.ApiKeysMissing, f"{keys} {_keys_remedy(facts)}".strip())
    if body["spec"].get("replicas") == 0:
        return Verdict(FALSE, Reason.ScaledToZero, "spec.api.replicas is 0: no pod answers. Raise it to serve.")
    if _deployment_settled(body):
        return Verdict(TRUE, Reason.ApiServing, f"{_ratio(body)} pods are ready.")
    if facts.plan.serving is None:
        return Verdict(FALSE, Reason.WaitingForIndex, "The API becomes ready when the first index is verified.")
    said = facts.failing("vector_store") or facts.failing("collections") or facts.failing("releases")
    return Verdict(FALSE, Reason.ApiStarting, said or f"{_ratio(body)} pods are ready with the declared settings.")


def _keys_remedy(facts: Facts) -> str:
    reference = facts.observed.service.spec.api.auth.keys_secret_ref
    if reference is None:
        return ""
    return f'Create the Secret "{reference.name}" with a JSON list of keys under "{reference.key}".'


def release_settled(facts: Facts) -> Verdict:
    """Has every ready API pod itself said that it serves what is declared?"""
    plan = facts.plan
    for part in (names.COMPONENT_PROMPT, names.COMPONENT_INDEX):
        fault = plan.faults.get(part)
        if fault is not None:
            return Verdict(FALSE, Reason(fault.reason), fault.message)
    refused = facts.refusal(names.COMPONENT_RELEASES, names.COMPONENT_REVISION, names.COMPONENT_PROMPT)
    if refused is not None:
        return Verdict(FALSE, refused.reason, refused.message)
    if facts.suspended:
        return _suspended()
    if facts.problem is not None:
        return Verdict(FALSE, Reason(facts.problem.reason), facts.problem.message)
    if plan.desired is None:
        now = plan.serving
        still = f" Revision {now.number} goes on serving." if now else ""
        return Verdict(
            FALSE, Reason.WaitingForIndex, f"The declared release is served once its index is verified.{still}"
        )
    return _confirmed(facts)


def _confirmed(facts: Facts) -> Verdict:
    ready = [pod for pod in facts.api_pods if pod.ready]
    if not ready:
        return Verdict(UNKNOWN, Reason.WaitingForApi, "No API pod is ready to be asked what it serves.")
    for pod in ready:
        answer = facts.answers.get(pod.name, PodAnswer(error="it was not asked"))
        if answer.models is None:
            return Verdict(
                UNKNOWN, Reason.ApiUnreachable, f"Pod {pod.name} did not say what it serves: {answer.error}."
            )
        if answer.models.table_hash != facts.plan.table.table_hash():
            return Verdict(
                FALSE, Reason.TableRefreshing, f"Pod {pod.name} has not loaded the declared release table yet."
            )
        wrong = _difference(facts, answer)
        if wrong:
            return Verdict(
                FALSE, Reason.RevisionMismatch, f"Pod {pod.name} reports another {wrong} than the declared one."
            )
    number = facts.plan.table.revisions[0].number
    return Verdict(TRUE, Reason.Settled, f"Every API pod reports revision {number}.")


def _difference(facts: Facts, answer: PodAnswer) -> str:
    """The first thing in which a pod's report differs from the table; empty when none."""
    models, table = answer.models, facts.plan.table
    reported = {revision.number: revision for revision in models.revisions} if models is not None else {}
    for revision in table.revisions:
        said = reported.get(revision.number)
        if said is None or said.weight != revision.weight:
            return "revision"
        if (said.prompt.version, said.prompt.hash) != (revision.prompt.version, revision.prompt.hash):
            return "prompt"
        index = revision.index
        if (said.index.version, said.index.collection, said.index.identity) != (
            index.version,
            index.collection,
            index.identity,
        ):
            return "index"
        if (said.model.runtime, said.model.name) != (revision.model.runtime, revision.model.name):
            return "model"
    return ""


def suspended(facts: Facts) -> Verdict:
    if facts.suspended:
        return Verdict(TRUE, Reason.Suspended, "spec.suspend is true: nothing runs, all data is kept.")
    return Verdict(FALSE, Reason.NotSuspended, "The service is to run.")


def _suspended() -> Verdict:
    return Verdict(FALSE, Reason.Suspended, "The service is suspended: set spec.suspend to false to run it.")


PARTS: tuple[tuple[str, Callable[[Facts], Verdict]], ...] = (
    ("SpecValid", spec_valid),
    ("VectorStoreReady", vector_store_ready),
    ("IndexReady", index_ready),
    ("ModelReady", model_ready),
    ("ApiReady", api_ready),
    ("ReleaseSettled", release_settled),
)


def ready(facts: Facts, parts: Mapping[str, Verdict]) -> Verdict:
    """True when all parts are; else the most telling part: what is wrong, then what is under way, then what is unknown."""
    if facts.suspended and parts["SpecValid"].status == TRUE:
        return _suspended()
    open_parts = [parts[name] for name, _ in PARTS if parts[name].status != TRUE]
    if not open_parts:
        return Verdict(TRUE, Reason.AllChecksPassed, "Every part is as declared and every API pod has said so.")
    return min(open_parts, key=_rank)


def _rank(verdict: Verdict) -> int:
    if verdict.status == UNKNOWN:
        return 2
    return 1 if verdict.reason in UNDER_WAY else 0


def progressing(parts: Mapping[str, Verdict]) -> Verdict:
    """True while something changes towards what is declared without anybody's help."""
    for name, _ in PARTS:
        verdict = parts[name]
        if verdict.status != TRUE and verdict.reason in UNDER_WAY:
            return Verdict(TRUE, verdict.reason, verdict.message)
    return Verdict(FALSE, Reason.Settled, "Nothing is under way.")


def degraded(facts: Facts, parts: Mapping[str, Verdict]) -> Verdict:
    """True when something is wrong, with a word on whether questions are still answered."""
    wrong = [parts[name] for name, _ in PARTS if parts[name].status != TRUE and _rank(parts[name]) == 0]
    if facts.suspended or not wrong:
        return Verdict(FALSE, Reason.NotDegraded, "Nothing is wrong.")
    now, answering = facts.plan.serving, any(pod.ready for pod in facts.api_pods)
    still = f" Revision {now.number} goes on serving." if now and answering else " No questions are answered."
    return Verdict(TRUE, wrong[0].reason, wrong[0].message + still)


def compute(facts: Facts, now: datetime) -> Json:
    """The whole status, as it is to be stored."""
    parts = {name: condition(facts) for name, condition in PARTS}
    verdicts = {
        "Ready": ready(facts, parts),
        **parts,
        "Progressing": progressing(parts),
        "Degraded": degraded(facts, parts),
        "Suspended": suspended(facts),
    }
    body = facts.observed.body
    return {
        **_columns(facts, parts["ReleaseSettled"].status == TRUE),
        "observedGeneration": body["metadata"].get("generation", 0),
        "conditions": _stamped(verdicts, body, now),
    }


def of_unreadable(unreadable: Unreadable, now: datetime) -> Json:
    """The status of an object that cannot be read: what runs is left as it is."""
    body = unreadable.body
    invalid = Verdict(FALSE, Reason.InvalidObject, short(unreadable.message))
    nothing = Verdict(UNKNOWN, Reason.InvalidObject, "The spec cannot be read.")
    verdicts = {name: nothing for name, _ in PARTS} | {
        "Ready": invalid,
        "SpecValid": invalid,
        "Progressing": Verdict(FALSE, Reason.InvalidObject, "Waiting for an edit of the spec."),
        "Degraded": Verdict(TRUE, Reason.InvalidObject, "The spec cannot be read."),
        "Suspended": nothing,
    }
    kept = {key: value for key, value in (body.get("status") or {}).items() if key != "conditions"}
    return {
        **kept,
        "observedGeneration": body["metadata"].get("generation", 0),
        "conditions": _stamped(verdicts, body, now),
    }


def _stamped(verdicts: Mapping[str, Verdict], body: Json, now: datetime) -> list[Json]:
    """Conditions with their times: the time of the last change of `status`, as the API conventions want it."""
    before = {c["type"]: c for c in (body.get("status") or {}).get("conditions") or ()}
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = []
    for name, verdict in verdicts.items():
        old = before.get(name, {})
        conditions.append(
            {
                "type": name,
                "status": verdict.status,
                "reason": str(verdict.reason),
                "message": verdict.message,
                "observedGeneration": body["metadata"].get("generation", 0),
                "lastTransitionTime": old["lastTransitionTime"] if old.get("status") == verdict.status else stamp,
            }
        )
    return conditions


def _columns(facts: Facts, confirmed: bool) -> Json:
    """What is served as the pods last confirmed it: a release that they have not confirmed is not shown."""
    svc, observed = facts.observed.service, facts.observed
    deployment = observed.child("Deployment", names.api(facts.name))
    store = observed.child("StatefulSet", names.qdrant(facts.name))
    served: Json = {key: observed.status[key] for key in SERVED_FIELDS if key in observed.status}
    now = facts.plan.serving
    if confirmed and now is not None:
        served = {
            "revision": now.number,
            "prompt": now.prompt.version,
            "index": now.index.version,
            "model": now.model.name,
            "promptHash": now.prompt.hash,
            "collection": now.index.collection,
            "indexDocuments": now.index.documents,
            "indexChunks": now.index.chunks,
        }
    return {
        **served,
        "url": names.api_url(svc.metadata.namespace, facts.name),
        "api": _ratio(deployment),
        "qdrant": "-" if svc.spec.vector_store.external is not None else _ratio(store),
        "replicas": ((deployment or {}).get("status") or {}).get("replicas", 0),
        "selector": names.selector_text(names.selector(facts.name, names.COMPONENT_API)),
        "history": [
            {
                "number": revision.number,
                "prompt": revision.prompt.version,
                "index": revision.index.version,
                "model": revision.model.name,
            }
            for revision in sorted(facts.plan.retained, key=lambda revision: -revision.number)[:HISTORY]
        ],
    }


SERVED_FIELDS = (
    "revision",
    "prompt",
    "index",
    "model",
    "promptHash",
    "collection",
    "indexDocuments",
    "indexChunks",
)


def _ratio(body: Json | None) -> str:
    if body is None:
        return "0/0"
    return f"{(body.get('status') or {}).get('readyReplicas', 0)}/{body['spec'].get('replicas', 0)}"


def _deployment_settled(body: Json) -> bool:
    """Its controller has seen our generation, and all pods, and only those, are of the declared template and ready."""
    status, replicas = body.get("status") or {}, body["spec"].get("replicas", 1)
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")]
    return _seen(body) and all(count == replicas for count in counts)


def _stateful_set_settled(body: Json) -> bool:
    status, replicas = body.get("status") or {}, body["spec"].get("replicas", 1)
    same = status.get("currentRevision") == status.get("updateRevision")
    counts = [status.get(name, 0) for name in ("replicas", "readyReplicas")]
    return _seen(body) and same and all(count == replicas for count in counts)


def _seen(body: Json) -> bool:
    observed = (body.get("status") or {}).get("observedGeneration", 0)
    return bool(observed >= body["metadata"].get("generation", 0))


def missing_collection(answers: Mapping[str, PodAnswer]) -> bool:
    """A pod reaches the vector store and does not find a collection of the release table in it."""
    return any(
        "collections" in wrong and "vector_store" not in wrong for wrong in map(_failing_names, answers.values())
    )


def _failing_names(answer: PodAnswer) -> set[str]:
    return {check.name for check in answer.checks if not check.ok}


def secret_reported_missing(observed: Observed, answers: Mapping[str, PodAnswer]) -> bool:
    """A pod cannot start without a Secret, or the API says that it has no keys although we make them."""
    fault = first_fault(observed.pods)
    if fault is not None and fault.reason is Reason.SecretMissing:
        return True
    ours = observed.service.spec.api.auth.keys_secret_ref is None
    return ours and any(check.name == "api_keys" and not check.ok for a in answers.values() for check in a.checks)


def transitions(before: Json, after: Json) -> Iterable[tuple[str, str, str]]:
    """Events (type, reason, message) of what happened between two statuses: failures, recoveries, new revisions."""
    old = {c["type"]: c for c in before.get("conditions") or ()}
    for condition in after["conditions"]:
        if condition["type"] not in {"Ready", "SpecValid", "IndexReady", "Suspended"}:
            continue
        was = old.get(condition["type"], {})
        if (was.get("status"), was.get("reason")) == (condition["status"], condition["reason"]):
            continue
        if condition["type"] == "SpecValid" and condition["status"] == TRUE and was.get("status") != FALSE:
            continue  # that a spec is right is no news unless it was wrong
        if condition["status"] == TRUE:
            yield "Normal", condition["reason"], condition["message"]
        elif condition["status"] == FALSE and Reason(condition["reason"]) not in UNDER_WAY | QUIET:
            yield "Warning", condition["reason"], condition["message"]
    if after.get("revision") is not None and after.get("revision") != before.get("revision"):
        yield "Normal", str(Reason.Settled), f"Revision {after['revision']} is served by every API pod."


QUIET = frozenset({Reason.Suspended, Reason.NotSuspended, Reason.Settled})


def look_again(facts: Facts, now: datetime) -> float | None:
    """Seconds until the next look although no event may come: what is not watched (ConfigMaps of the user's, answers
    of pods) is asked again, quickly at first and then more slowly."""
    if facts.problem is not None or facts.suspended:
        return None
    age = _age(facts, now)
    if facts.plan.faults or facts.refusals:
        return min(15.0, max(0.5, age / 4))
    hash_ = facts.plan.table.table_hash()
    pods = [pod for pod in facts.api_pods if pod.running]
    answers = [facts.answers.get(pod.name, PodAnswer()) for pod in pods]
    if any(answer.models is not None and answer.models.table_hash != hash_ for answer in answers):
        return min(2.0, max(0.2, age / 5))
    if any(answer.models is None for answer in answers):
        return min(15.0, max(0.5, age / 4))
    return None if all(pod.ready for pod in pods) else min(15.0, max(1.0, age / 4))


def _age(facts: Facts, now: datetime) -> float:
    """Seconds since `Ready` last changed: the pace of asking, nothing else."""
    for condition in facts.observed.status.get("conditions") or ():
        if condition["type"] == "Ready" and condition["status"] != TRUE:
            return max(0.0, (now - datetime.fromisoformat(condition["lastTransitionTime"])).total_seconds())
    return 0.0
