"""The double's HTTP side: the recorded routes, of which those that the project asks are answered and the others with 501."""

import asyncio
import base64
import hashlib
import json
import math
import os
import struct
import uuid
from argparse import Namespace
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from . import wire
from .arguments import RECORDED
from .engine import Engine, Refused, tokens
from .switches import Switches

VERSION = "0.32.0"
AFTER_SHUTDOWN = "cannot schedule new futures after shutdown"
"""What vLLM 0.32 says to requests that come while it drains."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Invalid(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str, kind: str, param: str | None = None) -> None:
        super().__init__(message)
        self.body = wire.error(status, message, kind, param)
        self.status = status


class Server:
    """One served model."""

    def __init__(self, args: Namespace, switches: Switches, engine: Engine) -> None:
        self._args = args
        self._switches = switches
        self._engine = engine
        self._asked = False

    @property
    def runner(self) -> str:
        return "pooling" if self._args.runner == "pooling" else "generate"

    def app(self) -> web.Application:
        """Its routes, and one of the double's own that turns a switch."""
        app = web.Application(middlewares=[_errors])
        answered: dict[tuple[str, str], Handler] = {
            ("GET", "/health"): self._empty,
            ("GET", "/ping"): self._empty,
            ("POST", "/ping"): self._empty,
            ("GET", "/version"): self._version,
            ("GET", "/load"): self._load,
            ("GET", "/metrics"): self._metrics,
            ("GET", "/v1/models"): self._models,
        }
        if self.runner == "pooling":
            answered["POST", "/v1/embeddings"] = self._embeddings
        else:
            answered["POST", "/v1/chat/completions"] = self._chat
            answered["POST", "/v1/completions"] = self._completions
        for method, path in recorded_routes(self.runner):
            if (method, path) not in answered:
                app.router.add_route(method, path, _not_doubled)
        for (method, path), handler in answered.items():
            app.router.add_route(method, path, handler)
        app.router.add_post("/double/{name}", self._turn)
        return app

    async def _turn(self, request: web.Request) -> web.Response:
        if request.match_info["name"] == "crash":
            os._exit(1)
        self._switches.set(request.match_info["name"], await request.text())
        return web.Response()

    async def _empty(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": VERSION})

    async def _load(self, _: web.Request) -> web.Response:
        return web.json_response({"server_load": 0})

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=self._engine.figures.text(), content_type="text/plain")

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response(
            wire.models(self._args.served_model_name, self._args.model_tag, self._args.max_model_len)
        )

    async def _body(self, request: web.Request, field: str) -> dict[str, Any]:
        try:
            body = json.loads(await request.text())
        except ValueError as error:
            raise Invalid(400, f"1 validation error:\n  {error}", "Bad Request", "body.1") from error
        if field not in body:
            message = f"1 validation error:\n  {{'type': 'missing', 'loc': 'body.{field}', 'msg': 'Field required'}}"
            raise Invalid(400, message, "Bad Request", f"body.{field}")
        model, known = body.get("model"), self._args.served_model_name
        if model is not None and model != known:
            message = f"The model `{model}` does not exist."
            if self.runner == "generate":
                raise Invalid(404, f"{message} Valid aliases: {known}.", "NotFoundError", "model")
            raise Invalid(404, message, "NotFoundError")
        self._first_answer()
        return dict(body)

    def _first_answer(self) -> None:
        first, self._asked = not self._asked, True
        if self._switches.first_answer == "refuse":
            raise Invalid(500, "EngineCore encountered an issue.", "InternalServerError")
        if first and self._switches.first_answer == "crash":
            print(
                "(EngineCore pid=2) ERROR 11-21 15:06:24 [core.py:1512] RuntimeError: no kernel for this head",
                flush=True,
            )
            os._exit(1)

    def _limit(self, body: dict[str, Any]) -> int:
        asked, room = body.get("max_completion_tokens") or body.get("max_tokens"), self._args.max_model_len
        if asked is not None and asked > room:
            message = (
                f"max_tokens={asked} cannot be greater than max_model_len={room}. Please request fewer output tokens."
                f" (parameter=max_tokens, value={asked})"
            )
            raise Invalid(400, message, "BadRequestError", "max_tokens")
        return int(asked or room)

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request, "prompt")
        text, finish, made = await self._whole(str(body["prompt"]), body)
        counts = wire.usage(len(tokens(str(body["prompt"]))), made)
        return web.json_response(wire.completion(_identity("cmpl"), self._args.served_model_name, text, finish, counts))

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request, "messages")
        prompt = " ".join(str(message.get("content")) for message in body["messages"])
        if body.get("stream"):
            return await self._stream(request, prompt, body)
        text, finish, made = await self._whole(prompt, body)
        counts = wire.usage(len(tokens(prompt)), made)
        return web.json_response(wire.chat(_identity("chatcmpl"), self._args.served_model_name, text, finish, counts))

    async def _whole(self, prompt: str, body: dict[str, Any]) -> tuple[str, str, int]:
        pieces, finish = [], "length"
        async for piece, end in self._engine.generate(prompt, self._limit(body), endless=bool(body.get("ignore_eos"))):
            pieces.append(piece)
            finish = end or finish
        return "".join(pieces), finish, len(pieces)

    async def _stream(self, request: web.Request, prompt: str, body: dict[str, Any]) -> web.StreamResponse:
        limit, identity, model = self._limit(body), _identity("chatcmpl"), self._args.served_model_name
        if self._engine.draining:
            raise Refused
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await answer.prepare(request)
        made, counted = 0, bool((body.get("stream_options") or {}).get("include_usage"))
        generating = self._engine.generate(prompt, limit, endless=bool(body.get("ignore_eos")))
        try:
            await _send(answer, wire.first_event(identity, model))
            async for piece, finish in generating:
                made += 1
                last = finish is not None and not counted
                await _send(answer, wire.event(identity, model, piece, finish, last=last))
        finally:
            await generating.aclose()  # type: ignore[attr-defined]
        if counted:
            await _send(answer, wire.usage_event(identity, model, wire.usage(len(tokens(prompt)), made, details=False)))
        await answer.write(b"data: [DONE]\n\n")
        return answer

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request, "input")
        if self._engine.draining:
            raise Refused
        inputs = [body["input"]] if isinstance(body["input"], str) else list(body["input"])
        packed = body.get("encoding_format") == "base64"
        self._engine.figures.steps += 1
        data = []
        for index, text in enumerate(inputs):
            vector = embedding(str(text), self._switches.dimension)
            shown = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if packed else vector
            data.append({"index": index, "object": "embedding", "embedding": shown})
        counts = wire.usage(sum(len(tokens(str(text))) for text in inputs), 0)
        return web.json_response(wire.embeddings(_identity("embd"), self._args.served_model_name, data, counts))


