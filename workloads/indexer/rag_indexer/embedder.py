"""Turns chunks into vectors, by an embedding server in the OpenAI protocol. Every request is repeated until its time is up."""

import json
from collections.abc import Sequence
from functools import partial

import aiohttp
from rag_contract import embeddings
from rag_contract.environment import IndexerEnvironment

from .errors import IndexFailure
from .patience import Passing, Patience

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
        self._patience = Patience("embedding server", settings.wait_seconds, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
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
            once = partial(self._once, texts[start : start + REQUEST_TEXTS])
            found += await self._patience.repeat(once, self._given_up)
        return found

    def _given_up(self, reason: str) -> IndexFailure:
        return IndexFailure(
            "EmbeddingUnreachable",
            f"The embedding server did not embed within {self._patience.seconds:.0f} s ({reason}): see whether it "
            "runs and whether spec.index.embedding.external.url is right.",
            retryable=True,
        )

    async def _once(self, texts: Sequence[str]) -> list[list[float]]:
        content = await self._answer(texts)
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

    async def _answer(self, texts: Sequence[str]) -> bytes:
        body = json.dumps(embeddings.request(self._model, texts), ensure_ascii=False).encode()
        session = self._opened()
        try:
            async with session.post(self._url, data=body, headers=self._headers, allow_redirects=False) as response:
                if response.status != 200:
                    raise _refused(response)
                return await _content(response)
        except (aiohttp.ClientError, OSError) as error:
            raise Passing(type(error).__name__) from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


def _refused(response: aiohttp.ClientResponse) -> Exception:
    """What a status other than 200 means."""
    status = response.status
    if status >= 500 or status in _PASSES:
        wait = response.headers.get("retry-after", "")
        return Passing(f"status {status}", float(wait) if wait.isascii() and wait.isdigit() else 0.0)
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
