"""How two servers' answers to one request are compared."""

from itertools import groupby
from typing import Any

import pytest

Body = dict[str, Any]
CLOSE = 1e-5  # relative: scores are 32-bit floats, summed in another order
UNLIKE = {"time", "usage"}  # at the top of every answer of either server, left out of the recordings
VARYING = {"name", "creation_time", "size", "checksum"}  # of a snapshot: only their type can be alike


def kind(value: Any) -> str:
    """The JSON type of a value."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def shape(value: Any) -> Any:
    """Keys and types alone; a list is the set of its elements' shapes."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in sorted(value.items()) if key not in UNLIKE}
    if isinstance(value, list):
        return sorted({repr(shape(inner)) for inner in value})
    return kind(value)


def differences(theirs: Any, ours: Any, path: str = "", varying: frozenset[str] = frozenset()) -> set[str]:
    """Where two answers differ: dotted paths, `[]` for a list's elements. Values under a key in `varying` need only be
    of one type. Empty when they are alike.
    """
    if kind(theirs) != kind(ours):
        return {f"{path}: {kind(ours)} for {kind(theirs)}"}
    if isinstance(theirs, dict):
        return _of_objects(theirs, ours, path, varying)
    if isinstance(theirs, list):
        return _of_lists(theirs, ours, path, varying)
    if path.rsplit(".", maxsplit=1)[-1] in varying:
        return set()
    same = ours == pytest.approx(theirs, rel=CLOSE) if kind(theirs) == "number" else theirs == ours
    return set() if same else {path}


def _of_objects(theirs: Body, ours: Body, path: str, varying: frozenset[str]) -> set[str]:
    left = {key: value for key, value in theirs.items() if key not in UNLIKE}
    right = {key: value for key, value in ours.items() if key not in UNLIKE}
    found = {f"{path}.{key}: missing".lstrip(".") for key in left.keys() - right.keys()}
    found |= {f"{path}.{key}: added".lstrip(".") for key in right.keys() - left.keys()}
    for key in left.keys() & right.keys():
        found |= differences(left[key], right[key], f"{path}.{key}".lstrip("."), varying)
    return found


def _of_lists(theirs: list[Any], ours: list[Any], path: str, varying: frozenset[str]) -> set[str]:
    if len(theirs) != len(ours):
        return {f"{path}: {len(ours)} elements for {len(theirs)}"}
    if theirs and all(isinstance(row, dict) and "score" in row for row in (*theirs, *ours)):
        return _of_hits(theirs, ours, path, varying)
    return {found for a, b in zip(theirs, ours, strict=True) for found in differences(a, b, f"{path}[]", varying)}


def _of_hits(theirs: list[Body], ours: list[Body], path: str, varying: frozenset[str]) -> set[str]:
    """Results of a query: scores close place by place, and the same points in the same order, but for equal scores: neither
    server keeps an order among those (one query by itself changes it), so they are compared as sets, and the last set,
    which the limit may have cut, by its size.
    """
    found = set()
    for a, b in zip(theirs, ours, strict=True):
        found |= differences(a["score"], b["score"], f"{path}[].score", varying)
    groups = [{row["id"] for row in rows} for _, rows in groupby(theirs, key=lambda row: row["score"])]
    place = 0
    for group in groups[:-1]:
        if {row["id"] for row in ours[place : place + len(group)]} != group:
            found.add(f"{path}: order")
        place += len(group)
    by_id = {row["id"]: row for row in ours}
    for row in theirs:
        if row["id"] in by_id:
            found |= differences(row, by_id[row["id"]], f"{path}[]", varying)
        elif shape(row) != shape(ours[0]):
            found.add(f"{path}: shape")
    return found
