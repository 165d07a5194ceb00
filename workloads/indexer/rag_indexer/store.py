"""The only module that talks to Qdrant. Every call is repeated with back-off until its time is up."""

import asyncio
import logging
import time
import warnings
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from rag_contract import payload
from rag_contract.analysis import SparseVector
from rag_contract.identity import DENSE_VECTOR, METADATA_KEY, SPARSE_VECTOR, CollectionStamp, IndexIdentity

from .corpus import Point
from .errors import IndexFailure

log = logging.getLogger("rag_indexer")

OLDEST_SERVER = (1, 16)
"""Collection metadata, which carries the stamp, came with 1.16."""
REQUEST_SECONDS = 60
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
SCROLL_PAGE = 5000
DELETE_BATCH = 1000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Collection:
    """What lies under the collection's name. `stamp` is None for a collection that no indexer made."""

    stamp: CollectionStamp | None


@dataclass(frozen=True, slots=True)
class Stored:
    """A point read back."""

    id: str
    fields: dict[str, object]


class Store:
    """One collection on one Qdrant. `wait_seconds` bounds how long a call is repeated while the server is away."""

    def __init__(self, url: str, api_key: str | None, collection: str, wait_seconds: float) -> None:
        self._name = collection
        self._wait_seconds = wait_seconds
        with warnings.catch_warnings():
            # A key over plain http: inside the cluster it is the operator's own Service, outside it is the user's choice.
            warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
            self._client = AsyncQdrantClient(
                url=url, port=None, api_key=api_key, timeout=REQUEST_SECONDS, check_compatibility=False
            )

    async def close(self) -> None:
        await self._client.close()

    async def connect(self, on_waiting: Callable[[], None]) -> None:
        """Waits for the server and checks its version and the key. Raises IndexFailure."""
        version = (await self._repeat("reach", self._client.info, on_waiting)).version
        if _minor(version) < OLDEST_SERVER:
            oldest = ".".join(map(str, OLDEST_SERVER))
            raise IndexFailure("UnsupportedVectorStore", f"Qdrant {version} is too old: run {oldest} or newer.")

    async def inspect(self) -> Collection | None:
        """The collection as it is; None when it does not exist."""
        try:
            info = await self._repeat("read", lambda: self._client.get_collection(self._name))
        except _Missing:
            return None
        stamp = (info.config.metadata or {}).get(METADATA_KEY)
        try:
            return Collection(CollectionStamp.model_validate(stamp) if stamp else None)
        except ValidationError:
            return Collection(None)

    async def create(self, stamp: CollectionStamp) -> None:
        """An empty collection with its payload indexes; what an interrupted run left is completed.

        It has vectors of words, and beside them those of an embedding server where the identity names one.
        """
        with_stamp = {METADATA_KEY: stamp.model_dump(mode="json", by_alias=True)}
        try:
            await self._repeat(
                "create",
                lambda: self._client.create_collection(
                    self._name,
                    vectors_config=_dense_config(stamp.identity),
                    sparse_vectors_config={SPARSE_VECTOR: models.SparseVectorParams(modifier=models.Modifier.IDF)},
                    on_disk_payload=True,
                    strict_mode_config=models.StrictModeConfig(enabled=True, unindexed_filtering_retrieve=False),
                    metadata=with_stamp,
                ),
            )
        except _Exists:
            log.info("collection exists already", extra={"collection": self._name})
        await self.index_payload()

    async def index_payload(self) -> None:
        """The payload indexes that filters need; setting them again changes nothing."""
        for field in payload.INDEXED_KEYWORDS:
            schema = models.KeywordIndexParams(
                type=models.KeywordIndexType.KEYWORD, is_tenant=True if field == payload.TENANT else None
            )
            await self._repeat("index", _bind(self._client.create_payload_index, self._name, field, schema, wait=True))

    async def write_stamp(self, stamp: CollectionStamp) -> None:
        metadata = {METADATA_KEY: stamp.model_dump(mode="json", by_alias=True)}
        await self._repeat("stamp", lambda: self._client.update_collection(self._name, metadata=metadata))

    async def upsert(self, points: Sequence[Point], dense: Sequence[list[float]] | None) -> None:
        """Durable when it returns. `dense` are the embeddings of the points, in their order, where the collection has any."""
        rows: Sequence[list[float] | None] = [None] * len(points) if dense is None else dense
        structs = [
            models.PointStruct(id=point.id, payload=point.fields, vector=_vectors(point, row))
            for point, row in zip(points, rows, strict=True)
        ]
        await self._repeat("write", lambda: self._client.upsert(self._name, structs, wait=True))

    async def delete(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), DELETE_BATCH):
            batch: list[models.ExtendedPointId] = list(ids[start : start + DELETE_BATCH])
            await self._repeat("delete from", _bind(self._client.delete, self._name, batch, wait=True))

    async def count(self) -> int:
        return (await self._repeat("count", lambda: self._client.count(self._name, exact=True))).count

    async def ids(self) -> set[str]:
        """The ids of all points."""
        found: set[str] = set()
        offset: models.ExtendedPointId | None = None
        while True:
            scroll = _bind(
                self._client.scroll,
                self._name,
                limit=SCROLL_PAGE,
                offset=offset,
                with_payload=False,
                with_vectors=False,
            )
            records, offset = await self._repeat("read", scroll)
            found.update(str(record.id) for record in records)
            if offset is None:
                return found

    async def sample(self, limit: int) -> list[Stored]:
        """The points with the smallest ids: random chunks, and the same ones each time."""
        records, _ = await self._repeat("read", lambda: self._client.scroll(self._name, limit=limit, with_payload=True))
        return [Stored(str(record.id), record.payload or {}) for record in records]

    async def search(
        self, vector: SparseVector | list[float], tenant: str, roles: list[str], limit: int
    ) -> list[Stored]:
        """As the API asks: the tenant and one of the roles are part of the query."""
        reader = models.Filter(
            must=[
                models.FieldCondition(key=payload.TENANT, match=models.MatchValue(value=tenant)),
                models.FieldCondition(key=payload.ROLES, match=models.MatchAny(any=roles)),
            ]
        )
        query = _bind(
            self._client.query_points,
            self._name,
            query=vector if isinstance(vector, list) else _sparse(vector),
            using=DENSE_VECTOR if isinstance(vector, list) else SPARSE_VECTOR,
            query_filter=reader,
            limit=limit,
            with_payload=[payload.TEXT],
        )
        answer = await self._repeat("search", query)
        return [Stored(str(hit.id), hit.payload or {}) for hit in answer.points]

    async def drop(self) -> None:
        await self._repeat("drop", lambda: self._client.delete_collection(self._name))

    async def _repeat(
        self, verb: str, call: Callable[[], Awaitable[T]], on_waiting: Callable[[], None] = lambda: None
    ) -> T:
        """Repeats a call that failed for reasons that pass. Raises IndexFailure, _Missing or _Exists."""
        deadline = time.monotonic() + self._wait_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return await call()
            except UnexpectedResponse as error:
                _refusal(verb, self._name, error)
                reason = f"status {error.status_code}"
            except ResourceExhaustedResponse as error:
                reason = "status 429"
                pause = max(pause, min(error.retry_after_s, LONGEST_PAUSE_SECONDS))
            except ResponseHandlingException as error:
                reason = type(error.source).__name__
            if time.monotonic() + pause > deadline:
                raise IndexFailure(
                    "VectorStoreUnreachable",
                    f"Cannot {verb} the collection within {self._wait_seconds:.0f} s ({reason}): "
                    "see whether Qdrant runs and whether its address is right.",
                    retryable=True,
                )
            on_waiting()
            log.info("waiting for the vector store", extra={"reason": reason, "pause_seconds": pause})
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


