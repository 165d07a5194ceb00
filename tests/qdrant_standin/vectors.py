"""Vectors and points between Qdrant's JSON and the engine."""

import struct
import uuid
from typing import Any

import qdrant_edge as edge

from .errors import ApiError, bad_format, invalid, unsupported

PointId = int | str


def point_id(value: Any) -> PointId:
    """A point id as the engine takes it; 400 for what is neither an unsigned integer nor a UUID."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64:
        return value
    if isinstance(value, str):
        try:
            return str(uuid.UUID(value))
        except ValueError:
            pass
    raise bad_format(f"value {value} is not a valid point ID, valid values are either an unsigned integer or a UUID")


def id_out(value: Any) -> PointId:
    """A point id as JSON."""
    return value if isinstance(value, int) else str(value)


def short_float(value: float) -> float:
    """The shortest decimal that is the same 32-bit float: what Qdrant prints."""
    for digits in range(6, 10):
        candidate = float(f"{value:.{digits}g}")
        if struct.pack("f", candidate) == struct.pack("f", value):
            return candidate
    return value


def sparse(value: dict[str, Any], where: str) -> Any:
    """A sparse vector; 422 for repeated indices or lists of different length (the engine does not survive those)."""
    indices, values = value.get("indices"), value.get("values")
    if not isinstance(indices, list) or not isinstance(values, list):
        raise bad_format("data did not match any variant of untagged enum VectorStruct")
    if not all(isinstance(i, int) and not isinstance(i, bool) and 0 <= i < 2**32 for i in indices):
        raise bad_format("invalid value in sparse indices, expected u32")
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        raise bad_format("invalid value in sparse values, expected f32")
    if len(set(indices)) != len(indices):
        raise invalid(f"{where}.indices", "Validation error: must be unique [{}]")
    if len(indices) != len(values):
        raise invalid(f"{where}.values", "Validation error: must be the same length as indices [{}]")
    return edge.SparseVector(indices, [float(v) for v in values])


def one_vector(value: Any, where: str) -> Any:
    """A dense, multi or sparse vector."""
    if isinstance(value, dict):
        if "indices" in value:
            return sparse(value, where)
        raise unsupported("inference (a vector given as text, image or object)")
    if isinstance(value, list) and all(isinstance(x, int | float) and not isinstance(x, bool) for x in value):
        return [float(x) for x in value]
    if isinstance(value, list) and all(isinstance(row, list) for row in value):
        return [[float(x) for x in row] for row in value]
    raise bad_format("data did not match any variant of untagged enum VectorStruct")


def point_vectors(value: Any, where: str = "vector") -> Any:
    """The `vector` of a point: one unnamed vector or a map of names."""
    if isinstance(value, dict):
        return {name: one_vector(v, f"{where}.{name}") for name, v in value.items()}
    return one_vector(value, where)


def point(value: Any) -> Any:
    """One point of an upsert."""
    if not isinstance(value, dict) or "id" not in value:
        raise bad_format("missing field `id`")
    if "vector" not in value:
        raise bad_format("missing field `vector`")
    payload = value.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise bad_format("invalid type for payload, expected a map")
    return edge.Point(point_id(value["id"]), point_vectors(value["vector"]), payload or {})


def points(body: dict[str, Any]) -> list[Any]:
    """The points of an upsert, given as a list or column by column (`batch`)."""
    if isinstance(rows := body.get("points"), list):
        return [point(row) for row in rows]
    batch = body.get("batch")
    if not isinstance(batch, dict):
        raise bad_format("data did not match any variant of untagged enum PointInsertOperations")
    return [point(row) for row in _rows(batch)]


def _rows(batch: dict[str, Any]) -> list[dict[str, Any]]:
    ids, vectors, payloads = batch.get("ids", []), batch.get("vectors", []), batch.get("payloads") or []
    columns = vectors if isinstance(vectors, dict) else {"": vectors}
    if any(len(column) != len(ids) for column in columns.values()) or (payloads and len(payloads) != len(ids)):
        raise ApiError(422, "Validation error in JSON body: [batch: number of ids, vectors and payloads must be equal]")
    return [
        {
            "id": key,
            "vector": {name: c[i] for name, c in columns.items()} if isinstance(vectors, dict) else vectors[i],
            "payload": payloads[i] if payloads else None,
        }
        for i, key in enumerate(ids)
    ]


def _one_out(value: Any) -> Any:
    if isinstance(value, list):
        return [_one_out(x) if isinstance(x, list) else short_float(x) for x in value]
    return {"indices": list(value.indices), "values": [short_float(x) for x in value.values]}


def vectors_out(value: Any) -> Any:
    """The vectors of an answer as JSON."""
    if isinstance(value, dict):
        return {name: _one_out(v) for name, v in value.items()}
    return _one_out(value)


def record_out(record: Any) -> dict[str, Any]:
    """A record of scroll or retrieve; payload and vector only where they were asked for."""
    out: dict[str, Any] = {"id": id_out(record.id)}
    if record.payload is not None:
        out["payload"] = record.payload
    if record.vector is not None:
        out["vector"] = vectors_out(record.vector)
    if getattr(record, "order_value", None) is not None:
        out["order_value"] = record.order_value
    return out


def hit_out(hit: Any, *, with_vector: bool) -> dict[str, Any]:
    """A scored point of a query. The engine adds vectors to the hits of MMR that nobody asked for."""
    record = record_out(hit)
    if not with_vector:
        record.pop("vector", None)
    head = {"id": record.pop("id"), "version": hit.version, "score": short_float(hit.score)}
    return head | record
