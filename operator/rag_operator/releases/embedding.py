"""The embedding server that the spec names, as the API asks it. What its vectors are: `identity`. Pure."""

from rag_contract.release_table import Endpoint

from .. import names
from ..api import RagServiceSpec


def wanted_embedder(spec: RagServiceSpec) -> Endpoint | None:
    """What turns questions into vectors; None where words are compared only."""
    server = spec.index.embedding.server
    if server is None:
        return None
    reference = server.api_key_secret_ref
    key = names.model_key_file(reference.name, reference.key) if reference is not None else None
    return Endpoint(url=server.url, model=server.model, key=key)