def recorded_routes(runner: str) -> list[tuple[str, str]]:
    """(method, path) of every route of the real server."""
    found = []
    for line in (RECORDED / f"routes_{runner}.txt").read_text(encoding="utf-8").splitlines():
        path, _, methods = line.partition(", Methods: ")
        found += [(method.strip(), path) for method in methods.split(",") if method.strip() != "HEAD"]
    return found


def embedding(text: str, dimension: int) -> list[float]:
    """A unit vector: texts that share words are near each other."""
    vector = [0.0] * dimension
    for word in text.lower().split():
        digest = hashlib.sha256(word.encode()).digest()
        for place in range(dimension):
            vector[place] += digest[place % len(digest)] / 127.5 - 1
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / length for value in vector]


def _identity(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:16]}"


async def _send(answer: web.StreamResponse, body: wire.Body) -> None:
    await answer.write(b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n")


async def _not_doubled(request: web.Request) -> web.Response:
    return web.json_response(wire.error(501, f"the double does not answer {request.path}", "NotDoubled"), status=501)


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Invalid as error:
        return web.json_response(error.body, status=error.status)
    except Refused:
        return web.json_response(wire.error(500, AFTER_SHUTDOWN, "InternalServerError"), status=500)
    except web.HTTPException as error:
        return web.json_response({"detail": error.reason}, status=error.status)
    except (ConnectionResetError, asyncio.CancelledError):
        raise
