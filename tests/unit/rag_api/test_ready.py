"""`/ready`, check by check, and the other slow routes."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from rag_api.readiness import UPSTREAM_SECONDS
from rag_contract.identity import IndexIdentity
from rag_contract.reports import ModelsCurrent, ReadyReport

from . import corpus
from .conftest import Store
from .doubles import answering
from .doubles import store as store_double
from .harness import Answer, Folder, revision, serving


def _failing(answer: Answer) -> dict[str, str]:
    return {check["name"]: check["message"] for check in answer.json["checks"] if not check["ok"]}


async def test_ready_when_everything_is_there(store: Store, folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(chunks=store.chunks))
    async with serving(tmp_path, store.url, qdrant_key=store.key) as api:
        answer = await api.send("GET", "/ready")
    report = ReadyReport.model_validate_json(answer.body)
    assert (200, True) == (answer.status, report.ready)
    assert ["releases", "vector_store", "collections", "model", "embedder", "smoke", "api_keys", "draining"] == [
        c.name for c in report.checks
    ]
    assert {""} == {c.message for c in report.checks}


async def test_each_missing_part_is_named_with_its_remedy(folder: Folder, tmp_path: Path) -> None:
    (folder.keys / "keys.json").unlink()
    async with serving(tmp_path, "http://127.0.0.1:9") as api:
        answer = await api.send("GET", "/ready")
    assert (503, "NOT_READY", "1") == (answer.status, answer.code, answer.headers["retry-after"])
    failing = _failing(answer)
    assert {"releases", "vector_store", "api_keys"} == set(failing)
    assert all(failing.values())


async def test_an_empty_table_waits_for_its_first_index(store: Store, folder: Folder, tmp_path: Path) -> None:
    folder.serve()
    async with serving(tmp_path, store.url, qdrant_key=store.key) as api:
        assert {"releases"} == set(_failing(await api.send("GET", "/ready")))
        answer = await api.ask("Anything?")
    assert (503, "NOT_READY", "5") == (answer.status, answer.code, answer.headers["retry-after"])


OTHER = IndexIdentity(provider="BM25", model="another-analyzer")


@pytest.mark.parametrize(
    ("changes", "chunks", "word"),
    [
        (None, 1, "stamp"),
        ({"complete": False}, 1, "not complete"),
        ({"identity": OTHER}, 1, "another identity"),
        ({}, 2, "the release names 2"),
    ],
)
async def test_a_collection_that_is_not_the_right_one_is_not_queried(
    *, store: Store, folder: Folder, tmp_path: Path, changes: dict[str, Any] | None, chunks: int, word: str
) -> None:
    points = [corpus.chunk("Anything goes in this office.")]
    name = f"wrong-{word.replace(' ', '-')}"
    mark = None if changes is None else corpus.stamp(points, **changes)
    await corpus.build(store.url, name, points, mark, store.write_key)
    folder.serve(revision(collection=name, chunks=chunks))
    async with serving(tmp_path, store.url, qdrant_key=store.key) as api:
        ready = await api.send("GET", "/ready")
        answer = await api.ask("Anything goes?")
    assert word in _failing(ready)["collections"]
    assert (503, "NOT_READY") == (answer.status, answer.code)


async def test_a_collection_that_is_not_there(store: Store, folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(collection="nowhere"))
    async with serving(tmp_path, store.url, qdrant_key=store.key) as api:
        assert "nowhere" in _failing(await api.send("GET", "/ready"))["collections"]
        assert (await api.ask("Anything?")).code == "NOT_READY"


async def test_a_refused_key_of_the_store_is_named(store: Store, folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(chunks=store.chunks))
    async with serving(tmp_path, store.url, qdrant_key="wrong") as api:
        assert "refused this API's key" in _failing(await api.send("GET", "/ready"))["collections"]
        assert "wrong" not in (await api.send("GET", "/version")).body.decode()


async def test_a_store_that_hangs_is_named_before_a_probe_gives_up(folder: Folder, tmp_path: Path) -> None:
    @web.middleware
    async def hang(request: web.Request, handler: Any) -> Any:
        await asyncio.sleep(60)

    folder.serve(revision())
    async with store_double(answering(), middlewares=(hang,)) as url, serving(tmp_path, url) as api:
        async with asyncio.timeout(8):  # the store's own patience ends after 10 s
            answer = await api.send("GET", "/ready")
    assert {"vector_store", "collections"} == set(_failing(answer))
    assert "did not answer within 1.5 s" in _failing(answer)["vector_store"]
    assert UPSTREAM_SECONDS < 2


async def test_probes_ask_the_store_at_most_once_a_second(folder: Folder, tmp_path: Path) -> None:
    calls = 0

    @web.middleware
    async def count(request: web.Request, handler: Any) -> Any:
        nonlocal calls
        calls += 1
        return await handler(request)

    folder.serve(revision())
    async with store_double(answering(), middlewares=(count,)) as url, serving(tmp_path, url) as api:
        answers = await asyncio.gather(*(api.send("GET", "/ready") for _ in range(50)))
        assert {200} == {answer.status for answer in answers}
    assert calls == 2


async def test_models_current_says_what_is_served(store: Store, folder: Folder, tmp_path: Path) -> None:
    table = folder.serve(revision(1, 90, chunks=store.chunks), revision(2, 10, chunks=store.chunks))
    async with serving(tmp_path, store.url, qdrant_key=store.key) as api:
        current = ModelsCurrent.model_validate_json((await api.send("GET", "/models/current")).body)
    assert (table.table_hash(), "1.2.3") == (current.table_hash, current.api_version)
    assert [(1, 90), (2, 10)] == [(each.number, each.weight) for each in current.revisions]
    assert "handbook" == current.revisions[0].index.collection


async def test_version_names_the_build_and_no_secret(folder: Folder, tmp_path: Path) -> None:
    async with serving(tmp_path, "http://127.0.0.1:9", qdrant_key="canary-key") as api:
        answer = await api.send("GET", "/version")
    assert ("1.2.3", "abc", "pod") == (answer.json["version"], answer.json["commit"], answer.json["rate_limit_scope"])
    assert b"canary-key" not in answer.body


async def test_the_documents_hold_the_hot_routes(folder: Folder, tmp_path: Path) -> None:
    async with serving(tmp_path, "http://127.0.0.1:9") as api:
        document = (await api.send("GET", "/openapi.json")).json
        page = (await api.send("GET", "/docs")).body.decode()
    query = document["paths"]["/query"]["post"]
    assert "text/event-stream" in document["paths"]["/query/stream"]["post"]["responses"]["200"]["content"]
    schema = document["components"]["schemas"]["QueryRequest"]
    assert (schema["additionalProperties"], schema["required"]) == (False, ["question"])
    assert {"200", "401", "422", "429", "503"} <= set(query["responses"])
    assert "POST /query/stream" in page
    assert "src=" not in page
    for reference in _references(document):
        assert reference.rsplit("/", 1)[1] in document["components"]["schemas"]


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in _references(value)]
    return [found for value in node for found in _references(value)] if isinstance(node, list) else []
