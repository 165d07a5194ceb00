"""The index that the spec asks for, and what is known of its collection. Pure."""

import json
from dataclasses import dataclass

from rag_contract.identity import IndexIdentity
from rag_contract.release_table import IndexRelease
from rag_contract.reports import IndexResult

from .. import names
from ..api.reasons import Reason
from ..errors import NotReady
from ..observed import Observed
from .embedding import wanted_embedder
from .identity import index_hash, index_identity
from .records import Records
from .references import named_config_map


@dataclass(frozen=True, slots=True)
class IndexTarget:
    """The index that the spec asks for, before anything is known about its collection."""

    version: str
    hash: str
    collection: str
    identity: IndexIdentity


def wanted_index(observed: Observed) -> IndexTarget:
    """Raises NotReady while the documents are missing."""
    service, spec = observed.service, observed.service.spec
    content = ""
    if spec.index.documents.config_map_ref is not None:
        reference = named_config_map(
            observed, spec.index.documents.config_map_ref.name, "spec.index.documents.configMapRef"
        )
        if reference.size == 0:
            raise NotReady(
                Reason.NoDocuments,
                f'ConfigMap "{reference.name}", named by spec.index.documents.configMapRef, is empty: add documents.',
            )
        content = reference.content_hash
    identity = index_identity(spec)
    digest = index_hash(spec, identity, content)
    name = names.collection(service.metadata.namespace, service.metadata.name, spec.index.version, digest)
    return IndexTarget(version=spec.index.version, hash=digest, collection=name, identity=identity)


def index_result(observed: Observed, index: IndexTarget) -> IndexResult | None:
    """What the index Job's pod reported for exactly this content, as long as the pod is there. Success wins."""
    job = names.index_job(observed.service.metadata.name, index.hash)
    found = None
    for pod in observed.pods:
        if pod.component != names.COMPONENT_INDEX or pod.labels.get("job-name") != job or not pod.message:
            continue
        try:
            result = IndexResult.model_validate(json.loads(pod.message))
        except ValueError:
            continue
        if result.content_hash == index.hash and (found is None or result.outcome == "Succeeded"):
            found = result
    return found


def rebuilt_otherwise(
    observed: Observed, index: IndexTarget | None, verified: IndexRelease | None
) -> IndexResult | None:
    """The Job's result when it is another than the release names: the documents on the volume have changed since."""
    result = index_result(observed, index) if index is not None else None
    if result is None or verified is None or result.outcome != "Succeeded" or result.chunks == verified.chunks:
        return None
    return result


def verified(observed: Observed, index: IndexTarget | None, records: Records) -> IndexRelease | None:
    """Counts of the wanted index: from a revision that already served it, else from the Job that just built it."""
    if index is None:
        return None
    embedder = wanted_embedder(observed.service.spec)
    for record in records.values():
        if record.revision.index.hash == index.hash:
            return record.revision.index.model_copy(update={"embedder": embedder})
    result = index_result(observed, index)
    if result is None or result.outcome != "Succeeded":
        return None
    return IndexRelease(
        version=index.version,
        hash=index.hash,
        collection=index.collection,
        identity=index.identity,
        documents=result.documents,
        chunks=result.chunks,
        embedder=embedder,
    )
