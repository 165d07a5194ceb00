"""Writing points and their payload, and reading them by id, by page and by count."""

import asyncio
from collections.abc import Callable
from typing import Any

import qdrant_edge as edge

from .call import Access, Body, Call, Route
from .collection import Collection, engine
from .errors import bad_format, not_found
from .filters import filter_from
from .queries import limit_of, order_by, selector
from .routes_collections import operation
from .strict import check_read, check_update
from .vectors import id_out, point_id, point_vectors, points, record_out

_MODES = {
    "upsert": edge.UpdateMode.Upsert,
    "insert_only": edge.UpdateMode.InsertOnly,
    "update_only": edge.UpdateMode.UpdateOnly,
}


def _upsert(collection: Collection, body: Body) -> int:
    return collection.upsert(points(body), _MODES[body.get("update_mode") or "upsert"])


def _chosen(collection: Collection, body: Body, by_ids: Callable[[Any], Any], by_filter: Callable[[Any], Any]) -> Any:
    """The operation on the points that a body names, by ids or by filter."""
    ids, filter_ = body.get("points"), body.get("filter")
    if ids is not None:
        return by_ids([point_id(value) for value in ids])
    if filter_ is None:
        raise bad_format("data did not match any variant of untagged enum PointsSelector")
    check_update(filter_, collection.config["strict_mode_config"], collection.indexes)
    return by_filter(filter_from(filter_))


def _changed(
    collection: Collection, body: Body, by_ids: Callable[..., Any], by_filter: Callable[..., Any], *values: Any
) -> int:
    """Applies one of a pair of operations, with these values, to the points that a body names."""
    operation = _chosen(collection, body, lambda ids: by_ids(ids, *values), lambda chosen: by_filter(chosen, *values))
    return collection.update(operation)


def _delete(collection: Collection, body: Body) -> int:
    kinds = edge.UpdateOperation
    return _changed(collection, body, kinds.delete_points, kinds.delete_points_by_filter)


def _set_payload(collection: Collection, body: Body) -> int:
    kinds, values = edge.UpdateOperation, (body.get("payload") or {}, body.get("key"))
    return _changed(collection, body, kinds.set_payload, kinds.set_payload_by_filter, *values)


def _overwrite_payload(collection: Collection, body: Body) -> int:
    kinds, values = edge.UpdateOperation, (body.get("payload") or {}, body.get("key"))
    return _changed(collection, body, kinds.overwrite_payload, kinds.overwrite_payload_by_filter, *values)


def _delete_payload(collection: Collection, body: Body) -> int:
    kinds = edge.UpdateOperation
    return _changed(collection, body, kinds.delete_payload, kinds.delete_payload_by_filter, body.get("keys") or [])


def _clear_payload(collection: Collection, body: Body) -> int:
    kinds = edge.UpdateOperation
    return _changed(collection, body, kinds.clear_payload, kinds.clear_payload_by_filter)


def _update_vectors(collection: Collection, body: Body) -> int:
    rows = [edge.PointVectors(point_id(row["id"]), point_vectors(row["vector"])) for row in body.get("points") or []]
    return collection.update(edge.UpdateOperation.update_vectors(rows))


def _delete_vectors(collection: Collection, body: Body) -> int:
    names, kinds = body.get("vector") or [], edge.UpdateOperation
    return collection.update(
        _chosen(
            collection,
            body,
            lambda ids: kinds.delete_vectors(ids, names),
            lambda chosen: kinds.delete_vectors_by_filter(chosen, names),
        )
    )


Write = Callable[[Collection, Body], int]
_OPERATIONS: dict[str, Write] = {
    "upsert": _upsert,
    "delete": _delete,
    "set_payload": _set_payload,
    "overwrite_payload": _overwrite_payload,
    "delete_payload": _delete_payload,
    "clear_payload": _clear_payload,
    "update_vectors": _update_vectors,
    "delete_vectors": _delete_vectors,
}


