"""Collections with vectors: embedded by a double of an embedding server, written to the stand-in for Qdrant."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rag_contract.identity import DENSE_VECTOR
from rag_indexer import build
from rag_indexer.embedder import REQUEST_TEXTS, Embedder
from rag_indexer.errors import IndexFailure
from rag_indexer.servers import Servers

from tests.unit.openai_double import DIMENSION, ModelServer, model_server, vector

from .conftest import Bench
from .support import many, write

DOCUMENTS = {
    "en.md": "# Leave\n\nA full-time employee gets 18 days of annual leave.\n\n## Illness\n\nTell your team lead.",
    "boss.md": "---\ntenant: north\nroles: [manager]\n---\n# Budget\n\nThe budget is large.",
}


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with model_server() as running:
        yield running


def chosen(bench: Bench, server: ModelServer, folder: Path, **changes: Any) -> Any:
    fields = {
        "documents_path": str(folder),
        "embedding_url": server.url,
        "embedding_model": "org/embeddings",
        "embedding_dimension": DIMENSION,
        "embedding_distance": "Cosine",
        "wait_seconds": 2,
        **changes,
    }
    return bench.settings(**fields)


async def run(bench: Bench, settings: Any, key: str | None = None) -> Any:
    embedder = Embedder(settings, key)
    try:
        return await build.build(settings, replace(bench.servers, embedder=embedder), bench.progress)
    finally:
        await embedder.close()


async def test_chunks_get_the_vectors_of_their_texts(bench: Bench, server: ModelServer, tmp_path: Path) -> None:
    write(tmp_path, DOCUMENTS)
    settings = chosen(bench, server, tmp_path, embedding_revision="2026-11")
    result = await run(bench, settings, "sesame\n")
    assert (result.outcome, result.chunks) == ("Succeeded", 3)
    config = (await bench.ask("GET", ""))["result"]["config"]
    assert config["params"]["vectors"][DENSE_VECTOR] == {"size": DIMENSION, "distance": "Cosine"}
    identity = (await bench.stamp())["identity"]
    told = {key: identity[key] for key in ("provider", "model", "revision", "dimension", "distance")}
    assert told == {
        "provider": "OpenAI",
        "model": "org/embeddings",
        "revision": "2026-11",
        "dimension": DIMENSION,
        "distance": "Cosine",
    }
    assert all(each["authorization"] == "Bearer sesame" for each in server.headers)
    query = {"query": vector("Illness Tell your team lead."), "using": DENSE_VECTOR, "limit": 1, "with_payload": True}
    (hit,) = (await bench.ask("POST", "/points/query", query))["result"]["points"]
    assert hit["payload"]["heading"] == "Illness"


@pytest.mark.parametrize("base64", [True, False])
async def test_requests_are_bounded_and_numbers_are_as_good_as_base64(
    bench: Bench, server: ModelServer, tmp_path: Path, *, base64: bool
) -> None:
    server.base64 = base64
    many(tmp_path, 5, 40)
    assert (await run(bench, chosen(bench, server, tmp_path))).chunks == 200
    assert max(map(len, server.embedded)) == REQUEST_TEXTS


async def test_what_is_there_is_not_embedded_again(bench: Bench, server: ModelServer, tmp_path: Path) -> None:
    write(many(tmp_path, 5, 40), {"last.md": "# Last\n\nA unicorn."})
    settings = chosen(bench, server, tmp_path, wait_seconds=0)
    server.refused_text = "unicorn"  # in the second batch: the first one is awaited before it, so it is written
    with pytest.raises(IndexFailure) as caught:
        await run(bench, settings)
    assert (caught.value.reason, caught.value.retryable) == ("EmbeddingUnreachable", True)
    assert await bench.count() == build.BATCH_CHUNKS
    server.refused_text = None
    server.embedded.clear()
    assert (await run(bench, settings)).chunks == 201
    assert sum(map(len, server.embedded)) == 201 - build.BATCH_CHUNKS + 8  # the last eight are the verification's


async def test_a_server_that_is_busy_is_asked_again(bench: Bench, server: ModelServer, tmp_path: Path) -> None:
    write(tmp_path, DOCUMENTS)
    server.embedding_status = [429, 503, 200, 500]
    assert (await run(bench, chosen(bench, server, tmp_path, wait_seconds=20))).outcome == "Succeeded"


@pytest.mark.parametrize(
    ("status", "reason", "retryable"),
    [
        (401, "EmbeddingUnauthorized", True),
        (404, "EmbeddingModelNotFound", False),
        (400, "EmbeddingRefused", False),
        (500, "EmbeddingUnreachable", True),
    ],
)
async def test_refusals_are_named_and_leave_no_collection(
    *, bench: Bench, server: ModelServer, tmp_path: Path, status: int, reason: str, retryable: bool
) -> None:
    write(tmp_path, DOCUMENTS)
    server.embedding_status = [status] * 50
    with pytest.raises(IndexFailure) as caught:
        await run(bench, chosen(bench, server, tmp_path, wait_seconds=0))
    assert (caught.value.reason, caught.value.retryable) == (reason, retryable)
    assert "not now" not in caught.value.message
    assert (await bench.ask("GET", ""))["status"] != "ok"


async def test_another_dimension_is_refused_before_anything_is_written(
    bench: Bench, server: ModelServer, tmp_path: Path
) -> None:
    write(tmp_path, DOCUMENTS)
    server.dimension = 12
    with pytest.raises(IndexFailure, match=rf"vectors of 12 dimensions.*says {DIMENSION}") as caught:
        await run(bench, chosen(bench, server, tmp_path))
    assert (caught.value.reason, caught.value.retryable) == ("EmbeddingDimensionWrong", False)
    assert (await bench.ask("GET", ""))["status"] != "ok"


async def test_a_collection_of_words_is_not_taken_for_one_of_vectors(
    bench: Bench, server: ModelServer, tmp_path: Path
) -> None:
    write(tmp_path, DOCUMENTS)
    await build.build(bench.settings(documents_path=str(tmp_path)), bench.servers, bench.progress)
    with pytest.raises(IndexFailure, match="another analysis or embedding"):
        await run(bench, chosen(bench, server, tmp_path))


async def test_vectors_that_do_not_find_their_chunks_fail_the_verification(
    bench: Bench, server: ModelServer, tmp_path: Path
) -> None:
    many(tmp_path, 5, 40)

    class Changing(Embedder):
        """Answers for the verification what another model would."""

        async def embed(self, texts: Any) -> list[list[float]]:
            found = await super().embed(texts)
            return [row[::-1] for row in found] if bench.progress.stage == "Verifying" else found

    settings = chosen(bench, server, tmp_path)
    embedder = Changing(settings, None)
    with pytest.raises(IndexFailure, match="not found by its own vector"):
        await build.build(settings, Servers(bench.store, embedder), bench.progress)
    await embedder.close()
    assert (await bench.stamp())["complete"] is False


async def test_embedding_and_writing_overlap(bench: Bench, server: ModelServer, tmp_path: Path) -> None:
    many(tmp_path, 10, 60)
    busy: list[int] = []
    settings = chosen(bench, server, tmp_path)

    class Watching(Embedder):
        """Counts how many batches are embedded at a time."""

        at_work = 0
        overlapped = asyncio.Event()

        async def embed(self, texts: Any) -> list[list[float]]:
            self.at_work += 1
            busy.append(self.at_work)
            if self.at_work > 1:
                self.overlapped.set()
            try:
                if (
                    len(texts) == build.BATCH_CHUNKS
                ):  # the first one lasts until the second begins, however slow the machine
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self.overlapped.wait(), 10)
                return await super().embed(texts)
            finally:
                self.at_work -= 1

    embedder = Watching(settings, None)
    await build.build(settings, Servers(bench.store, embedder), bench.progress)
    await embedder.close()
    assert 1 < max(busy) <= Servers(bench.store, embedder).at_once
