"""`POST /query/stream`: the order of events, one end on every path, and slots that come free."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from rag_api.app import Seams
from rag_api.errors import UpstreamError
from rag_api.generator import Piece
from rag_api.protocol import BoundedProtocol

from .conftest import Store
from .doubles import Script, Scripts, answering, found, source
from .doubles import store as store_double
from .harness import KEY, Folder, events, names, revision, serving, until

DONE = Piece("", "stop", 3, 4)


class Impatient(BoundedProtocol):
    """The same with less patience."""

    untaken_seconds = 0.5


def playing(*steps: Any, **seams: Any) -> Seams:
    """Seams with a generator double that plays the steps."""
    return Seams(generators={"Extractive": Script(*steps)}, **seams)


async def test_a_stream_tells_what_a_query_answers(store: Store, folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(number=3, chunks=store.chunks))
    async with serving(tmp_path, store.url, qdrant_key=store.key) as api:
        whole = (await api.ask("Who is the CEO?")).json
        async with api.stream("Who is the CEO?") as response:
            headers = response.headers
            told = events(await response.text())
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert headers["x-rag-revision"] == "3"
    assert names(told) == ["meta", "token", "citation", "token", "citation", "done"]
    meta, done = told[0][1], told[-1][1]
    assert "".join(data["text"] for name, data in told if name == "token") == whole["answer"]
    assert [data for name, data in told if name == "citation"] == done["citations"]
    assert {c["chunk_id"] for c in whole["citations"]} == {c["chunk_id"] for c in done["citations"]}
    assert len(meta["sources"]) >= 2
    assert meta["trace_id"] == headers["x-trace-id"]
    assert (
        meta["revision"],
        meta["prompt_version"],
        meta["index_version"],
        meta["model_version"],
    ) == (3, "prompt-3", "index-3", "extractive")
    assert (done["finish_reason"], done["degraded"], done["usage"]) == ("stop", None, whole["usage"])


async def test_a_refusal_is_a_stream_that_ends_well(store: Store, folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(chunks=store.chunks))
    async with serving(tmp_path, store.url, qdrant_key=store.key) as api:
        told = await api.events("What is the CEO's salary?")
    assert names(told) == ["meta", "token", "done"]
    assert (told[-1][1]["finish_reason"], told[-1][1]["citations"]) == ("refused", [])


async def test_markers_are_checked_within_the_stream(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision())
    seams = playing("Yes [S", "1], no [S9", "] and [S1] again", "[S0].", DONE)
    async with store_double(answering(source("text"))) as url, serving(tmp_path, url, seams=seams) as api:
        told = await api.events("Anything?")
        dropped = await api.metric('rag_citations_total{result="dropped"}')
    assert "".join(data["text"] for name, data in told if name == "token") == "Yes [S1], no and [S1] again."
    assert names(told).count("citation") == 1
    assert dropped == 2


async def test_errors_before_the_first_event_are_statuses(folder: Folder, tmp_path: Path) -> None:
    async def broken(_request: web.Request) -> web.Response:
        return web.json_response({"status": {"error": "secret text"}}, status=500)

    folder.serve(revision())
    async with store_double(broken) as url, serving(tmp_path, url) as api, api.stream("Anything?") as response:
        assert response.status == 502
        assert (await response.json())["error"]["code"] == "UPSTREAM_ERROR"


@pytest.mark.parametrize(
    ("endings", "count", "patience"),
    [
        ((DONE, Piece("", "length"), UpstreamError("x"), RuntimeError("bug"), ValueError("bug"), None), 130, 60.0),
        ((...,), 20, 2.0),
    ],
)
async def test_every_stream_ends_in_exactly_one_terminal_event(
    *, folder: Folder, tmp_path: Path, endings: tuple[Any, ...], count: int, patience: float
) -> None:
    """Random scripts of text, waits, endings, faults and hangs; seeded, so that a failure can be repeated."""
    chance = random.Random(20261121)
    said = ["text ", "[S1] ", "[S7", "]", "\n\n", "data: x\n\n", 0.001, "ế"]
    scripts = Scripts()
    seams = Seams(generators={"Extractive": scripts}, stream_timeout=patience, quiet=0.05)
    folder.serve(revision())
    async with (
        store_double(answering(source("text"))) as url,
        serving(tmp_path, url, seams=seams, max_concurrent_requests=200) as api,
    ):

        async def one(number: int) -> None:
            question = f"Question {number}?"
            body = [chance.choice(said) for _ in range(number % 9)]
            ending: Any = chance.choice(endings)
            scripts.by_question[question] = Script(*body, *([] if ending is None else [ending]))
            async with api.stream(question) as response:
                text = await response.text()
            if response.status != 200:  # it failed before anything was said
                assert not isinstance(ending, Piece)
                assert "text " not in body
                return
            told = events(text)
            terminal = [name for name in names(told) if name in {"done", "error"}]
            assert (names(told)[0], len(terminal), names(told)[-1]) == ("meta", 1, terminal[0]), (body, ending)
            assert terminal[0] == ("done" if isinstance(ending, Piece) else "error"), (body, ending)
            if ending is ...:
                assert told[-1][1]["code"] == "STREAM_TIMEOUT"
            if isinstance(ending, RuntimeError | ValueError):
                assert told[-1][1]["code"] == "INTERNAL_ERROR"
                assert "bug" not in told[-1][1]["message"]

        await asyncio.gather(*(one(number) for number in range(count)))
        assert await api.until_idle()
        assert await api.metric("rag_open_streams") == 0


@pytest.mark.parametrize("first_token", [False, True])
async def test_a_client_that_leaves_frees_its_slot(folder: Folder, tmp_path: Path, first_token: bool) -> None:
    folder.serve(revision())
    script = Script(*(["first "] if first_token else []), ...)
    seams = Seams(generators={"Extractive": script})
    async with (
        store_double(answering(source("text"))) as url,
        serving(tmp_path, url, seams=seams, max_concurrent_requests=1) as api,
    ):
        async with api.stream("Anything?") as response:
            await response.content.readuntil(b"event: token" if first_token else b"event: meta")
            assert await api.metric("rag_slots_used") == 1
            assert await api.metric("rag_open_streams") == 1
            response.close()
        assert await api.until_idle()
        assert script.cancelled == 1
        assert await api.metric("rag_slots_used") == 0
        assert await api.metric('rag_requests_total{code="CLIENT_GONE"') == 1


async def test_a_client_that_leaves_during_retrieval_frees_its_slot(folder: Folder, tmp_path: Path) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def hanging(_request: web.Request) -> web.Response:
        asked.set()
        try:
            await asyncio.sleep(30)
        finally:
            left.set()
        raise AssertionError

    folder.serve(revision())
    async with store_double(hanging) as url, serving(tmp_path, url) as api:
        task = asyncio.create_task(api.ask("Anything?"))
        await asyncio.wait_for(asked.wait(), 5)
        task.cancel()
        assert await api.until_idle()
        assert await api.metric("rag_slots_used") == 0


async def test_a_quiet_stream_gets_heartbeats(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision())
    beaten = asyncio.Event()
    seams = playing("first", beaten, "last", DONE, quiet=0.05)
    async with (
        store_double(answering(source("text"))) as url,
        serving(tmp_path, url, seams=seams) as api,
        api.stream("Anything?") as response,
        asyncio.timeout(20),
    ):
        text = (await response.content.readuntil(b'"first"}\n\n')).decode()
        for _ in range(3):
            assert await response.content.readuntil(b"\n\n") == b": keep-alive\n\n"
        beaten.set()
        text += (await response.content.read()).decode()
    assert names(events(text)) == ["meta", "token", "token", "done"]


async def test_a_client_that_reads_nothing_does_not_hold_its_slot_for_ever(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision())
    seams = playing(*["x" * 60_000] * 400, DONE, stream_timeout=0.5)
    async with (
        store_double(answering(source("text"))) as url,
        serving(tmp_path, url, seams=seams, protocol=Impatient) as api,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rsplit(":", 1)[1]), limit=1024)
        body = b'{"question": "Anything?"}'
        writer.write(
            b"POST /query/stream HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer "
            + KEY.encode()
            + b"\r\ncontent-length: %d\r\n\r\n" % len(body)
            + body
        )
        await reader.readuntil(b"event: meta")
        assert await api.until_idle(20)
        await until(lambda: not api.host.server_state.connections)  # nor its connection, though it does not close it
        writer.close()


async def test_many_streams_at_once_do_not_mix(folder: Folder, tmp_path: Path) -> None:
    async def echo(request: web.Request) -> web.Response:
        await asyncio.sleep(0.01)
        limit = (await request.json())["limit"]
        return web.json_response(found(*[source(f"Answer of {limit} things.") for _ in range(limit)]))

    folder.serve(revision())
    async with store_double(echo) as url, serving(tmp_path, url, max_concurrent_requests=64) as api:

        async def one(limit: int) -> None:
            told = await api.events("answer things", top_k=limit)
            assert len(told[0][1]["sources"]) == limit
            assert f"Answer of {limit} things." in told[1][1]["text"]

        await asyncio.gather(*(one(1 + n % 20) for n in range(60)))
