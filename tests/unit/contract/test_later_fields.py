"""API pods outlive an upgrade of the operator: the table of a later operator says nothing that they do not know."""

from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel
from rag_contract.identity import IndexIdentity
from rag_contract.release_table import IndexRelease, ModelRelease, PromptRelease, ReleaseTable, Retrieval, Revision

DEFAULTS = {
    "Engine": {"arguments", "gpu_memory_percent", "gpus", "launcher", "trust_remote_code"},
    "IndexIdentity": {"analyzer", "chunker", "model", "normalisation"},
    "ModelRelease": {"endpoints", "max_sentences"},
    "Policy": {"fallbacks", "model_enabled"},
    "ReleaseTable": {"policy", "revisions", "schema_version"},
}
"""Fields that are always written. No more of them: API pods of today would refuse the table."""


class LaterRetrieval(Retrieval):
    """As a later release may know it."""

    reranker: str | None = None


class LaterRevision(Revision):
    """As a later release may know it."""

    retrieval: LaterRetrieval


class LaterTable(ReleaseTable):
    """As a later release may know it."""

    revisions: tuple[LaterRevision, ...] = ()


def later_table() -> LaterTable:
    """What a later operator makes of a release of today."""
    row = LaterRevision(
        number=1,
        weight=100,
        prompt=PromptRelease(version="answer-v1", hash="p1", system="Answer.", refusal="No."),
        index=IndexRelease(
            version="docs-1",
            hash="i1",
            collection="docs-1-i1",
            identity=IndexIdentity(provider="BM25"),
            documents=1,
            chunks=1,
        ),
        model=ModelRelease(runtime="Extractive", name="extractive", hash="m1"),
        retrieval=LaterRetrieval(mode="Sparse", top_k=6),
    )
    return LaterTable(service="handbook", revisions=(row,))


def test_what_a_later_operator_writes_is_read_and_hashed_alike() -> None:
    later = later_table()
    read = ReleaseTable.model_validate_json(later.to_json())
    assert later.table_hash() == read.table_hash()
    assert "reranker" not in later.to_json()


def models(of: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and those that its fields hold."""
    yield of
    for field in of.model_fields.values():
        waiting = [field.annotation]
        while waiting:
            found = waiting.pop()
            waiting.extend(get_args(found))
            if isinstance(found, type) and issubclass(found, BaseModel):
                yield from models(found)


def test_a_field_that_is_added_to_the_table_is_required_or_none_by_default() -> None:
    found = {
        model.__name__: {
            name for name, field in model.model_fields.items() if not field.is_required() and field.default is not None
        }
        for model in models(ReleaseTable)
    }
    assert {name: fields for name, fields in found.items() if fields} == DEFAULTS
