"""Strict mode: the limits that a collection puts on its callers, as far as the recordings show them."""

from typing import Any

from .errors import bad_request
from .filters import leaves

Body = dict[str, Any]


def _kinds(condition: Body) -> list[str]:
    """The index types that could serve a field condition, most fitting first."""
    match = condition.get("match") or {}
    if any(name in match for name in ("text", "text_any", "phrase")):
        return ["text"]
    sample = match.get("value", (match.get("any") or match.get("except") or [None])[0])
    if isinstance(sample, bool):
        return ["bool"]
    if isinstance(sample, int):
        return ["integer"]
    if isinstance(sample, str):
        return ["keyword"]
    if bounds := condition.get("range"):
        return ["datetime"] if any(isinstance(v, str) for v in bounds.values()) else ["integer", "float"]
    if any(name in condition for name in ("geo_radius", "geo_bounding_box", "geo_polygon")):
        return ["geo"]
    return []


def _indexed(filter_: Any, schema: dict[str, Body]) -> None:
    """400 for the first condition of a filter whose field has no index of a fitting type."""
    for condition in leaves(filter_):
        wanted = _kinds(condition)
        served = [*wanted, "uuid"] if wanted == ["keyword"] else wanted
        found = schema.get(condition["key"], {}).get("data_type")
        if wanted and found not in served:
            raise bad_request(
                f'Index required but not found for "{condition["key"]}" of one of the following types: '
                f"[{', '.join(wanted)}]. Help: Create an index for this key or use a different filter."
            )


def check_read(body: Body, strict: Body, schema: dict[str, Body]) -> None:
    """Refuses a query, scroll or count that strict mode forbids; prefetches are looked into as well."""
    if not strict.get("enabled"):
        return
    most, limit = strict.get("max_query_limit"), body.get("limit")
    if most is not None and isinstance(limit, int) and limit > most:
        raise bad_request(
            f'Limit exceeded {limit} > {most} for "limit". Help: Reduce the "limit" parameter to or below {most}.'
        )
    if strict.get("unindexed_filtering_retrieve") is False:
        _indexed(body.get("filter"), schema)
    nested = body.get("prefetch")
    for row in nested if isinstance(nested, list) else [nested] if nested else []:
        check_read(row, strict, schema)


def check_update(filter_: Any, strict: Body, schema: dict[str, Body]) -> None:
    """Refuses an update by filter that strict mode forbids."""
    if strict.get("enabled") and strict.get("unindexed_filtering_update") is False:
        _indexed(filter_, schema)
