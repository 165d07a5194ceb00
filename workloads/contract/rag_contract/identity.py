"""The identity of an index: everything that must be equal between building a collection and querying it."""

import hashlib
from typing import Literal

from .base import Contract

# Raised when the analysis in `analysis.py` changes what a text becomes: old collections then keep their own identity
# and are refused by an API that no longer speaks it, instead of answering nonsense.
ANALYZER = "unicode-fold-v1"
CHUNKER = "sentence-v1"

SPARSE_VECTOR = "text"
"""Name of the sparse vector in every collection."""

DENSE_VECTOR = "dense"
"""Name of the dense vector in collections whose provider makes vectors."""

METADATA_KEY = "rag"
"""Key of the collection metadata under which `CollectionStamp` lies."""


class IndexIdentity(Contract):
    """What a query must share with the collection it is asked of.

    `BM25` has words only: `model` is the analyzer. `OpenAI` has words and vectors: `model` and `revision` name the embedding
    model, `dimension` is in floats per vector. Equality is by `fingerprint`.
    """

    provider: Literal["BM25", "OpenAI"]
    model: str = ANALYZER
    analyzer: str = ANALYZER
    revision: str | None = None
    dimension: int | None = None
    distance: str | None = None
    normalisation: str = "nfc-casefold"
    chunker: str = CHUNKER

    def fingerprint(self) -> str:
        """16 hex digits over the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]


class CollectionStamp(Contract):
    """Metadata on a collection. `complete` turns true only after verification, with the final counts."""

    version: str
    content_hash: str
    identity: IndexIdentity
    documents: int = 0
    chunks: int = 0
    complete: bool = False
