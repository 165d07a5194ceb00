"""What goes: children that are ours and no longer wanted, and index Jobs that must run again. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from .. import names
from ..observed import ChildKey, Observed, component_of, finished, key_of
from ..releases import Plan
from ..releases.drain import FOR_EVER, former_models
from ..releases.model_fetch import FetchTarget, fetch_targets, on_lost_volume
from ..releases.sweep import asked, newest_sweep
from . import index_sweep

Json = dict[str, Any]

RETRY_AFTER = timedelta(minutes=5)
"""A failed index Job is started again after this time: what it waited for may have come."""
UNREAD_AFTER = timedelta(seconds=10)
"""The pod's result may reach us after the Job's end, but not this much later."""
SOON = 0.2
"""Seconds until the records hold what the pods have just confirmed."""
LOST_AFTER = timedelta(seconds=60)
"""An API pod that misses a collection is believed when the Job has been done for this long."""


LABEL_REVISION = "controller-revision-hash"
"""Of a StatefulSet's pod: the template that it was made from."""


class Age(NamedTuple):
    """What time and the pods decide: now, whether an API pod says that a collection of the release table is missing, whether all
    is as declared, so that no event will come, and whether a ready API pod does not say that it serves the table."""

    now: datetime
    missing: bool = False
    ready: bool = False
    doubted: bool = False

    def of(self, then: datetime) -> timedelta:
        """How long ago that was."""
        return self.now - then


def unwanted(observed: Observed, plan: Plan, built: Sequence[Json], age: Age) -> list[Json]:
    """Bodies to delete, in a stable order. Nothing that an existing pod may still need is among them."""
    wanted = {key_of(child) for child in built}
    kept = wanted | _settings_in_use(observed)
    job = _wanted_job(observed, plan)
    suspended = observed.service.spec.suspend
    former = {digest[:8] for digest in former_models(observed, plan, age.now, doubted=age.doubted)}
    swept, last_sweep = any(component_of(child) == names.COMPONENT_SWEEP for child in built), newest_sweep(observed)
    gone = []
    for key, body in sorted(observed.children.items()):
        if "deletionTimestamp" in body["metadata"]:
            continue
        if key.kind == "Job" and component_of(body) == names.COMPONENT_MODEL_FETCH:
            goes = _fetch_goes(body, observed, plan, age, as_built=key in wanted)
        elif component_of(body) == names.COMPONENT_SWEEP:
            # The last one stays as the record until another one follows; who was killed between the two left both.
            goes = key not in wanted and (swept or body is not last_sweep)
        elif key.kind == "RagRevision":
            goes = key not in kept and (plan.index is not None or _remembered(body, plan, last_sweep))
        elif key.kind == "Job":
            goes = _job_goes(body, plan, age, is_wanted=key == job, as_built=key in wanted, suspended=suspended)
        else:
            goes = key not in kept and _model_of(body) not in former
        if goes:
            gone.append(body)
    return gone


def _remembered(record: Json, plan: Plan, last_sweep: Json | None) -> bool:
    """Whether something else tells of the record's collection: while nobody knows which index is declared, no sweep can be made
    that does."""
    collection = record["spec"]["index"]["collection"]
    kept = {revision.index.collection for revision in plan.retained}
    return collection in kept or (last_sweep is not None and collection in asked(last_sweep).keep)


def _model_of(body: Json) -> str:
    """The model that the object is for, as its label says; empty for all others."""
    return str((body["metadata"].get("labels") or {}).get(names.LABEL_MODEL, ""))


def stuck_pods(observed: Observed) -> list[Json]:
    """Pods of Qdrant that were started from an earlier template and never became ready, after the template was changed.

    The StatefulSet's controller counts such a pod as the one that may be unavailable and waits for it for ever
    (kubernetes#67250; since 1.35 with Parallel pod management too), so reverting a bad edit would not help without this.
    """
    body = observed.child("StatefulSet", names.qdrant(observed.service.metadata.name))
    status = (body or {}).get("status") or {}
    if body is None or status.get("observedGeneration", 0) < body["metadata"].get("generation", 0):
        return []
    current = status.get("updateRevision")
    return [
        pod.raw
        for pod in observed.pods_of(names.COMPONENT_QDRANT)
        if not pod.ready and current and pod.labels.get(LABEL_REVISION, current) != current
    ]


