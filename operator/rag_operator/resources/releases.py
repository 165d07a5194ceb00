"""The release table, mounted by every API pod, and the RagRevisions that record what was served."""

from typing import Any

from rag_contract.release_table import FILE_NAME, ReleaseTable, Revision

from .. import names
from ..api import Made, RagRevisionSpec, RagService
from ..observed import Observed
from ..releases import Plan
from ..releases.identity import revision_hash

Json = dict[str, Any]


def table(svc: RagService, content: ReleaseTable) -> Json:
    """The only mutable ConfigMap. It exists from the first pass, so that the API pods can mount it."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.releases(svc.metadata.name),
            "labels": {names.LABEL_COMPONENT: names.COMPONENT_RELEASES},
        },
        "data": {FILE_NAME: content.to_json()},
    }


def revisions(svc: RagService, observed: Observed, plan: Plan, made: Made) -> list[Json]:
    """The records to keep. One that exists is wanted as it is: today's rules may hash or fill in what it holds otherwise.

    `made` is how the one that is made now, if any, is run.
    """
    bodies = []
    for content in plan.retained:
        live = observed.child("RagRevision", names.revision(svc.metadata.name, content.number))
        bodies.append(_body(svc, content.number, revision_spec(content, made) if live is None else live["spec"]))
    return bodies


def revision_spec(content: Revision, made: Made) -> Json:
    """One immutable release, for the record and for going back."""
    digest = revision_hash(content, made.image if made.image_declared else None)
    spec = RagRevisionSpec.from_contract(content, digest, made)
    return spec.model_dump(mode="json", by_alias=True, exclude_none=True)


def _body(svc: RagService, number: int, spec: Json) -> Json:
    return {
        "apiVersion": names.API_VERSION,
        "kind": "RagRevision",
        "metadata": {
            "name": names.revision(svc.metadata.name, number),
            "labels": {names.LABEL_COMPONENT: names.COMPONENT_REVISION},
        },
        "spec": spec,
    }
