"""The release table, mounted by every API pod, and the RagRevisions that record what was served."""

from typing import Any

from rag_contract.release_table import FILE_NAME, ReleaseTable, Revision

from .. import names
from ..api import RagRevisionSpec, RagService
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


def revision(svc: RagService, content: Revision) -> Json:
    """One immutable release, for the record and for going back."""
    spec = RagRevisionSpec.from_contract(content, revision_hash(content))
    return {
        "apiVersion": names.API_VERSION,
        "kind": "RagRevision",
        "metadata": {
            "name": names.revision(svc.metadata.name, content.number),
            "labels": {names.LABEL_COMPONENT: names.COMPONENT_REVISION},
        },
        "spec": spec.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