def due_again(observed: Observed, plan: Plan, age: Age) -> float | None:
    """Seconds until a Job or a former model's server must be looked at again although nothing changes; None when no time is running."""
    times = [
        SOON if age.ready and index_sweep.waits_for_word(observed, plan) else None,
        _index_due(observed, plan, age),
        _refresh_due(plan, age),
        *(_fetch_due(observed, t, age) for t in fetch_targets(observed.service, plan)),
        *(
            left + 0.1
            for left in former_models(observed, plan, age.now, doubted=age.doubted).values()
            if left < FOR_EVER
        ),
    ]
    return min((time for time in times if time is not None), default=None)


def _fetch_due(observed: Observed, target: FetchTarget, age: Age) -> float | None:
    job = observed.child("Job", target.job)
    end = finished(job) if job is not None else None
    if end is None or end[0] != "Failed":
        return None
    return max(0.0, (end[1] + RETRY_AFTER - age.now).total_seconds()) + 0.1


def _index_due(observed: Observed, plan: Plan, age: Age) -> float | None:
    key = _wanted_job(observed, plan)
    job = observed.children.get(key) if key is not None else None
    end = finished(job) if job is not None else None
    if end is None:
        return None
    how, when = end
    if how == "Failed":
        wait = RETRY_AFTER
    elif plan.verified is None:
        wait = UNREAD_AFTER
    elif age.missing and plan.serves_declared_index:
        wait = LOST_AFTER
    else:
        return None
    return max(0.0, (when + wait - age.now).total_seconds()) + 0.1


def _refresh_due(plan: Plan, age: Age) -> float | None:
    """The next moment of the schedule."""
    if plan.refresh is None or not plan.refresh.next:
        return None
    return max(0.0, (datetime.fromisoformat(plan.refresh.next) - age.now).total_seconds()) + 0.1


def _wanted_job(observed: Observed, plan: Plan) -> ChildKey | None:
    if plan.index is None:
        return None
    return ChildKey("Job", names.index_job(observed.service.metadata.name, plan.index.hash))


def _settings_in_use(observed: Observed) -> set[ChildKey]:
    """Settings that a pod was started with, and all of them while a roll-out may still start old pods anew."""
    service = observed.service.metadata.name
    maps = {key for key in observed.children if key.kind == "ConfigMap" and _is_settings(observed.children[key])}
    if not _rolled_out(observed.child("Deployment", names.api(service))):
        return maps
    used = {pod.labels.get(names.LABEL_SETTINGS) for pod in observed.pods}
    return {key for key in maps if observed.children[key]["metadata"]["labels"].get(names.LABEL_SETTINGS) in used}


def _is_settings(body: Json) -> bool:
    return bool((body["metadata"].get("labels") or {}).get(names.LABEL_COMPONENT) == names.COMPONENT_SETTINGS)


def _rolled_out(deployment: Json | None) -> bool:
    if deployment is None:
        return False
    status, replicas = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    counts = {status.get("replicas", 0), status.get("updatedReplicas", 0)}
    return seen and counts == {replicas}


def _fetch_goes(job: Json, observed: Observed, plan: Plan, age: Age, *, as_built: bool) -> bool:
    """Weights that nobody wants are not downloaded; a Job that failed, or whose volume was lost, is made anew."""
    if job["metadata"]["name"] not in {target.job for target in fetch_targets(observed.service, plan)}:
        return True
    end = finished(job)
    if end is None:
        return not as_built
    if end[0] == "Failed":
        suspended = observed.service.spec.suspend
        return not suspended and (not as_built or age.of(end[1]) >= RETRY_AFTER)
    return on_lost_volume(observed, end[1])


def _job_goes(job: Json, plan: Plan, age: Age, *, is_wanted: bool, as_built: bool, suspended: bool) -> bool:
    """A Job that ended well stays as the record; one of another index goes; one that must run again goes."""
    end = finished(job)
    if plan.index is None:
        return False
    if not is_wanted:
        return True
    if end is None or suspended:
        return end is None and not as_built
    if end[0] == "Failed":
        return not as_built or age.of(end[1]) >= RETRY_AFTER
    if plan.verified is None:
        # It says it succeeded, yet neither its pod nor a revision tells the counts: running it again only verifies.
        return age.of(end[1]) >= UNREAD_AFTER
    return age.missing and plan.serves_declared_index and age.of(end[1]) >= LOST_AFTER
