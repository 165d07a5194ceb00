"""Retrieval by vectors: an index that the indexer built, asked through the API, with a double of the embedding server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rag_api.app import Seams
from rag_api.releases import SPOKEN
from rag_contract.environment import IndexerEnvironment
from rag_contract.release_table import IndexRelease, Retrieval, Revision
from rag_indexer import build
from rag_indexer.embedder import Embedder
from rag_indexer.progress import Progress
from rag_indexer.servers import Servers
from rag_indexer.store import Store as IndexStore

from tests.qdrant_standin.fixture import start_standin
from tests.unit.openai_double import DIMENSION, ModelServer, model_server

from .harness import KEY, NOWHERE, Api, Folder, api_key, revision, serving

DOCUMENTS = {
    "leave.md": "# Leave\n\nEmployees get eighteen days of leave each year.",
    "food.md": "# Canteen\n\nLunch is served from noon.",
    "north.md": "---\ntenant: north\n---\n# Leave\n\nIn the north employees get thirty days of leave.",
    "boss.md": "---\nroles: [manager]\n---\n# Leave\n\nManagers get forty days of leave.",
}


@dataclass(frozen=True)
class Indexed:
    """An index with vectors, and how its release is made."""

    url: str
    index: IndexRelease

    def revision(self, server: ModelServer, mode: Any, **changes: Any) -> Revision:
        retrieval = Retrieval(mode=mode, top_k=6, minimum_score=changes.pop("minimum_score", None))
        index = self.index.model_copy(update={"embedder": server.endpoint("org/embeddings"), **changes})
        return revision(index=index, retrieval=retrieval)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Indexed]:
    """Built as its Job builds it."""
    folder = tmp_path_factory.mktemp("vectors")
    documents = folder / "documents"
    documents.mkdir()
    for name, text in DOCUMENTS.items():
        (documents / name).write_text(text, encoding="utf-8")
    with start_standin(folder / "qdrant") as qdrant:
        yield Indexed(qdrant.url, asyncio.run(_built(qdrant.url, documents)))


async def _built(url: str, documents: Path) -> IndexRelease:
    async with model_server() as server:
        settings = IndexerEnvironment(
            service="handbook",
            version="v1",
            collection="vectors",
            content_hash="h",
            qdrant_url=url,
            documents_path=str(documents),
            embedding_url=server.url,
            embedding_model="org/embeddings",
            embedding_dimension=DIMENSION,
            embedding_distance="Cosine",
        )
        servers = Servers(IndexStore(url, None, "vectors", 5), Embedder(settings, None))
        result = await build.build(settings, servers, Progress())
        await servers.close()
    return IndexRelease(
        version="v1",
        hash="h",
        collection="vectors",
        identity=settings.identity(),
        documents=result.documents,
        chunks=result.chunks,
    )


@asynccontextmanager
async def api(folder: Path, indexed: Indexed) -> AsyncIterator[tuple[Api, Folder, ModelServer]]:
    files = Folder(folder)
    files.allow(api_key("default", KEY), api_key("north", "north-key", tenant="north"))
    seams = Seams(embedding_timeout=0.5)
    async with model_server() as server, serving(folder, indexed.url, seams=seams) as running:
        yield running, files, server


async def found(running: Api, question: str, **fields: Any) -> list[str]:
    answer = await running.ask(question, include_trace=True, **fields)
    assert answer.status == 200, answer.body
    return [each["document_id"] for each in answer.json["trace"]["sources"]]


@pytest.mark.parametrize("mode", ["Sparse", "Dense", "Hybrid"])
async def test_every_mode_finds_and_keeps_to_the_tenant_and_roles(tmp_path: Path, indexed: Indexed, mode: str) -> None:
    async with api(tmp_path, indexed) as (running, files, server):
        await running.take(files.serve(indexed.revision(server, mode)))
        own = await found(running, "How many days of leave do employees get?")
        assert own[0] == "leave.md"
        assert {"north.md", "boss.md"}.isdisjoint(own)
        north = await found(running, "How many days of leave do employees get?", key="north-key")
        assert set(north) == {"north.md"}
        assert len(server.embedded) == (0 if mode == "Sparse" else 2)
        # By words nothing is found that shares none; by vectors the nearest always is.
        strange = await found(running, "Zebra crossing?")
        assert bool(strange) is (mode != "Sparse")


async def test_a_floor_drops_what_is_too_far(tmp_path: Path, indexed: Indexed) -> None:
    async with api(tmp_path, indexed) as (running, files, server):
        await running.take(files.serve(indexed.revision(server, "Dense", minimum_score=0.5)))
        assert await found(running, "Zebra crossing?") == []
        assert await found(running, "days of leave employees get") == ["leave.md"]


async def test_numbers_are_as_good_as_base64(tmp_path: Path, indexed: Indexed) -> None:
    async with api(tmp_path, indexed) as (running, files, server):
        server.base64 = False
        await running.take(files.serve(indexed.revision(server, "Dense")))
        assert (await found(running, "days of leave employees get"))[0] == "leave.md"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"dimension": 7}, 503, "NOT_READY"),
        ({"embedding_status": [500] * 9}, 502, "UPSTREAM_ERROR"),
        ({"embedding_status": [401] * 9}, 502, "UPSTREAM_ERROR"),
        ({"embedding_status": [429] * 9}, 502, "UPSTREAM_RATE_LIMITED"),
        ({"url": NOWHERE.url}, 502, "UPSTREAM_ERROR"),
    ],
)
async def test_an_embedder_that_fails_is_an_error_not_a_worse_search(
    *, tmp_path: Path, indexed: Indexed, change: dict[str, Any], status: int, code: str
) -> None:
    async with api(tmp_path, indexed) as (running, files, server):
        vars(server).update(change)
        await running.take(files.serve(indexed.revision(server, "Hybrid")))
        answer = await running.ask("How many days of leave?")
        assert (status, code) == (answer.status, answer.code)
        assert await running.metric('rag_upstream_failures_total{reason="') == 1


async def test_readiness_asks_the_embedder_only_where_it_is_needed(tmp_path: Path, indexed: Indexed) -> None:
    async with api(tmp_path, indexed) as (running, files, server):
        server.url = NOWHERE.url
        for mode, status in (("Sparse", 200), ("Dense", 503)):
            await running.take(files.serve(indexed.revision(server, mode)))
            answer = await running.send("GET", "/ready")
            assert answer.status == status
            (check,) = [each for each in answer.json["checks"] if each["name"] == "embedder"]
            assert check["ok"] is (mode == "Sparse")


@pytest.mark.parametrize(
    ("mode", "changes", "message"),
    [
        ("Dense", {"identity": SPOKEN}, "compares vectors"),
        ("Hybrid", {"embedder": None}, "compares vectors"),
        ("Sparse", {"analyzer": "other-v9"}, "analysed by other-v9"),
        ("Dense", {"dimension": None}, "how many dimensions"),
    ],
)
async def test_a_release_that_cannot_be_asked_is_refused(
    *, tmp_path: Path, indexed: Indexed, mode: str, changes: dict[str, Any], message: str
) -> None:
    async with api(tmp_path, indexed) as (running, files, server):
        identity = indexed.index.identity
        own = {key: value for key, value in changes.items() if key in type(identity).model_fields}
        rest = {key: value for key, value in changes.items() if key not in own}
        changed = {"identity": identity.model_copy(update=own), **rest}
        files.serve(indexed.revision(server, mode, **changed))
        async with asyncio.timeout(20):
            while message not in (await running.send("GET", "/ready")).json["checks"][0]["message"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_an_index_of_another_model_is_not_asked(tmp_path: Path, indexed: Indexed) -> None:
    async with api(tmp_path, indexed) as (running, files, server):
        other = indexed.index.identity.model_copy(update={"revision": "newer"})
        await running.take(files.serve(indexed.revision(server, "Dense", identity=other)))
        answer = await running.ask("How many days of leave?")
        assert (answer.status, answer.code) == (503, "NOT_READY")
