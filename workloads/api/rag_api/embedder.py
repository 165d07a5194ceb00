"""Turns questions into vectors of the collection's identity, by an embedding server in the OpenAI protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import aiohttp
import orjson
from rag_contract import embeddings
from rag_contract.release_table import IndexRelease

from .errors import NotReady, RetrievalTimeout, UpstreamError
from .servers import Failed, Servers
from .spans import NOTHING, Span, model_call, onward

MAX_ANSWER_BYTES = 4 * 1024 * 1024


class Failures(Protocol):
    """Counts what went wrong upstream."""

    def upstream_failed(self, upstream: str, reason: str) -> None:
        """One failure; `reason` is from a small closed list."""


class Embedder:
    """Asks the server that the release names. `timeout` is in seconds."""

    def __init__(self, servers: Servers, timeout: float, failures: Failures) -> None:
        self._servers = servers
        self._timeout = timeout
        self._failures = failures

    async def embed(self, index: IndexRelease, question: str, span: Span = NOTHING) -> list[float]:
        """One vector. Raises UpstreamError, UpstreamRateLimited, RetrievalTimeout, NotReady (another dimension)."""
        if index.embedder is None or index.identity.dimension is None:
            raise NotReady("The index of this release has no vectors: it cannot be asked by them.")
        endpoint = index.embedder
        body = orjson.dumps(embeddings.request(endpoint.model, [question]))
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            with (
                model_call(span, "embeddings", endpoint.url, endpoint.model) as call,
                self._servers.at_work(endpoint) as health,
            ):
                async with (
                    _until(deadline),
                    self._servers.call(endpoint, embeddings.PATH, body, onward(call)) as response,
                ):
                    vector = _vector(await _content(response), index.identity.dimension)
                self._servers.answered(health)
                return vector
        except Failed as failure:
            self._failures.upstream_failed("embedder", failure.reason)
            raise failure.error from failure


async def _content(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    try:
        while part := await response.content.readany():
            content += part
            if len(content) > MAX_ANSWER_BYTES:
                raise _wrong("bad_answer")
    except (aiohttp.ClientError, ConnectionError) as error:
        raise _wrong("broke_off") from error
    return bytes(content)


def _vector(content: bytes, dimension: int) -> list[float]:
    try:
        return embeddings.vectors(orjson.loads(content), 1, dimension)[0]
    except embeddings.WrongDimension as error:
        message = (
            f"The embedding server answers vectors of {error.found} dimensions, the index has {dimension}: "
            "it serves another model than the one that built the index."
        )
        raise Failed(NotReady(message, retry_after=30), "wrong_dimension") from error
    except ValueError as error:
        raise _wrong("bad_answer") from error


def _wrong(reason: str) -> Failed:
    return Failed(UpstreamError("The embedding server's answer could not be used."), reason)


@asynccontextmanager
async def _until(deadline: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError:
        error = RetrievalTimeout("The embedding server did not answer in time.")
        raise Failed(error, "timeout") from None
