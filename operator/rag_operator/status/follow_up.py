"""What follows from a status: events for people, when to look again, and what the pods' answers ask for."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from .. import names
from ..api import Reason
from ..faults import first_fault, ripe_in
from ..observed import Json, Observed, Pod, PodAnswer, condition_of
from ..releases.model import has_stand_in
from .facts import FALSE, KEY_REFUSED, TRUE, UNDER_WAY, Facts
from .gpu import roll_out_event
from .moves import move


def missing_collection(answers: Mapping[str, PodAnswer]) -> bool:
    """A pod reaches the vector store and does not find a collection of the release table in it."""
    return any(
        "collections" in wrong and "vector_store" not in wrong for wrong in map(_failing_names, answers.values())
    )


def _failing_names(answer: PodAnswer) -> set[str]:
    """The failing checks. A store that refuses the key hides its collections: nothing is known to be missing."""
    return {check.name for check in answer.checks if not check.ok and KEY_REFUSED not in check.message}


def secret_reported_missing(observed: Observed, answers: Mapping[str, PodAnswer], now: datetime) -> bool:
    """A pod cannot start without a Secret, or the API says that it has no keys although we make them."""
    fault = first_fault(observed.pods, now, observed.notices)
    if fault is not None and fault.reason is Reason.SecretMissing:
        return True
    ours = observed.service.spec.api.auth.keys_secret_ref is None
    return ours and any(check.name == "api_keys" and not check.ok for a in answers.values() for check in a.checks)


def touch_mark(pod: Pod, answer: PodAnswer | None, table: str, now: datetime) -> str | None:
    """What to write on a pod so that its kubelet refreshes its volumes at once; None when there is no need.

    Once for each release table; and again and again while the pod misses its keys, since nobody tells us when the Secret comes
    and the kubelet looks by itself only every minute or so. A pod that was told of another table meanwhile is told of this one
    also when it reports it: its kubelet may have written the other one, and its process not read it yet.
    """
    if answer is None or answer.models is None:
        return None
    mark = pod.annotations.get(names.ANNOTATION_TABLE, "")
    if "api_keys" in _failing_names(answer):
        wanted = f"{table}/{int(now.timestamp() // KEYS_SECONDS)}"
        return wanted if mark != wanted else None
    told = mark.partition("/")[0]
    behind = answer.models.table_hash != table
    return table if told != table and (behind or told) else None


KEYS_SECONDS = 5.0


def eviction_hints(observed: Observed) -> Iterable[tuple[Pod, Mapping[str, str | None]]]:
    """Annotations to change on model pods: node autoscalers leave a pod alone while it loads for minutes, and only then.

    They are on pods, never in the template: there each change would be a roll-out.
    """
    for pod in observed.pods_of(names.COMPONENT_MODEL):
        wanted = {key: None if pod.ready or pod.ended else value for key, value in names.EVICTION_HINTS.items()}
        if any(pod.annotations.get(key) != value for key, value in wanted.items()):
            yield pod, wanted


def transitions(before: Json, after: Json) -> Iterable[tuple[str, str, str]]:
    """Events (type, reason, message) of what happened between two statuses: failures, recoveries, new revisions."""
    old = {c["type"]: c for c in before.get("conditions") or ()}
    for condition in after["conditions"]:
        if condition["type"] not in {"Ready", "SpecValid", "IndexReady", "GpuSchedulable", "Suspended"}:
            continue
        was = old.get(condition["type"], {})
        if (was.get("status"), was.get("reason")) == (condition["status"], condition["reason"]):
            continue
        if condition["reason"] == Reason.ValidWithWarnings:
            yield "Warning", condition["reason"], condition["message"]
            continue
        if condition["type"] == "SpecValid" and condition["status"] == TRUE and was.get("status") != FALSE:
            continue  # that a spec is right is no news unless it was wrong
        if condition["status"] == TRUE:
            yield "Normal", condition["reason"], condition["message"]
        elif _is_trouble(condition):
            yield "Warning", condition["reason"], condition["message"]
    rolled = roll_out_event(before, after)
    if rolled is not None:
        yield rolled
    moved = move(before, after)
    if moved is not None and moved.event is not None:
        yield ("Normal", *moved.event)


def _is_trouble(condition: Json) -> bool:
    """Not True, and no step of a way. What is unknown of a part makes `Ready` unknown, where it is told once."""
    known = condition["status"] == FALSE or condition["type"] == "Ready"
    return known and Reason(condition["reason"]) not in UNDER_WAY | QUIET


QUIET = frozenset({Reason.Suspended, Reason.NotSuspended, Reason.Settled})


SOON, QUICK, SLOW = 0.2, 15.0, 300.0
STAND_IN_SECONDS = 60.0
"""Between two looks where something may answer for a model that does not: the pods stay ready, so no event tells."""
FETCHING_SECONDS = 4.0
"""Between two questions to a pod that downloads: its progress is at most five seconds old."""


def look_again(facts: Facts, verdict: str) -> float | None:
    """Seconds until the next look although no event may come; None when `Ready` is True (`verdict`) or nothing is to run.

    What is not watched (quotas, answers of pods) is asked again, quickly at first, then more slowly.
    """
    again = _due(facts, verdict)
    if facts.suspended or not has_stand_in(facts.plan.table):
        return again
    return STAND_IN_SECONDS if again is None else min(again, STAND_IN_SECONDS)


def _due(facts: Facts, verdict: str) -> float | None:
    if verdict == TRUE and _one_too_many(facts):
        return SOON
    if facts.suspended or (verdict == TRUE and not facts.plan.refreshing):
        return None
    ripe = ripe_in(facts.observed.pods, facts.observed.claims.values(), facts.now)
    if verdict == TRUE:
        return ripe
    pace = _pace(facts, _age(facts))
    if any(pod.running for pod in facts.observed.pods_of(names.COMPONENT_MODEL_FETCH)):
        pace = min(pace, FETCHING_SECONDS)
    return pace if ripe is None else min(pace, ripe)


def _one_too_many(facts: Facts) -> bool:
    """What was just left was kept beyond the number to keep, because pods served it."""
    keep = facts.observed.service.spec.release.history
    served = {revision.number for revision in facts.plan.table.revisions}
    left = (number for number, record in facts.plan.records.items() if record.serves and number not in served)
    return len(facts.plan.retained) > keep and any(left)


def _pace(facts: Facts, age: float) -> float:
    if facts.refusals:
        return min(QUICK, max(0.5, age / 4))
    if facts.failing("api_keys") is not None:
        return min(30.0, max(KEYS_SECONDS, age / 20))
    table = facts.plan.table.table_hash()
    running = [facts.answers.get(pod.name, PodAnswer()) for pod in facts.api_pods if pod.running]
    if any(answer.models is not None and answer.models.table_hash != table for answer in running):
        return min(2.0, max(0.2, age / 5))
    if any(answer.models is None for answer in running):
        return min(QUICK, max(0.5, age / 4))
    return min(SLOW, max(1.0, age / 2))


def _age(facts: Facts) -> float:
    """Seconds since `Ready` last changed: the pace of asking, nothing else."""
    condition = condition_of(facts.observed.status, "Ready")
    if condition is None or condition["status"] == TRUE:
        return 0.0
    then = datetime.fromisoformat(condition["lastTransitionTime"])
    return max(0.0, (facts.now - then).total_seconds())
