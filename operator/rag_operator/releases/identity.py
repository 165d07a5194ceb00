"""Content hashes. They cover what the user declared, normalised; never what was rendered from it.

So an operator that renders differently restarts nothing and starts no new release.
"""

import hashlib
import json
from typing import Any

from rag_contract.identity import IndexIdentity
from rag_contract.release_table import Revision

from ..api import RagServiceSpec

LENGTH = 16
"""Hex digits of a content hash (64 bits). Names carry the first eight."""
CHUNKING = frozenset({"strategy", "max_characters", "overlap_characters"})
"""Are always in the hash of an index. What the spec gets later is in it only where it is set apart from its default: else each
index would be another one on the day of an upgrade, under a version that is taken."""


def digest(value: Any) -> str:
    """16 hex digits over canonical JSON: sorted keys, no spaces, text as it is."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def prompt_hash(system: str, refusal: str) -> str:
    """A prompt is its system text and its refusal; the version is only its name."""
    return digest({"system": system, "refusal": refusal})


def index_identity(spec: RagServiceSpec) -> IndexIdentity:
    """What queries must share with the collection. Where the server is found is no part of it."""
    server = spec.index.embedding.server
    if server is None:
        return IndexIdentity(provider="BM25")
    return IndexIdentity(
        provider="OpenAI",
        model=server.model,
        revision=server.revision,
        dimension=server.dimension,
        distance=server.distance.value,
    )


def index_hash(spec: RagServiceSpec, identity: IndexIdentity, documents_hash: str) -> str:
    """An index is its name, its source, how it is cut and encoded, and the documents themselves where we can read them.

    `documents_hash` is empty for volumes: their content is named by `index.version` alone. For a build by schedule it is the moment
    that it was asked for.
    """
    source = spec.index.documents.model_dump(mode="json", by_alias=True, exclude_none=True)
    cut = spec.index.chunking
    chunking = cut.model_dump(mode="json", by_alias=True, include=set(CHUNKING))
    chunking |= cut.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return digest(
        {
            "version": spec.index.version,
            "documents": source,
            "content": documents_hash,
            "chunking": chunking,
            "identity": identity.fingerprint(),
        }
    )


def revision_hash(revision: Revision, image: str | None = None) -> str:
    """Equal for equal content, whatever its number, weight or counts. `image` is the API image that the user names, if any:
    the operator's default is no part of what the user declared. Where weights come from is in the hash of the model, as far as it
    is part of what the model is."""
    apart: dict[str, Any] = {"number": True, "weight": True, "model": {"engine": {"weights"}}}
    body = revision.model_dump(mode="json", by_alias=True, exclude=apart)
    index = {key: value for key, value in body["index"].items() if key not in {"documents", "chunks"}}
    named = {} if image is None else {"image": image}
    return digest({**body, "index": index, **named})
