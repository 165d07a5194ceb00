"""Doubles of what the API depends on: vector stores and generators that misbehave in ways a real one would not on demand."""

import asyncio
import copy
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from rag_api.generator import Job, Piece
from rag_api.releases import SPOKEN
from rag_contract.identity import METADATA_KEY, CollectionStamp, IndexIdentity

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def found(*payloads: dict[str, Any]) -> dict[str, Any]:
    """A query's answer, as Qdrant words it."""
    points = [{"id": n, "version": 1, "score": 1.0, "payload": each} for n, each in enumerate(payloads, 1)]
    return {"result": {"points": points}, "status": "ok", "time": 0.001}


def source(text: str, tenant: str = "default", **fields: Any) -> dict[str, Any]:
    """A payload with everything that an answer needs."""
    return {
        "document_id": "d1",
        "chunk_id": "c1",
        "tenant": tenant,
        "roles": ["*"],
        "text": text,
        "title": "T",
        "heading": "",
        **fields,
    }


@asynccontextmanager
async def store(
    query: Handler,
    *,
    middlewares: Sequence[Any] = (),
    stored: Sequence[dict[str, Any]] = (),
    identity: IndexIdentity = SPOKEN,
) -> AsyncIterator[str]:
    """A double of a vector store whose collections are all right and whose queries are answered by the handler.

    `stored` are the payloads that a scroll shows.
    """
    stamp = CollectionStamp(version="v1", content_hash="c", identity=identity, complete=True)

    async def collection(_request: web.Request) -> web.Response:
        config = {"metadata": {METADATA_KEY: stamp.model_dump(by_alias=True)}}
        return web.json_response({"result": {"status": "green", "points_count": 1, "config": config}, "status": "ok"})

    async def scroll(_request: web.Request) -> web.Response:
        return web.json_response(found(*stored))

    async def ready(_request: web.Request) -> web.Response:
        return web.Response(text="all shards are ready")

    app = web.Application(middlewares=middlewares)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/collections/{name}", collection)
    app.router.add_post("/collections/{name}/points/query", query)
    app.router.add_post("/collections/{name}/points/scroll", scroll)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def answering(*payloads: dict[str, Any]) -> Handler:
    """A handler that always finds the same."""

    async def handler(_request: web.Request) -> web.Response:
        return web.json_response(found(*payloads))

    return handler


class Script:
    """A double of a generator that plays its steps.

    Text is said, numbers are slept, events awaited, exceptions raised; `...` hangs.
    """

    def __init__(self, *steps: Any) -> None:
        self.steps = steps
        self.started = 0
        self.cancelled = 0

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """Play."""
        self.started += 1
        try:
            for step in self.steps:
                if isinstance(step, BaseException):
                    raise copy.copy(step)  # a shared one would collect the tracebacks of all
                if isinstance(step, asyncio.Event):
                    await step.wait()
                elif step is ...:
                    await asyncio.Event().wait()
                elif isinstance(step, int | float):
                    await asyncio.sleep(step)
                elif isinstance(step, Piece):
                    yield step
                else:
                    yield Piece(step)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class Scripts:
    """A double of a generator that plays another script for each question."""

    def __init__(self) -> None:
        self.by_question: dict[str, Script] = {}

    def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """Play the question's script."""
        return self.by_question[job.question].generate(job)
