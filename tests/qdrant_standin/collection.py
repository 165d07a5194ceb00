"""One collection: an engine's shard, its configuration beside it, and the numbers of its operations.

<storage>/collections/<name>/config.json   configuration and payload indexes, written last: without it, no collection
                             operations    how many operations were taken, eight bytes
                             shard/        the engine's files and write-ahead log
"""

import json
import os
import struct
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from . import schema
from .errors import ApiError, not_found, wrong_input
from .vectors import PointId

Body = dict[str, Any]
_COUNTER = struct.Struct("<q")


def write_json(path: Path, value: Any) -> None:
    """Replaces a file whole: a crash leaves the old or the new one."""
    draft = path.with_name(path.name + ".new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def engine(call: Callable[[], Any]) -> Any:
    """Runs an engine call; its refusals become Qdrant's 400, its panics a 500."""
    try:
        return call()
    except Exception as error:
        raise wrong_input(str(error)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ApiError(500, f"Service internal error: {error}") from error


class Collection:
    """Not for concurrent writers by itself: `update` takes a lock, so that numbers and operations keep one order."""

    def __init__(self, path: Path, config: Body, indexes: dict[str, Body], shard: Any) -> None:
        self.path = path
        self.config = config
        self.indexes = indexes
        self.shard = shard
        self.lock = threading.RLock()
        self.dirty = False
        self._counter = os.open(path / "operations", os.O_RDWR | os.O_CREAT, 0o600)
        stored = os.pread(self._counter, _COUNTER.size, 0)
        self.operations = _COUNTER.unpack(stored)[0] if len(stored) == _COUNTER.size else 0

    @classmethod
    def create(cls, path: Path, config: Body) -> "Collection":
        """A new collection in a folder that is not there yet."""
        configuration = schema.engine_config(config)
        path.mkdir(parents=True)
        shard = engine(lambda: edge.EdgeShard.create(str(path / "shard"), configuration))
        made = cls(path, config, {}, shard)
        made.update(edge.UpdateOperation.delete_points([]))  # Qdrant's first visible operation has the number 1
        made.save()
        return made

    @classmethod
    def load(cls, path: Path) -> "Collection":
        """A collection as it was left, the engine's log replayed."""
        stored = json.loads((path / "config.json").read_text(encoding="utf-8"))
        return cls(path, stored["config"], stored["indexes"], edge.EdgeShard.load(str(path / "shard")))

    def save(self) -> None:
        """Writes the configuration."""
        write_json(self.path / "config.json", {"config": self.config, "indexes": self.indexes})

    def flush(self) -> None:
        """Brings everything to the disk."""
        with self.lock:
            engine(self.shard.flush)
            self.dirty = False

    def close(self) -> None:
        """Flushes and lets go of the files."""
        with self.lock:
            self.flush()
            self.shard.close()
            os.close(self._counter)

    def update(self, *operations: Any) -> int:
        """Applies operations in order; the number of the last one."""
        with self.lock:
            self.dirty = True
            for operation in operations:
                number, self.operations = self.operations, self.operations + 1
                os.pwrite(self._counter, _COUNTER.pack(self.operations), 0)
                engine(lambda operation=operation: self.shard.update(operation))  # type: ignore[misc]
            return number

    def upsert(self, points: Sequence[Any], mode: Any = None) -> int:
        """Upserts points after a look at the names and sizes of their vectors."""
        for point in points:
            self._check_names(point.vector)
        try:
            return self.update(edge.UpdateOperation.upsert_points(list(points), update_mode=mode))
        except ApiError as error:
            raise self._with_vector_name(error, points) from error

    def _check_names(self, vector: Any) -> None:
        known = set(schema.dimensions(self.config)) | schema.sparse_names(self.config)
        names = set(vector) if isinstance(vector, dict) else {""}
        if unknown := sorted(names - known):
            raise wrong_input(f"Not existing vector name error: {unknown[0]}")

    def _with_vector_name(self, error: ApiError, points: Sequence[Any]) -> ApiError:
        """Qdrant names the vector whose size is wrong, the engine does not."""
        if "Vector dimension error" in error.message:
            sizes = schema.dimensions(self.config)
            for point in points:
                for name, value in (point.vector if isinstance(point.vector, dict) else {"": point.vector}).items():
                    if name in sizes and isinstance(value, list) and len(value) != sizes[name]:
                        return wrong_input(
                            f"Vector dimension error: expected dim: {sizes[name]}, got {len(value)}"
                            + (f" for vector '{name}'" if name else "")
                        )
        return error

    def create_index(self, field: str, field_schema: Any) -> int:
        """Makes a payload index. Qdrant spends two operations on one; so does this."""
        shown = schema.index_shown(field_schema)
        operation = edge.UpdateOperation.create_field_index(field, schema.engine_index(shown))
        with self.lock:
            number = self.update(edge.UpdateOperation.delete_points([]), operation)
            self.indexes[field] = shown
            self.save()
        return number

    def delete_index(self, field: str) -> int:
        """Removes a payload index; removing one that is not there is no fault."""
        with self.lock:
            number = self.update(edge.UpdateOperation.delete_field_index(field))
            if self.indexes.pop(field, None):
                self.save()
        return number

    def patch(self, body: Body) -> None:
        """Changes the configuration."""
        with self.lock:
            self.config = schema.patched(self.config, body)
            self.save()

    def vector_of(self, key: PointId, name: str) -> Any:
        """The vector of a stored point, for a query by id; 404 without such a point."""
        found = engine(lambda: self.shard.retrieve([key], False, True))
        if not found:
            raise not_found(f"No point with id {key} found")
        vector = found[0].vector
        vector = vector.get(name) if isinstance(vector, dict) else vector
        if vector is None:
            raise wrong_input(f"Not existing vector name error: {name}")
        return vector

    def info(self) -> Body:
        """What GET /collections/{name} answers."""
        facts = engine(self.shard.info)
        counted = facts.payload_schema
        indexes = {
            field: shown | {"points": counted[field].points if field in counted else 0}
            for field, shown in self.indexes.items()
        }
        return {
            "status": "green",
            "optimizer_status": "ok",
            "indexed_vectors_count": facts.indexed_vectors_count,
            "points_count": facts.points_count,
            "segments_count": facts.segments_count,
            "config": self.config,
            "payload_schema": indexes,
            "update_queue": {"length": 0},
        }
