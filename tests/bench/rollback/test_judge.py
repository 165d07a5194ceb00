"""The benchmark's own eyes: a service that errs in one way or another is seen to."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from rag_api.generator import prompt
from rag_api.retriever import Source
from rag_contract.release_table import PromptRelease

from .facts import mixed, words
from .load import Load
from .model import page, said, system_prompt

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
REVISION = {
    "spec": {
        "number": 3,
        "prompt": {"version": "answer-v1", "hash": "aa"},
        "index": {"version": "docs-v2", "hash": "bb"},
        "retrieval": {"topK": 4},
    }
}
HEADERS = {"x-rag-revision": "3", "x-rag-prompt": "answer-v1@aa", "x-rag-index": "docs-v2@bb"}
BODY = {"revision": 3, "prompt_version": "answer-v1", "index_version": "docs-v2"}
WHOLE = words("answer-v1", "docs-v2", 4)


@asynccontextmanager
async def double(query: Handler, stream: Handler) -> AsyncIterator[str]:
    """A double of the RAG API that answers as a test says."""
    app = web.Application()
    app.router.add_post("/query", query)
    app.router.add_post("/query/stream", stream)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def answering(text: str, status: int = 200, **changes: Any) -> Handler:
    async def query(_: web.Request) -> web.Response:
        return web.json_response(BODY | {"answer": text} | changes, status=status, headers=HEADERS)

    return query


def streaming(text: str, last: str = "done") -> Handler:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=HEADERS)
        await asyncio.sleep(0.01)
        await response.prepare(request)
        for name, data in (("meta", BODY), ("token", {"text": text}), (last, {"finish_reason": "stop"})):
            await response.write(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())
        return response

    return stream


async def seen(query: Handler, stream: Handler, settled: tuple[str, str, int] | None = None) -> Load:
    """What the clients saw in a moment of load."""
    async with double(query, stream) as url:
        load = Load(url, "key")
        load.settled = settled
        async with load.running(50, 2, spread=0.05):
            await asyncio.sleep(0.2)
        return load


async def test_whole_answers_are_neither_failed_nor_mixed_nor_late() -> None:
    load = await seen(answering(WHOLE), streaming(WHOLE), ("answer-v1", "docs-v2", 4))
    assert ([], [], []) == (load.seen.failed, load.seen.broken, load.seen.late)
    assert (0, 0) == (mixed(load.seen.answers, [REVISION]).total(), mixed(load.seen.streams, [REVISION]).total())
    assert load.seen.answers.total() > 5
    assert load.seen.streams.total() > 2


async def test_an_answer_made_from_other_sources_than_it_claims_is_mixed() -> None:
    other = words("answer-v1", "docs-v1", 4)
    load = await seen(answering(other), streaming(f"{WHOLE} {other}"))
    assert mixed(load.seen.answers, [REVISION]) == load.seen.answers != Counter()
    assert mixed(load.seen.streams, [REVISION]) == load.seen.streams != Counter()


async def test_a_body_that_contradicts_its_headers_is_mixed() -> None:
    load = await seen(answering(WHOLE, revision=2), streaming(WHOLE))
    assert mixed(load.seen.answers, [REVISION]) == load.seen.answers != Counter()


async def test_errors_and_streams_without_an_end_are_counted() -> None:
    load = await seen(answering(WHOLE, 503), streaming(WHOLE, "error"))
    assert load.seen.failed
    assert load.seen.broken
    assert (0, 0) == (load.seen.answers.total(), load.seen.streams.total())


async def test_an_answer_of_the_former_release_after_the_move_is_late() -> None:
    load = await seen(answering(WHOLE), streaming(WHOLE), ("answer-v2", "docs-v2", 4))
    assert load.seen.late


def test_the_model_says_what_the_api_gave_it() -> None:
    release = PromptRelease(version="answer-v1", hash="aa", system=system_prompt("answer-v1"), refusal="No.")
    sources = [Source("d", "c", "Leave", "Leave", None, None, page(1, index)) for index in ("docs-v1", "docs-v2")]
    assert words("answer-v1", "docs-v2", 1) == said(prompt.messages("Q?", sources[1:], release))
    assert words("answer-v1", "docs-v1+docs-v2", 2) == said(prompt.messages("Q?", sources, release))
