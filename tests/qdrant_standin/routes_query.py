"""The universal query: alone, in a batch and in groups."""

from typing import Any

import qdrant_edge as edge

from .call import Access, Body, Call, Route
from .collection import Collection, engine
from .queries import limit_of, request, selector
from .strict import check_read
from .vectors import hit_out

DEFAULT_GROUPS, DEFAULT_GROUP_SIZE = 10, 3


def _made(collection: Collection, body: Body, limit: int | None = None) -> Any:
    check_read(body, collection.config["strict_mode_config"], collection.indexes)
    return request(body, collection.vector_of, limit)


async def _query(call: Call) -> Any:
    collection = call.collection
    made = _made(collection, call.body)
    return _points(engine(lambda: collection.shard.query(made)), call.body)


def _points(hits: list[Any], body: Body) -> Body:
    with_vector = bool(body.get("with_vector"))
    return {"points": [hit_out(hit, with_vector=with_vector) for hit in hits]}


async def _batch(call: Call) -> Any:
    """One bad query fails the whole batch, as in Qdrant."""
    collection = call.collection
    searches = call.field("searches", list)
    made = edge.QueryBatchRequest([_made(collection, body) for body in searches])
    answers = engine(lambda: collection.shard.query_batch(made))
    return [_points(hits, body) for hits, body in zip(answers, searches, strict=True)]


async def _groups(call: Call) -> Any:
    collection, body = call.collection, call.body
    key = call.field("group_by", str)
    most, size = limit_of(body, DEFAULT_GROUPS), body.get("group_size") or DEFAULT_GROUP_SIZE
    wanted = body.get("with_payload")
    everything = {name: value for name, value in body.items() if name not in ("with_payload", "limit")}
    total = max(1, engine(collection.shard.info).points_count)
    made = _made(collection, everything, total)
    groups: dict[Any, list[Any]] = {}
    for hit in engine(lambda: collection.shard.query(made)):
        for value in _values(collection, hit, key):
            if value in groups or len(groups) < most:
                hits = groups.setdefault(value, [])
                if len(hits) < size:
                    hits.append(hit)
    shown = _payloads(collection, {hit.id for hits in groups.values() for hit in hits}, wanted)
    return {
        "groups": [
            {
                "hits": [
                    hit_out(hit, with_vector=bool(body.get("with_vector"))) | shown.get(hit.id, {}) for hit in hits
                ],
                "id": value,
            }
            for value, hits in groups.items()
        ]
    }


def _values(collection: Collection, hit: Any, key: str) -> list[Any]:
    """The groups that a point belongs to: a list puts it into several, an absent field into none."""
    payload = engine(lambda: collection.shard.retrieve([hit.id], [key], False))[0].payload
    value: Any = payload
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    rows = value if isinstance(value, list) else [value]
    return [row for row in rows if isinstance(row, str | int) and not isinstance(row, bool)]


def _payloads(collection: Collection, ids: set[Any], wanted: Any) -> dict[Any, Body]:
    """The payload of the points that are shown, only where it was asked for."""
    if not wanted:
        return {}
    chosen = selector(wanted)
    rows = engine(lambda: collection.shard.retrieve(list(ids), chosen, False))
    return {row.id: {"payload": row.payload} for row in rows}


_P = "/collections/{name}/points"
ROUTES = [
    Route("POST", f"{_P}/query", Access.READ, _query),
    Route("POST", f"{_P}/query/batch", Access.READ, _batch),
    Route("POST", f"{_P}/query/groups", Access.READ, _groups),
]
