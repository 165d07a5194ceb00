"""The index Job: builds one collection beside the serving one, verifies it, and reports in its termination message."""

from typing import Any

from rag_contract.environment import (
    DOCUMENTS_PATH,
    EMBEDDING_API_KEY_VARIABLE,
    INDEXER_PORT,
    QDRANT_API_KEY_VARIABLE,
    IndexerEnvironment,
)

from .. import names, quantities
from ..api import RagService
from ..releases import IndexTarget
from ..settings import Settings
from . import batch, pod, store

Json = dict[str, Any]

RETRIES = 3
GRACE_SECONDS = 30


def environment(svc: RagService, target: IndexTarget, *, first: bool = False) -> IndexerEnvironment:
    """Everything that the indexer is told, the store's key apart. `first`: nothing serves yet, so that outside readers are to
    find this collection as soon as it is verified; later the sweep moves their alias."""
    spec, metadata = svc.spec.index, svc.metadata
    return IndexerEnvironment(
        service=metadata.name,
        version=target.version,
        collection=target.collection,
        content_hash=target.hash,
        qdrant_url=store.url(svc),
        tenant=spec.documents.tenant,
        max_characters=spec.chunking.max_characters,
        overlap_characters=spec.chunking.overlap_characters,
        storage_bytes=_storage_bytes(svc),
        alias=names.index_alias(metadata.namespace, metadata.name) if first else None,
        **_embedding(svc),
    )


def _storage_bytes(svc: RagService) -> int | None:
    """Of a vector store that runs elsewhere nothing is known."""
    qdrant = svc.spec.vector_store.qdrant
    size = quantities.value_of(qdrant.storage.size) if qdrant is not None else None
    return int(size) if size is not None else None


def _embedding(svc: RagService) -> Json:
    server = svc.spec.index.embedding.server
    if server is None:
        return {}
    return {
        "embedding_url": server.url,
        "embedding_model": server.model,
        "embedding_revision": server.revision,
        "embedding_dimension": server.dimension,
        "embedding_distance": server.distance.value,
    }


def job(svc: RagService, target: IndexTarget, settings: Settings, key_stamp: str, *, first: bool) -> Json:
    """One run that builds the target. `first`: as of `environment`."""
    environ = environment(svc, target, first=first).to_env()
    spec = svc.spec.index
    made_from = {
        "image": settings.indexer_image,
        "environment": environ,
        "resources": spec.resources.model_dump(mode="json", exclude_none=True),
        "deadline": spec.deadline_seconds,
        "key": key_stamp,
    }
    pod_spec = _pod(svc, environ, settings)
    made = batch.job(
        svc.metadata.name,
        names.COMPONENT_INDEX,
        names.index_job(svc.metadata.name, target.hash),
        made_from,
        pod_spec,
        backoffLimit=RETRIES,
        activeDeadlineSeconds=spec.deadline_seconds,
        podFailurePolicy=batch.failure_policy(pod_spec),
    )
    if target.slot:
        made["metadata"]["annotations"][names.ANNOTATION_SLOT] = target.slot
    return made


def _pod(svc: RagService, environ: dict[str, str], settings: Settings) -> Json:
    mount: Json = {"name": names.VOLUME_DOCUMENTS, "mountPath": DOCUMENTS_PATH, "readOnly": True}
    claim = svc.spec.index.documents.persistent_volume_claim
    if claim is not None and claim.path:
        mount["subPath"] = claim.path
    main = pod.container(
        "indexer",
        settings.indexer_image,
        svc.spec.index.resources,
        env=pod.variables(environ) + _secrets(svc),
        ports=[pod.port(names.PORT_HTTP, INDEXER_PORT)],
        volumeMounts=[mount, {"name": names.VOLUME_TEMPORARY, "mountPath": "/tmp"}],  # noqa: S108 - the pod's own
    )
    return pod.pod_spec(
        main,
        [_documents(svc), pod.temporary("256Mi")],
        restartPolicy="Never",
        terminationGracePeriodSeconds=GRACE_SECONDS,
    )


def _secrets(svc: RagService) -> list[Json]:
    """The keys of the store and of the embedding server."""
    key, found = store.write_key(svc), []
    if key is not None:
        found.append(pod.secret_variable(QDRANT_API_KEY_VARIABLE, key.secret, key.key))
    server = svc.spec.index.embedding.server
    reference = server.api_key_secret_ref if server is not None else None
    if reference is not None:
        found.append(pod.secret_variable(EMBEDDING_API_KEY_VARIABLE, reference.name, reference.key))
    return found


def _documents(svc: RagService) -> Json:
    documents = svc.spec.index.documents
    if documents.config_map_ref is not None:
        return {"name": names.VOLUME_DOCUMENTS, "configMap": {"name": documents.config_map_ref.name}}
    assert documents.persistent_volume_claim is not None  # noqa: S101 - the schema demands exactly one
    claim = {"claimName": documents.persistent_volume_claim.claim_name, "readOnly": True}
    return {"name": names.VOLUME_DOCUMENTS, "persistentVolumeClaim": claim}
