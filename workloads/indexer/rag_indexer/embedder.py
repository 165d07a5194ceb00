"""Turns chunks into vectors, by an embedding server in the OpenAI protocol. Every request is repeated until its time is up."""

import asyncio
import json
import logging
import time
from collections.abc import Sequence

import aiohttp
from rag_contract import embeddings
from rag_contract.environment import IndexerEnvironment

from .errors import IndexFailure

log = logging.getLogger("rag_indexer")

REQUEST_SECONDS = 60
REQUEST_TEXTS = 32
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
MOST_BYTES = 64 * 1024 * 1024
_PASSES = frozenset({408, 409, 425, 429})


class Embedder:
    """One embedding server. `wait_seconds` bounds how long a request is repeated while the server is away or busy."""

    def __init__(self, settings: IndexerEnvironment, api_key: str | None) -> None:
        identity = settings.identity()
        assert settings.embedding_url is not None  # noqa: S101 - the settings hold the embedding whole
        assert identity.dimension is not None  # noqa: S101
        self._url = settings.embedding_url.rstrip("/") + embeddings.PATH
        self._model = identity.model
        self._dimension = identity.dimension
        self._wait_seconds = settings.wait_seconds
        self._headers = {"content-type": "application/json"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key.strip()}"
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors in the order of the texts, a bounded number of them a request. Raises IndexFailure."""
        found: list[list[float]] = []
        for start in range(0, len(texts), REQUEST_TEXTS):
            found += await self._repeat(texts[start : start + REQUEST_TEXTS])
        return found

    async def _repeat(self, texts: Sequence[str]) -> list[list[float]]:
        deadline, pause = time.monotonic() + self._wait_seconds, FIRST_PAUSE_SECONDS
        while True:
            try:
                return await self._once(texts)
            except _Passing as error:
                reason, pause = error.reason, max(pause, min(error.after, LONGEST_PAUSE_SECONDS))
            except (aiohttp.ClientError, OSError) as error:
                reason = type(error).__name__
            if time.monotonic() + pause > deadline:
                raise IndexFailure(
                    "EmbeddingUnreachable",
                    f"The embedding server did not embed within {self._wait_seconds:.0f} s ({reason}): see whether it "
                    "runs and whether spec.index.embedding.external.url is right.",
                    retryable=True,
                )
            log.info("waiting for the embedding server", extra={"reason": reason, "pause_seconds": pause})
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _once(self, texts: Sequence[str]) -> list[list[float]]:
        body = json.dumps(embeddings.request(self._model, texts), ensure_ascii=False).encode()
        async with self._opened().post(self._url, data=body, headers=self._headers, allow_redirects=False) as response:
            if response.status != 200:
                raise _refused(response)
            content = await _content(response)
        try:
            return embeddings.vectors(json.loads(content), len(texts), self._dimension)
        except embeddings.WrongDimension as error:
            raise IndexFailure(
                "EmbeddingDimensionWrong",
                f"The embedding server answers vectors of {error.found} dimensions, spec.index.embedding.external.dimension "
                f"says {self._dimension}: correct the one or the other, and set a new spec.index.version.",
            ) from error
        except ValueError as error:
            raise IndexFailure(
                "EmbeddingRefused",
                f"The answer of the embedding server could not be used: {error}. See whether "
                "spec.index.embedding.external.url names a server of the OpenAI protocol.",
            ) from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


class _Passing(Exception):
    """A refusal that passes. `after` is how long the server asks to wait, in seconds."""

    def __init__(self, reason: str, after: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


def _refused(response: aiohttp.ClientResponse) -> Exception:
    """What a status other than 200 means."""
    status = response.status
    if status >= 500 or status in _PASSES:
        wait = response.headers.get("retry-after", "")
        return _Passing(f"status {status}", float(wait) if wait.isascii() and wait.isdigit() else 0.0)
    if status in {401, 403}:
        return IndexFailure(
            "EmbeddingUnauthorized",
            "The embedding server refuses the key: the Secret in spec.index.embedding.external.apiKeySecretRef must hold a "
            "good one.",
            retryable=True,  # a corrected Secret reaches the next pod
        )
    if status == 404:
        return IndexFailure(
            "EmbeddingModelNotFound",
            "The embedding server does not know the model or the path: correct spec.index.embedding.external.url or model.",
        )
    return IndexFailure(
        "EmbeddingRefused",
        f"The embedding server refuses the texts (status {status}): if they are too long for its model, lower "
        "spec.index.chunking.maxCharacters and set a new spec.index.version.",
    )


async def _content(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    while part := await response.content.readany():
        content += part
        if len(content) > MOST_BYTES:
            raise IndexFailure(
                "EmbeddingRefused", "The embedding server's answer is too large: it is none of this protocol."
            )
    return bytes(content)
