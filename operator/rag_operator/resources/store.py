"""How our pods reach the vector store, be it ours or external: the address and who uses which key."""

from dataclasses import dataclass

from .. import names
from ..api import RagService


@dataclass(frozen=True, slots=True)
class SecretKey:
    """One key of one Secret in the service's namespace. Only its name is ever known to the operator."""

    secret: str
    key: str


def url(svc: RagService) -> str:
    """Base address of the vector store's HTTP API."""
    external = svc.spec.vector_store.external
    if external is not None:
        return external.url
    return names.qdrant_url(svc.metadata.namespace, svc.metadata.name)


def generates_key(svc: RagService) -> bool:
    """Whether the operator makes the keys: for its own Qdrant, unless the user brings a key."""
    qdrant = svc.spec.vector_store.qdrant
    return qdrant is not None and qdrant.api_key_secret_ref is None


def write_key(svc: RagService) -> SecretKey | None:
    """The key of the index Job (and of the server itself); None for an external store without one."""
    store = svc.spec.vector_store
    reference = store.external.api_key_secret_ref if store.external is not None else None
    if store.qdrant is not None:
        reference = store.qdrant.api_key_secret_ref
        if reference is None:
            return SecretKey(names.qdrant_key(svc.metadata.name), names.QDRANT_API_KEY)
    return SecretKey(reference.name, reference.key) if reference is not None else None


def read_key(svc: RagService) -> SecretKey | None:
    """The key of the API pods: read-only when the operator made it, else the one key that the user brought."""
    if generates_key(svc):
        return SecretKey(names.qdrant_key(svc.metadata.name), names.QDRANT_READ_ONLY_KEY)
    return write_key(svc)
