"""What became of each revision: the status of the RagRevisions, and the history in the status of the RagService.

    none -> Serving -> Superseded   a later revision took over
               ^    -> RolledBack   an earlier one took over, or spec.rollback
               `-------'            it is served again

Only what every API pod has confirmed is written: a revision on its way has the status that it had.
"""

from collections.abc import Mapping
from datetime import datetime

from .. import names
from ..api import RevisionState
from ..observed import Json, Pod, condition_of
from ..releases.records import record_of
from .facts import TRUE, Facts
from .release import confirmed

HISTORY = 10


def revision_statuses(facts: Facts) -> dict[int, tuple[Json, Json]]:
    """Body and wanted status of each RagRevision that stays, by number."""
    kept = {revision.number for revision in facts.plan.retained}
    sure = confirmed(facts).status == TRUE
    found = {}
    for body in facts.observed.of_kind("RagRevision"):
        record = record_of(body)
        if record is not None and record.revision.number in kept:
            number = record.revision.number
            found[number] = (body, _status(facts, number, body.get("status") or {}, sure=sure))
    return dict(sorted(found.items()))


def _status(facts: Facts, number: int, stored: Json, *, sure: bool) -> Json:
    """`sure`: every API pod has said that it serves the release table, so what is not in it has been left."""
    weights = {revision.number: revision.weight for revision in facts.plan.table.revisions}
    state, stamp = stored.get("state"), facts.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    if not sure and number in weights:  # from now on a pod may serve it again
        return {key: value for key, value in stored.items() if key != "left"}
    if not sure or (number not in weights and state not in {None, RevisionState.SERVING} and "left" in stored):
        return stored
    if number in weights:
        before = stored if state == RevisionState.SERVING else {}
        loaded = stored.get("loadSeconds") if before else _load_seconds(facts, number)
        told = {"loadSeconds": loaded} if loaded is not None else {}
        since = before.get("since", stamp)
        return {"state": str(RevisionState.SERVING), "weight": weights[number], "since": since, **told}
    serving = facts.plan.serving
    back = facts.plan.overlay.active or (serving is not None and serving.number < number)
    left = RevisionState.ROLLED_BACK if back else RevisionState.SUPERSEDED
    known: Json = {key: stored[key] for key in ("since", "loadSeconds") if key in stored}
    return {"state": str(left), "weight": 0, **known, "left": stamp}


def _load_seconds(facts: Facts, number: int) -> int | None:
    """How long the slowest pod of its model took from its start until it was ready; None where nobody can tell."""
    served = {revision.number: revision.model for revision in facts.plan.table.revisions}[number]
    label = served.hash[:8]
    pods = [pod for pod in facts.observed.pods_of(names.COMPONENT_MODEL) if pod.labels.get(names.LABEL_MODEL) == label]
    times = [seconds for pod in pods if pod.ready and (seconds := _seconds_to_ready(pod)) is not None]
    return max(times, default=None)


def _seconds_to_ready(pod: Pod) -> int | None:
    status = pod.raw.get("status") or {}
    ready = condition_of(status, "Ready") or {}
    containers = status.get("containerStatuses") or [{}]
    started = ((containers[0].get("state") or {}).get("running") or {}).get("startedAt")
    then = ready.get("lastTransitionTime")
    if started is None or then is None:
        return None
    return max(0, round((datetime.fromisoformat(then) - datetime.fromisoformat(started)).total_seconds()))


def history(facts: Facts, statuses: Mapping[int, tuple[Json, Json]]) -> list[Json]:
    """The last ten revisions that are kept, the newest first, each with what became of it."""
    return [
        {
            "number": revision.number,
            "prompt": revision.prompt.version,
            "index": revision.index.version,
            "model": revision.model.name,
            "chunks": revision.index.chunks,
            **{key: value for key, value in statuses[revision.number][1].items() if key in {"state", "since"}},
        }
        for revision in sorted(facts.plan.retained, key=lambda revision: -revision.number)[:HISTORY]
        # One whose record was refused has not been; its number would count as used, and the next pass would take another.
        if revision.number in statuses
    ]


def revision_writes(facts: Facts) -> list[tuple[Json, Json]]:
    """RagRevisions whose stored status differs, with the wanted one."""
    return [
        (body, wanted) for body, wanted in revision_statuses(facts).values() if wanted != (body.get("status") or {})
    ]
