"""The fields of status that people read in columns, and the history."""

from .. import names
from ..observed import Json
from .facts import Facts, ratio

HISTORY = 10


def columns(facts: Facts, confirmed: bool) -> Json:
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
        "api": ratio(deployment),
        "qdrant": "-" if svc.spec.vector_store.external is not None else ratio(store),
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
            # One whose record was refused has not been; its number would count as used, and the next pass would take another.
            if observed.child("RagRevision", names.revision(facts.name, revision.number)) is not None
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
