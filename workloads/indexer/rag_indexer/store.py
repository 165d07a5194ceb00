"""One collection in Qdrant: made, filled, read, stamped."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from qdrant_client import models
from rag_contract import payload
from rag_contract.analysis import SparseVector
from rag_contract.identity import DENSE_VECTOR, METADATA_KEY, SPARSE_VECTOR, CollectionStamp, IndexIdentity

from .connection import Connection, Exists, Missing, bind
from .corpus import Point

log = logging.getLogger("rag_indexer")

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
        self.connection = Connection(url, api_key, wait_seconds)
        self._client = self.connection.client
        self._name = collection

    async def close(self) -> None:
        await self.connection.close()

    async def connect(self, on_waiting: Callable[[], None]) -> None:
        """Waits for the server and checks its version and the key. Raises IndexFailure."""
        await self.connection.connect(on_waiting)

    async def inspect(self) -> Collection | None:
        """The collection as it is; None when it does not exist."""
        try:
            info = await self._repeat("read", lambda: self._client.get_collection(self._name))
        except Missing:
            return None
        return Collection(stamp_of(info))

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
        except Exists:
            log.info("collection exists already", extra={"collection": self._name})
        await self.index_payload()

    async def index_payload(self) -> None:
        """The payload indexes that filters need; setting them again changes nothing."""
        for field in payload.INDEXED_KEYWORDS:
            schema = models.KeywordIndexParams(
                type=models.KeywordIndexType.KEYWORD, is_tenant=True if field == payload.TENANT else None
            )
            await self._repeat("index", bind(self._client.create_payload_index, self._name, field, schema, wait=True))

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
            await self._repeat("delete from", bind(self._client.delete, self._name, batch, wait=True))

    async def count(self) -> int:
        return (await self._repeat("count", lambda: self._client.count(self._name, exact=True))).count

    async def ids(self) -> set[str]:
        """The ids of all points."""
        found: set[str] = set()
        offset: models.ExtendedPointId | None = None
        while True:
            scroll = bind(
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
        query = bind(
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

    async def _repeat(self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        return await self.connection.repeat(verb, self._name, call)


def stamp_of(info: models.CollectionInfo) -> CollectionStamp | None:
    """The stamp of an indexer on a collection, None when it bears none that can be read."""
    stamp = (info.config.metadata or {}).get(METADATA_KEY)
    try:
        return CollectionStamp.model_validate(stamp) if stamp else None
    except ValidationError:
        return None


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