class _Missing(Exception):
    """The collection does not exist."""


class _Exists(Exception):
    """The collection exists already."""


def _refusal(verb: str, name: str, error: UnexpectedResponse) -> None:
    """Raises for a status that repeating will not change; returns for the others."""
    status = error.status_code or 0
    if status in (401, 403):
        raise IndexFailure(
            "VectorStoreUnauthorized",
            "Qdrant refuses the key: the Secret must hold a key that may write.",
            retryable=True,  # a corrected Secret reaches the next pod
        ) from error
    if status == 404:
        raise _Missing(name) from error
    if status == 409:
        raise _Exists(name) from error
    if 400 <= status < 500 and status not in (408, 429):
        raise IndexFailure("VectorStoreRefused", f"Qdrant refuses to {verb} {name}: {_message(error)}") from error


def _message(error: UnexpectedResponse) -> str:
    try:
        return str(error.structured()["status"]["error"])[:500]
    except (ValueError, KeyError, TypeError):
        return f"status {error.status_code}"


def _dense_config(identity: IndexIdentity) -> dict[str, models.VectorParams]:
    if identity.dimension is None:
        return {}
    distance = models.Distance(identity.distance)
    return {DENSE_VECTOR: models.VectorParams(size=identity.dimension, distance=distance)}


def _vectors(point: Point, dense: list[float] | None) -> dict[str, Any]:
    words = {SPARSE_VECTOR: _sparse(point.vector)}
    return words if dense is None else {**words, DENSE_VECTOR: dense}


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=list(vector.indices), values=list(vector.values))


def _minor(version: str) -> tuple[int, ...]:
    parts = version.split("-", maxsplit=1)[0].split(".")[:2]
    return tuple(int(part) if part.isdigit() else 0 for part in parts)


def _bind(call: Callable[..., Awaitable[T]], *args: object, **options: object) -> Callable[[], Awaitable[T]]:
    """A call with its arguments bound now; a lambda in a loop would see the last ones."""
    return lambda: call(*args, **options)
