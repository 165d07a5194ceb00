"""The release table: what the API pods serve. One JSON file in the ConfigMap `<service>-releases`.

The operator writes it whole; an API pod validates it whole and swaps it in atomically, or keeps the last good one.
"""

import hashlib
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .base import Contract
from .identity import IndexIdentity

FILE_NAME = "releases.json"

Name = Annotated[str, Field(min_length=1, max_length=128)]


class PromptRelease(Contract):
    """One prompt content. `refusal` is what is answered when no source supports an answer."""

    version: Name
    hash: Name
    system: str
    refusal: str


class IndexRelease(Contract):
    """One verified collection; `documents` and `chunks` are the counts the index Job reported."""

    version: Name
    hash: Name
    collection: Name
    identity: IndexIdentity
    documents: int = Field(ge=0)
    chunks: int = Field(ge=0)


class ModelRelease(Contract):
    """What turns sources into an answer. `Extractive` picks sentences and needs no model server."""

    runtime: Literal["Extractive"]
    name: Name
    max_sentences: int = Field(ge=1, le=10)


class Retrieval(Contract):
    """`top_k` chunks are fetched; hits under `minimum_score` (BM25 score, unbounded above) are dropped when set."""

    mode: Literal["Sparse"]
    top_k: int = Field(ge=1, le=20)
    minimum_score: float | None = None


class Revision(Contract):
    """One release that is served, with its share of the requests (`weight`, per cent)."""

    number: int = Field(ge=1)
    weight: int = Field(ge=0, le=100)
    prompt: PromptRelease
    index: IndexRelease
    model: ModelRelease
    retrieval: Retrieval


class ReleaseTable(Contract):
    """All served revisions. Empty until the first index is verified: a pod with an empty table is not ready."""

    schema_version: Literal[1] = 1
    service: Name
    revisions: tuple[Revision, ...] = Field(default=(), max_length=10)

    @model_validator(mode="after")
    def _weights_and_numbers_make_sense(self) -> Self:
        if self.revisions and sum(r.weight for r in self.revisions) != 100:
            raise ValueError("the weights of the revisions must add up to 100")
        if len({r.number for r in self.revisions}) != len(self.revisions):
            raise ValueError("a revision number appears twice")
        return self

    def table_hash(self) -> str:
        """16 hex digits over the canonical JSON: the operator compares it with what a pod reports."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]
