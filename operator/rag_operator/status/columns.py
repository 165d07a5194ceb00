"""The fields of status that people read in columns, and the history."""

from collections.abc import Mapping

from .. import names
from ..observed import Json
from .facts import TRUE, Facts, ratio
from .gpu import gpu_status
from .release import confirmed, gone_back_to, waits_for
from .revisions import history, revision_statuses


def columns(facts: Facts) -> Json:
    """What is served as the pods last confirmed it: a release that they have not confirmed is not shown."""
    statuses = revision_statuses(facts)
    svc, observed = facts.observed.service, facts.observed
    deployment = observed.child("Deployment", names.api(facts.name))
    store = observed.child("StatefulSet", names.qdrant(facts.name))
    served: Json = {key: observed.status[key] for key in SERVED_FIELDS if key in observed.status}
    now = facts.plan.serving
    if now is not None and confirmed(facts).status == TRUE:
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
        "api": ratio(deployment),
        "qdrant": "-" if svc.spec.vector_store.external is not None else ratio(store),
        **gpu_status(facts),
        "replicas": ((deployment or {}).get("status") or {}).get("replicas", 0),
        "selector": names.selector_text(names.selector(facts.name, names.COMPONENT_API)),
        "release": _release(facts, statuses, served.get("revision")),
        "history": history(facts, statuses),
    }


def _release(facts: Facts, statuses: Mapping[int, tuple[Json, Json]], served: int | None) -> Json:
    """What is asked for and how far it is; `served` is the number that the pods last confirmed."""
    stored, plan = facts.observed.status, facts.plan
    moving = plan.serving.number if plan.serving is not None and plan.serving.number != served else None
    waits = waits_for(facts) if facts.problem is None else None
    previous = (stored.get("release") or {}).get("previous")
    if served is not None and stored.get("revision") not in {None, served}:
        previous = stored["revision"]
    since = statuses[served][1].get("since") if served is not None and served in statuses else None
    collections = {revision.index.collection: revision.index.chunks for revision in plan.retained}
    told = {
        "asked": f"rollback to {gone_back_to(facts)}" if gone_back_to(facts) else "spec",
        "since": since,
        "previous": previous,
        "movingTo": moving,
        "waitingFor": waits.message if waits is not None else None,
        "keptRevisions": len(plan.retained),
        "keptCollections": len(collections),
        "keptChunks": sum(collections.values()),
        "outdated": list(facts.outdated) or None,
    }
    return {key: value for key, value in told.items() if value is not None}


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
