"""The question that a pod puts to itself: until it is answered the pod is not ready, and the former pods of a roll-out stay."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from rag_api.app import Seams
from rag_api.errors import UpstreamError
from rag_api.readiness import CACHE_SECONDS
from rag_contract.release_table import Retrieval

from .conftest import Store
from .doubles import Script, answering, found, source
from .doubles import store as store_double
from .harness import Api, Folder, revision, serving

SAID = (Script("An answer. [S1]"), Script(UpstreamError("The model server is busy.")))
SILENT = (Script(), Script(RuntimeError("a bug")), Script(...))


def asking(script: Script) -> Seams:
    """The pod's generator is this double."""
    return Seams(generators={"Extractive": script})


async def smoke(api: Api) -> tuple[bool, str]:
    """The check as `/ready` tells it."""
    body = (await api.send("GET", "/ready")).json
    (check,) = [check for check in body["checks"] if check["name"] == "smoke"]
    return check["ok"], check["message"]


@pytest.mark.parametrize("script", SAID, ids=["answers", "its model server does not"])
async def test_pod_is_ready_once_it_has_tried_to_answer_and_asks_no_more(
    store: Store, folder: Folder, tmp_path: Path, script: Script
) -> None:
    script.started = 0
    folder.serve(revision(chunks=store.chunks))
    async with serving(tmp_path, store.url, seams=asking(script), qdrant_key=store.key) as api:
        assert await smoke(api) == (True, "")
        table = folder.serve(revision(2, chunks=store.chunks))
        await api.take(table)
        assert await smoke(api) == (True, "")
        assert (await api.send("GET", "/ready")).status == 200
    assert script.started == 1


@pytest.mark.parametrize("script", SILENT, ids=["says nothing", "has a bug", "hangs"])
async def test_pod_that_cannot_answer_is_not_ready(
    store: Store, folder: Folder, tmp_path: Path, script: Script
) -> None:
    folder.serve(revision(chunks=store.chunks))
    async with serving(tmp_path, store.url, seams=asking(script), qdrant_key=store.key) as api:
        good, message = await smoke(api)
        assert not good
        assert message.startswith("A first question of this pod's own")
        assert (await api.send("GET", "/ready")).status == 503


async def test_real_generator_answers_it_and_no_metric_counts_it(store: Store, folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(chunks=store.chunks))
    async with serving(tmp_path, store.url, qdrant_key=store.key) as api:
        assert await smoke(api) == (True, "")
        assert await api.metric("rag_answers_total") == 0


async def test_pod_that_finds_nothing_in_words_of_the_collection_is_not_ready(folder: Folder, tmp_path: Path) -> None:
    piece = source("Travel costs are paid within a week.")
    answers = [found(), found(piece)]

    async def query(_request: web.Request) -> web.Response:
        return web.json_response(answers[0])

    folder.serve(revision(chunks=1))
    async with store_double(query, stored=[piece]) as url, serving(tmp_path, url) as api:
        assert await smoke(api) == (False, "A question in words of the collection finds nothing in it.")
        del answers[0]
        await asyncio.sleep(CACHE_SECONDS)
        assert await smoke(api) == (True, "")


async def test_pieces_are_found_as_those_who_may_read_them(folder: Folder, tmp_path: Path) -> None:
    piece = source("Travel costs are paid within a week.", tenant="team-b", roles=["staff"])
    folder.serve(revision(chunks=1))
    async with store_double(answering(piece), stored=[piece]) as url, serving(tmp_path, url) as api:
        assert await smoke(api) == (True, "")


async def test_collection_of_pieces_without_words_asks_nothing(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(chunks=1))
    async with store_double(answering(), stored=[source("---")]) as url, serving(tmp_path, url) as api:
        assert await smoke(api) == (True, "")


async def test_pieces_may_score_little(store: Store, folder: Folder, tmp_path: Path) -> None:
    strict = Retrieval(mode="Sparse", top_k=6, minimum_score=1000)
    folder.serve(revision(chunks=store.chunks, retrieval=strict))
    async with serving(tmp_path, store.url, qdrant_key=store.key) as api:
        assert await smoke(api) == (True, "")


async def test_nothing_is_asked_before_there_is_anything_to_ask(store: Store, folder: Folder, tmp_path: Path) -> None:
    script = Script("Answer.")
    folder.serve()
    async with serving(tmp_path, store.url, seams=asking(script), qdrant_key=store.key) as api:
        assert await smoke(api) == (True, "")
    assert script.started == 0
