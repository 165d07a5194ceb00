"""Qdrant's universal query, from JSON to the engine: nearest, fusion, MMR, recommend, order and sample, with prefetches."""

from collections.abc import Callable
from typing import Any

import qdrant_edge as edge

from .errors import bad_format, invalid, unsupported
from .filters import filter_from
from .vectors import PointId, one_vector, point_id

Body = dict[str, Any]
VectorOf = Callable[[Any, str], Any]
"""Looks up the vector of a stored point: (point id, vector name) -> vector; 404 when the point is not there."""

RRF_K = 2  # Qdrant's default, not the 60 of the paper
DEFAULT_LIMIT = 10
REFUSED = ("lookup_from", "shard_key")


def selector(value: Any) -> Any:
    """`with_payload` or `with_vector` as the engine takes it."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and isinstance(value.get("include"), list):
        return edge.PayloadSelector.Include(value["include"])
    if isinstance(value, dict) and isinstance(value.get("exclude"), list):
        return edge.PayloadSelector.Exclude(value["exclude"])
    raise bad_format("data did not match any variant of untagged enum WithPayloadInterface")


def limit_of(body: Body, default: int = DEFAULT_LIMIT) -> int:
    """The page size; 422 below 1."""
    value = body.get("limit")
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool):
        raise bad_format("invalid type for limit, expected usize")
    if value < 1:
        raise invalid("internal.limit", f"value {value} invalid, must be 1 or larger")
    return value


def request(body: Body, vector_of: VectorOf, limit: int | None = None) -> Any:
    """A whole query request."""
    return edge.QueryRequest(
        limit=limit or limit_of(body),
        offset=body.get("offset"),
        with_vector=selector(body.get("with_vector")),
        with_payload=selector(body.get("with_payload")),
        **_stage(body, vector_of),
    )


def _stage(body: Body, vector_of: VectorOf) -> Body:
    """What a request and a prefetch have in common."""
    if refused := [name for name in REFUSED if body.get(name) is not None]:
        raise unsupported(refused[0])
    nested = body.get("prefetch")
    rows = nested if isinstance(nested, list) else [nested] if nested else []
    used: list[PointId] = []

    def noted_vector_of(key: PointId, using: str) -> Any:
        used.append(key)
        return vector_of(key, using)

    query = _query(body.get("query"), body.get("using") or "", noted_vector_of)
    return {
        "query": query,
        "prefetches": [edge.Prefetch(limit=limit_of(row), **_stage(row, vector_of)) for row in rows],
        "filter": _without(filter_from(body.get("filter")), used),
        "score_threshold": body.get("score_threshold"),
        "params": _params(body.get("params")),
    }


def _without(filter_: Any, used: list[PointId]) -> Any:
    """The filter, less the points that the query was made of: they would find themselves."""
    if not used:
        return filter_
    return edge.Filter(must=[filter_] if filter_ else None, must_not=[edge.HasIdCondition(set(used))])


def _params(body: Any) -> Any:
    if not body:
        return None
    quantization = body.get("quantization")
    return edge.SearchParams(
        hnsw_ef=body.get("hnsw_ef"),
        exact=bool(body.get("exact")),
        indexed_only=bool(body.get("indexed_only")),
        quantization=edge.QuantizationSearchParams(**quantization) if quantization else None,
    )


def _query(body: Any, using: str, vector_of: VectorOf) -> Any:
    if body is None:
        return None
    if not isinstance(body, dict) or "indices" in body:
        return edge.Query.Nearest(_input(body, using, vector_of), using=using)
    for name, make in _KINDS.items():
        if name in body:
            return make(body, using, vector_of)
    raise unsupported(f"a query by {', '.join(sorted(body)) or 'nothing'}")


def _input(value: Any, using: str, vector_of: VectorOf) -> Any:
    """A vector, or the id of a stored point in its place."""
    if isinstance(value, int | str) and not isinstance(value, bool):
        return vector_of(point_id(value), using)
    return one_vector(value, "internal.query")


def _nearest(body: Body, using: str, vector_of: VectorOf) -> Any:
    vector = _input(body["nearest"], using, vector_of)
    mmr = body.get("mmr")
    if not mmr:
        return edge.Query.Nearest(vector, using=using)
    diversity = mmr.get("diversity")
    return edge.Mmr(
        vector=vector,
        lambda_=1.0 - (0.5 if diversity is None else diversity),
        candidates_limit=mmr.get("candidates_limit") or DEFAULT_LIMIT,
        using=using,
    )


def _fusion(body: Body, _using: str, _vector_of: VectorOf) -> Any:
    if body["fusion"] == "rrf":
        return edge.Fusion.Rrf(RRF_K)
    if body["fusion"] == "dbsf":
        return edge.Fusion.Dbsf()
    raise bad_format(f"unknown variant `{body['fusion']}`, expected `rrf` or `dbsf`")


def _rrf(body: Body, _using: str, _vector_of: VectorOf) -> Any:
    parameters = body["rrf"] or {}
    return edge.Fusion.Rrf(parameters.get("k") or RRF_K, parameters.get("weights"))


def order_by(value: Any) -> Any:
    """`order_by` of scroll and query: a key, or a key with direction and start."""
    row = {"key": value} if isinstance(value, str) else value
    direction = {"asc": edge.Direction.Asc, "desc": edge.Direction.Desc}[row.get("direction") or "asc"]
    return edge.OrderBy(row["key"], direction, row.get("start_from"))


def _recommend(body: Body, using: str, vector_of: VectorOf) -> Any:
    row = body["recommend"]
    examples = edge.RecommendQuery(
        [_input(v, using, vector_of) for v in row.get("positive") or []],
        [_input(v, using, vector_of) for v in row.get("negative") or []],
    )
    if row.get("strategy") == "best_score":
        return edge.Query.RecommendBestScore(examples, using=using)
    if row.get("strategy") == "sum_scores":
        return edge.Query.RecommendSumScores(examples, using=using)
    raise unsupported("recommend by average vector")


_KINDS: dict[str, Callable[[Body, str, VectorOf], Any]] = {
    "nearest": _nearest,
    "fusion": _fusion,
    "rrf": _rrf,
    "order_by": lambda body, _using, _vector_of: order_by(body["order_by"]),
    "sample": lambda _body, _using, _vector_of: edge.Sample.Random,
    "recommend": _recommend,
}
