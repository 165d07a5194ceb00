"""A double of a server in the OpenAI protocol: it says what a test wants, in vLLM's chunks, over a real socket."""

import asyncio
import json
import struct
import time
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from rag_contract.analysis import terms
from rag_contract.release_table import Endpoint

DIMENSION = 64


class ModelServer:
    """Plays `steps` for each chat: text is one chunk, numbers are slept, `...` hangs, bytes are sent as they are,
    `None` cuts the connection. After the steps come finish reason, usage and [DONE].

    `status` other than 200 refuses everything. Times in `left` tell when a client's leaving was noticed.
    """

    def __init__(self) -> None:
        self.url = ""
        self.steps: tuple[Any, ...] = ("Fine [S1].",)
        self.finish: str | None = "stop"
        self.usage: dict[str, int] | None = {"prompt_tokens": 100, "completion_tokens": 20}
        self.status = 200
        self.retry_after = ""
        self.models_status = 200
        self.before_headers = 0.0
        self.chats: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.listed = 0
        self.at_work = 0
        self.left: list[float] = []
        self.dimension = DIMENSION
        self.base64 = True
        self.embedded: list[list[str]] = []
        self.embedding_status: list[int] = []
        self.refused_text: str | None = None
        """Requests with a text that holds this are answered with status 500."""

    def endpoint(self, model: str = "rag", key: str | None = None) -> Endpoint:
        """How a release names it."""
        return Endpoint(url=self.url, model=model, key=key)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.chats.append(await request.json())
        if self.status != 200:
            headers = {"retry-after": self.retry_after} if self.retry_after else None
            return web.json_response({"error": {"message": "no"}}, status=self.status, headers=headers)
        self.at_work += 1
        try:
            await asyncio.sleep(self.before_headers)
            response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
            await response.prepare(request)
            await self._play(request, response)
        except asyncio.CancelledError:
            self.left.append(time.monotonic())
            raise
        finally:
            self.at_work -= 1
        return response

    async def _play(self, request: web.Request, response: web.StreamResponse) -> None:
        await response.write(chunk({"role": "assistant", "content": ""}))
        for step in self.steps:
            if step is None:
                assert request.transport is not None
                request.transport.abort()
                return
            if step is ...:
                await asyncio.Event().wait()
            elif isinstance(step, int | float):
                await asyncio.sleep(step)
            else:
                await response.write(step if isinstance(step, bytes) else chunk({"content": step}))
        if self.finish:
            await response.write(chunk({"content": ""}, self.finish))
        if self.usage:
            await response.write(event({"choices": [], "usage": self.usage}))
        await response.write(b"data: [DONE]\n\n")

    async def models(self, request: web.Request) -> web.Response:
        self.listed += 1
        return web.json_response({"object": "list", "data": [{"id": "rag"}]}, status=self.models_status)

    async def embeddings(self, request: web.Request) -> web.Response:
        """Vectors of hashed words: texts with the same words are near each other."""
        body = await request.json()
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.embedded.append(body["input"])
        if self.embedding_status and (status := self.embedding_status.pop(0)) != 200:
            return web.json_response({"error": {"message": "not now"}}, status=status)
        if self.refused_text and any(self.refused_text in text for text in body["input"]):
            return web.json_response({"error": {"message": "not now"}}, status=500)
        rows = [
            {"object": "embedding", "index": n, "embedding": self._written(vector(text, self.dimension), body)}
            for n, text in enumerate(body["input"])
        ]
        return web.json_response({"object": "list", "model": body["model"], "data": rows[::-1]})

    def _written(self, floats: list[float], body: dict[str, Any]) -> Any:
        if self.base64 and body.get("encoding_format") == "base64":
            return b64encode(struct.pack(f"<{len(floats)}f", *floats)).decode()
        return floats


def vector(text: str, dimension: int = DIMENSION) -> list[float]:
    """The double's embedding: each word counts at one place."""
    floats = [0.001] * dimension
    for term in terms(text):
        floats[zlib.crc32(term.folded.encode()) % dimension] += 1.0
    return floats


def event(body: dict[str, Any]) -> bytes:
    """One event of a stream."""
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    """One chunk of a chat, as vLLM words it."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "rag", "choices": [choice]})


@asynccontextmanager
async def model_server() -> AsyncIterator[ModelServer]:
    """A running double."""
    double = ModelServer()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", double.chat)
    app.router.add_get("/v1/models", double.models)
    app.router.add_post("/v1/embeddings", double.embeddings)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    double.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield double
    finally:
        await runner.cleanup()
