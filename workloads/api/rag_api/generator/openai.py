"""The runtimes with a model server: streamed chat completions in the OpenAI protocol (vLLM, TGI, Triton, managed ones).

    least loaded server -> accepted (200) -> text ... -> finish reason -> usage -> [DONE]
         ^                    |                |
         |-- another one <----'                `--> an error: what was said cannot be taken back
         `-- at most once each

A request that is closed closes its connection to the server, so that the server stops computing.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Protocol, TypeVar

import aiohttp
import msgspec
import orjson
from rag_contract.release_table import Endpoint

from ..errors import ApiError, ModelTimeout, UpstreamError
from ..schemas import FinishReason
from ..servers import Failed, Servers
from ..spans import Value, model_call, onward
from . import Job, Piece, prompt

PATH = "/v1/chat/completions"
_MAX_LINE_BYTES = 1024 * 1024
_FINISHES: dict[str, FinishReason] = {"stop": "stop", "length": "length", "content_filter": "refused"}


class Failures(Protocol):
    """Counts what went wrong upstream."""

    def upstream_failed(self, upstream: str, reason: str) -> None:
        """One failure; `reason` is from a small closed list."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds until the first text of an answer, and from one piece of text to the next."""

    first_token: float
    token: float


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: msgspec.Raw | None = None


_DECODE = msgspec.json.Decoder(_Chunk).decode
T = TypeVar("T")


class OpenAI:
    """Implements `Generator` over the servers that a job names."""

    def __init__(self, servers: Servers, patience: Patience, failures: Failures) -> None:
        self._servers = servers
        self._patience = patience
        self._failures = failures

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """An empty piece when a server took the request, then the text. Another server is asked only before the first text."""
        error: ApiError = UpstreamError("No server of the model takes requests now.", retry_after=1)
        left = list(job.endpoints)
        while endpoint := self._servers.best(left):
            left.remove(endpoint)
            said = False
            try:
                async with aclosing(self._one(endpoint, job)) as pieces:
                    async for piece in pieces:
                        said = said or bool(piece.text)
                        yield piece
                return
            except Failed as failure:
                self._failures.upstream_failed("model", failure.reason)
                if said or not failure.elsewhere:
                    raise failure.error from failure
                error = failure.error
        raise error

    async def _one(self, endpoint: Endpoint, job: Job) -> AsyncGenerator[Piece, None]:
        """The answer of one server. Raises Failed."""
        clock = asyncio.get_running_loop().time
        answer, started, first = _Answer(job), clock(), None
        deadline = started + self._patience.first_token
        with (
            model_call(job.span, "chat", endpoint.url, endpoint.model) as span,
            self._servers.at_work(endpoint) as health,
        ):
            async with AsyncExitStack() as stack:
                headers = {"x-request-id": job.trace_id, **onward(span)}
                call = self._servers.call(endpoint, PATH, _body(endpoint, job), headers)
                response = await _before(deadline, stack.enter_async_context(call))
                yield Piece("")
                parts = await stack.enter_async_context(aclosing(_events(response)))
                while not answer.done and (events := await _before(deadline, anext(parts, None))) is not None:
                    if text := answer.take(events):
                        now = clock()
                        deadline, first = now + self._patience.token, first or now - started
                        yield Piece(text)
                last = answer.last()
            span.set({**_told(job, last), "gen_ai.response.time_to_first_chunk": first})
            self._servers.answered(health)
        yield last


class _Answer:
    """What one server has said so far."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._said: list[str] = []
        self._characters = 0
        self._finish = ""
        self._usage: _Usage | None = None
        self.done = False

    def take(self, events: list[bytes]) -> str:
        """The text of the next events. Raises Failed."""
        text = ""
        for data in events:
            if data == b"[DONE]":
                self.done = True
                break
            text += self._chunk(data)
        self._characters += len(text)
        if text and self._characters <= len(self._job.revision.prompt.refusal) + 8:
            self._said.append(text)
        return text

    def _chunk(self, data: bytes) -> str:
        try:
            chunk = _DECODE(data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _wrong("bad_answer") from error
        if chunk.error is not None and bytes(chunk.error) != b"null":
            raise Failed(UpstreamError("The model server broke off with an error."), "broke_off")
        self._usage = chunk.usage or self._usage
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        self._finish = choice.finish_reason or self._finish
        return choice.delta.content or ""

    def last(self) -> Piece:
        """The end of a whole answer. Raises Failed when it is none."""
        reason = _FINISHES.get(self._finish)
        if reason is None:
            raise Failed(UpstreamError("The model server broke off."), "broke_off")
        if not self._characters and reason != "refused":
            raise _wrong("empty")
        if "".join(self._said).strip() == self._job.revision.prompt.refusal.strip():
            reason = "refused"
        usage = self._usage or self._estimated()
        return Piece("", reason, usage.prompt_tokens, usage.completion_tokens)

    def _estimated(self) -> _Usage:
        """For servers that do not count: four characters a token."""
        job = self._job
        asked = prompt.messages(job.question, job.sources, job.revision.prompt)
        characters = sum(len(message["content"]) for message in asked)
        return _Usage(-(-characters // 4), -(-self._characters // 4))


def _body(endpoint: Endpoint, job: Job) -> bytes:
    return orjson.dumps(
        {
            "model": endpoint.model,
            "messages": prompt.messages(job.question, job.sources, job.revision.prompt),
            "max_tokens": job.max_output_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    )


def _told(job: Job, last: Piece) -> dict[str, Value | None]:
    """What a span says of a whole answer."""
    return {
        "gen_ai.request.max_tokens": job.max_output_tokens,
        "gen_ai.request.stream": True,
        "gen_ai.response.finish_reasons": (str(last.finish_reason),),
        "gen_ai.usage.input_tokens": last.prompt_tokens,
        "gen_ai.usage.output_tokens": last.completion_tokens,
    }


async def _events(response: aiohttp.ClientResponse) -> AsyncGenerator[list[bytes], None]:
    """The data of the events, all that arrived together at once. Raises Failed."""
    if "event-stream" not in response.headers.get("content-type", ""):
        raise _wrong("bad_answer")
    rest = b""
    try:
        while part := await response.content.readany():
            *lines, rest = (rest + part).split(b"\n")
            if len(rest) > _MAX_LINE_BYTES:
                raise _wrong("bad_answer")
            events = [line[5:].strip() for line in lines if line.startswith(b"data:")]
            if events:
                yield events
    except (aiohttp.ClientError, OSError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise Failed(UpstreamError("The model server broke off."), "broke_off") from error


def _wrong(reason: str) -> Failed:
    return Failed(UpstreamError("The model server's answer could not be used."), reason)


async def _before(deadline: float, work: Awaitable[T]) -> T:
    """The outcome of the work, by a time of the running loop. Raises Failed."""
    try:
        async with asyncio.timeout_at(deadline):
            return await work
    except TimeoutError:
        raise Failed(ModelTimeout("The model server did not answer in time."), "timeout") from None
