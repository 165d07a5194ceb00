"""Qdrant's filter language, from JSON to the engine. What is not understood is refused, never dropped."""

from typing import Any

import qdrant_edge as edge

from .errors import bad_format
from .vectors import point_id

Body = dict[str, Any]
_CLAUSES = ("must", "should", "must_not", "min_should")


def filter_from(body: Any) -> Any:
    """The engine's filter, None for none."""
    if body is None:
        return None
    if not isinstance(body, dict):
        raise bad_format("invalid type, expected struct Filter")
    if unknown := sorted(set(body) - set(_CLAUSES)):
        raise bad_format(f"unknown field `{unknown[0]}`, expected one of `should`, `min_should`, `must`, `must_not`")
    least = body.get("min_should")
    return edge.Filter(
        must=_conditions(body.get("must")),
        should=_conditions(body.get("should")),
        must_not=_conditions(body.get("must_not")),
        min_should=edge.MinShould(_conditions(least["conditions"]) or [], least["min_count"]) if least else None,
    )


def leaves(body: Any) -> list[Body]:
    """Every field condition of a filter, however deep: what strict mode looks at. Nested keys get their array's prefix."""
    if not isinstance(body, dict):
        return []
    found: list[Body] = []
    for clause in _CLAUSES:
        value = body.get(clause)
        if clause == "min_should" and value:
            value = value["conditions"]
        for condition in value if isinstance(value, list) else [value] if value else []:
            if "nested" in condition:
                inner = condition["nested"]
                found += [leaf | {"key": f"{inner['key']}[].{leaf['key']}"} for leaf in leaves(inner["filter"])]
            elif any(name in condition for name in _CLAUSES):
                found += leaves(condition)
            elif "key" in condition:
                found.append(condition)
    return found


def _conditions(value: Any) -> list[Any] | None:
    if value is None:
        return None
    return [_condition(item) for item in (value if isinstance(value, list) else [value])]


def _condition(body: Any) -> Any:
    if not isinstance(body, dict):
        raise bad_format("data did not match any variant of untagged enum Condition")
    if "key" in body:
        return _field(body)
    if "is_empty" in body:
        return edge.IsEmptyCondition(body["is_empty"]["key"])
    if "is_null" in body:
        return edge.IsNullCondition(body["is_null"]["key"])
    if "has_id" in body:
        return edge.HasIdCondition({point_id(value) for value in body["has_id"]})
    if "has_vector" in body:
        return edge.HasVectorCondition(body["has_vector"])
    if "nested" in body:
        return edge.NestedCondition(body["nested"]["key"], filter_from(body["nested"]["filter"]))
    if any(name in body for name in _CLAUSES):
        return filter_from(body)
    raise bad_format("data did not match any variant of untagged enum Condition")


def _field(body: Body) -> Any:
    made: Body = {}
    if body.get("match") is not None:
        made["match"] = _match(body["match"])
    if body.get("range") is not None:
        made["range"] = _range(body["range"])
    if body.get("values_count") is not None:
        made["values_count"] = edge.ValuesCount(**body["values_count"])
    if body.get("geo_radius") is not None:
        radius = body["geo_radius"]
        made["geo_radius"] = edge.GeoRadius(edge.GeoPoint(**radius["center"]), radius["radius"])
    if body.get("geo_bounding_box") is not None:
        box = body["geo_bounding_box"]
        made["geo_bounding_box"] = edge.GeoBoundingBox(
            edge.GeoPoint(**box["top_left"]), edge.GeoPoint(**box["bottom_right"])
        )
    for name in ("is_empty", "is_null"):
        if body.get(name) is not None:
            made[name] = body[name]
    if not made:
        raise bad_format("data did not match any variant of untagged enum Condition")
    return edge.FieldCondition(body["key"], **made)


def _match(body: Body) -> Any:
    kinds = {
        "value": edge.MatchValue,
        "text": edge.MatchText,
        "text_any": edge.MatchTextAny,
        "phrase": edge.MatchPhrase,
        "any": edge.MatchAny,
        "except": edge.MatchExcept,
    }
    for name, kind in kinds.items():
        if name in body:
            try:
                return kind(body[name])
            except (TypeError, ValueError) as error:
                raise bad_format("data did not match any variant of untagged enum Match") from error
    raise bad_format("data did not match any variant of untagged enum Match")


def _range(body: Body) -> Any:
    bounds = {name: body.get(name) for name in ("gte", "gt", "lte", "lt")}
    text = any(isinstance(value, str) for value in bounds.values())
    try:
        return edge.RangeDateTime(**bounds) if text else edge.RangeFloat(**bounds)
    except (TypeError, ValueError) as error:
        raise bad_format("data did not match any variant of untagged enum RangeInterface") from error