def _writer(write: Write) -> Callable[[Call], Any]:
    """A handler of a write. Parsing and applying run in a thread: a large batch must not hold up the probes."""

    async def handler(call: Call) -> Any:
        return operation(call, await asyncio.to_thread(write, call.collection, call.body))

    return handler


async def _batch(call: Call) -> Any:
    numbers = []
    for row in call.field("operations", list):
        name = next((name for name in _OPERATIONS if name in row), None)
        if name is None:
            raise bad_format("data did not match any variant of untagged enum UpdateOperation")
        numbers.append(await asyncio.to_thread(_OPERATIONS[name], call.collection, row[name]))
    return [operation(call, number) for number in numbers]


async def _retrieve(call: Call) -> Any:
    ids = [point_id(value) for value in call.field("ids", list)]
    with_payload = selector(call.body.get("with_payload", True))
    with_vector = selector(call.body.get("with_vector"))
    return [record_out(row) for row in engine(lambda: call.collection.shard.retrieve(ids, with_payload, with_vector))]


async def _one(call: Call) -> Any:
    text = call.request.match_info["id"]
    key = point_id(int(text) if text.isdigit() else text)
    found = engine(lambda: call.collection.shard.retrieve([key], True, True))
    if not found:
        raise not_found(f"Point with id {key} does not exists!")
    return record_out(found[0])


async def _scroll(call: Call) -> Any:
    collection, body = call.collection, call.body
    check_read(body, collection.config["strict_mode_config"], collection.indexes)
    request = edge.ScrollRequest(
        offset=point_id(body["offset"]) if body.get("offset") is not None else None,
        limit=limit_of(body),
        filter=filter_from(body.get("filter")),
        with_payload=selector(body.get("with_payload", True)),
        with_vector=selector(body.get("with_vector")),
        order_by=order_by(body["order_by"]) if body.get("order_by") else None,
    )
    rows, following = engine(lambda: collection.shard.scroll(request))
    return {
        "points": [record_out(row) for row in rows],
        "next_page_offset": None if following is None else id_out(following),
    }


async def _count(call: Call) -> Any:
    collection, body = call.collection, call.body
    check_read(body, collection.config["strict_mode_config"], collection.indexes)
    request = edge.CountRequest(True, filter_from(body.get("filter")))
    return {"count": engine(lambda: collection.shard.count(request))}


async def _facet(call: Call) -> Any:
    collection, body = call.collection, call.body
    check_read(body, collection.config["strict_mode_config"], collection.indexes)
    request = edge.FacetRequest(
        call.field("key", str), limit_of(body), bool(body.get("exact")), filter_from(body.get("filter"))
    )
    hits = engine(lambda: collection.shard.facet(request)).hits
    return {"hits": [{"value": hit.value, "count": hit.count} for hit in hits]}


_P = "/collections/{name}/points"
ROUTES = [
    Route("PUT", _P, Access.WRITE, _writer(_upsert)),
    Route("POST", _P, Access.READ, _retrieve),
    Route("POST", f"{_P}/delete", Access.WRITE, _writer(_delete)),
    Route("POST", f"{_P}/payload", Access.WRITE, _writer(_set_payload)),
    Route("PUT", f"{_P}/payload", Access.WRITE, _writer(_overwrite_payload)),
    Route("POST", f"{_P}/payload/delete", Access.WRITE, _writer(_delete_payload)),
    Route("POST", f"{_P}/payload/clear", Access.WRITE, _writer(_clear_payload)),
    Route("PUT", f"{_P}/vectors", Access.WRITE, _writer(_update_vectors)),
    Route("POST", f"{_P}/vectors/delete", Access.WRITE, _writer(_delete_vectors)),
    Route("POST", f"{_P}/batch", Access.WRITE, _batch),
    Route("POST", f"{_P}/scroll", Access.READ, _scroll),
    Route("POST", f"{_P}/count", Access.READ, _count),
    Route("POST", "/collections/{name}/facet", Access.READ, _facet),
    Route("GET", _P + "/{id}", Access.READ, _one),
]
