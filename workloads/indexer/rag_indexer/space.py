"""Is there room for one more collection? Asked before anything is written, where the size of the vector store's volume is known.

Qdrant does not tell how full its disk is, so both sides are estimates, by figures measured with Qdrant's engine (1.18): a corpus of
7.5 MB of text became 8,000 chunks and 36 MB on disk, 4.7 times its size, or 2.2 times what its points hold.

    need = bytes of the files x 6 + vectors of an embedding server, twice      (the rest is for what Qdrant merges meanwhile)
    used = for each other collection: its points x the bytes of a sampled point x 3
    both + 32 MiB a collection for its log; a tenth of the volume stays free
"""

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from qdrant_client import models
from rag_contract.environment import IndexerEnvironment
from rag_contract.identity import SPARSE_VECTOR

from .connection import Connection, Missing, bind
from .corpus import Corpus
from .errors import IndexFailure

log = logging.getLogger("rag_indexer")

MIB = 1024 * 1024
LOG_BYTES = 32 * MIB
SOURCE_FACTOR = 6
POINT_FACTOR = 3
VECTOR_FACTOR = 2
FLOAT_BYTES, ENTRY_BYTES = 4, 8
"""Of a dense vector's number, and of a word in a sparse one."""
FREE_SHARE = 0.1
SAMPLED_POINTS = 16


async def check(settings: IndexerEnvironment, connection: Connection, documents: Corpus) -> None:
    """Raises IndexFailure (InsufficientSpace) when the collection will not fit beside the others."""
    volume = settings.storage_bytes
    if volume is None:
        return
    folder = Path(settings.documents_path)
    need = needed(sum(_size(folder / path) for path in documents.paths), settings)
    sizes = [await estimated(connection, name) for name in await _others(connection, settings.collection)]
    free = max(0, int(volume * (1 - FREE_SHARE)) - sum(sizes))
    log.info("space", extra={"need_bytes": need, "free_bytes": free, "collections": len(sizes)})
    if need > free:
        raise IndexFailure(
            "InsufficientSpace",
            f"The collection needs about {_mib(need)}, and the volume of {_mib(volume)} has about {_mib(free)} left beside"
            f" {len(sizes)} collections: grow spec.vectorStore.qdrant.storage.size, lower spec.release.history, or index"
            " fewer documents.",
        )


def needed(source_bytes: int, settings: IndexerEnvironment) -> int:
    """Bytes on disk that documents of this size will take."""
    step = settings.max_characters - settings.overlap_characters
    chunks = -(-source_bytes // max(1, step))
    vectors = chunks * (settings.embedding_dimension or 0) * FLOAT_BYTES * VECTOR_FACTOR
    return source_bytes * SOURCE_FACTOR + vectors + LOG_BYTES


async def _others(connection: Connection, own: str) -> list[str]:
    listed = await connection.repeat("list", "collections", connection.client.get_collections)
    return sorted(one.name for one in listed.collections if one.name != own)


async def estimated(connection: Connection, name: str) -> int:
    """Bytes on disk of a collection that is there."""
    client = connection.client
    try:
        info = await connection.repeat("read", name, bind(client.get_collection, name))
        scroll = bind(client.scroll, name, limit=SAMPLED_POINTS, with_payload=True, with_vectors=[SPARSE_VECTOR])
        sample, _ = await connection.repeat("read", name, scroll)
    except (Missing, IndexFailure):  # gone since it was listed, or not an indexer's
        return LOG_BYTES
    return int((info.points_count or 0) * _bytes_of_point(sample) * POINT_FACTOR + _dense_bytes(info)) + LOG_BYTES


def _bytes_of_point(sample: Sequence[models.Record]) -> float:
    if not sample:
        return 0.0
    sizes = [len(json.dumps(one.payload, ensure_ascii=False).encode()) + _entries(one) * ENTRY_BYTES for one in sample]
    return sum(sizes) / len(sizes)


def _entries(record: models.Record) -> int:
    vector = record.vector.get(SPARSE_VECTOR) if isinstance(record.vector, dict) else None
    return len(vector.indices) if isinstance(vector, models.SparseVector) else 0


def _dense_bytes(info: models.CollectionInfo) -> int:
    vectors = info.config.params.vectors
    sizes = [one.size for one in vectors.values()] if isinstance(vectors, dict) else []
    return (info.points_count or 0) * sum(sizes) * FLOAT_BYTES * VECTOR_FACTOR


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0  # reading it will say what is wrong


def _mib(size: int) -> str:
    return f"{-(-size // MIB):,} MiB"
