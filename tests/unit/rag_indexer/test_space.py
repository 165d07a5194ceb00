"""Room for one more collection: asked before anything is written, against what is there."""

from pathlib import Path
from typing import Any

import pytest
from rag_indexer import build, corpus, space
from rag_indexer.errors import IndexFailure

from .conftest import Bench
from .support import many, settings

MIB = space.MIB


async def test_a_collection_that_does_not_fit_is_refused_and_leaves_nothing(bench: Bench, tmp_path: Path) -> None:
    many(tmp_path, 4, 10)
    chosen = bench.settings(documents_path=str(tmp_path), storage_bytes=35 * MIB)
    with pytest.raises(IndexFailure, match="needs about 33 MiB, and the volume of 35 MiB has about") as failure:
        await build.build(chosen, bench.servers, bench.progress)
    assert (failure.value.reason, failure.value.retryable) == ("InsufficientSpace", False)
    assert await bench.store.inspect() is None


async def test_it_fits_a_larger_volume_and_an_unknown_one(bench: Bench, tmp_path: Path) -> None:
    many(tmp_path, 2, 10)
    for volume in (100 * 1024 * MIB, None):
        chosen = bench.settings(documents_path=str(tmp_path), storage_bytes=volume)
        assert (await build.build(chosen, bench.servers, bench.progress)).outcome == "Succeeded"


async def test_what_is_there_counts(bench: Bench, tmp_path: Path) -> None:
    """By its points and their size; its own earlier try does not count against a collection."""
    many(tmp_path, 10, 60)
    await build.build(bench.settings(documents_path=str(tmp_path)), bench.servers, bench.progress)
    own = await space.estimated(bench.store.connection, bench.collection)
    assert 32.5 * MIB < own < 34 * MIB
    others = await space._others(bench.store.connection, bench.collection)
    assert bench.collection not in others
    assert bench.collection in await space._others(bench.store.connection, "another")


@pytest.mark.parametrize(
    ("source", "changes", "more"),
    [
        (10 * MIB, {}, 60 * MIB),
        (1040, {"max_characters": 1200, "overlap_characters": 160}, 6240),
        (1041, {"max_characters": 1200, "overlap_characters": 160, "embedding_dimension": 1024}, 6246 + 2 * 8192),
    ],
)
def test_the_need_is_by_text_and_vectors(source: int, changes: dict[str, Any], more: int) -> None:
    if "embedding_dimension" in changes:
        changes = changes | {"embedding_url": "http://e", "embedding_model": "m", "embedding_distance": "Cosine"}
    assert space.needed(source, settings(**changes)) == more + space.LOG_BYTES


async def test_a_file_that_vanished_takes_no_room(bench: Bench, tmp_path: Path) -> None:
    many(tmp_path, 2, 1)
    documents = corpus.scan(settings(documents_path=str(tmp_path)))
    (tmp_path / "0000.md").unlink()
    await space.check(
        bench.settings(documents_path=str(tmp_path), storage_bytes=100 * 1024 * MIB), bench.store.connection, documents
    )
