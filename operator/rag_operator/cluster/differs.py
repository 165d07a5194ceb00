"""Is an apply needed? Only what we want and what we own counts; what others or the server added is theirs.

Two questions about a stored object, asked before every write, so that a settled object costs none:
1. Is anything that we want absent or different (`_holds`)?
2. Do we still own a field that we no longer want (`_owns_more`, from managedFields)? An apply without it removes it.

Lists merge as in server-side apply: by key where the schema has one, else as a whole.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from .. import names, quantities

Json = dict[str, Any]

# Merge keys of the lists that we send. Source: `x-kubernetes-list-map-keys` of the API server's OpenAPI document.
# A list that is not here is atomic: equal length, item by item.
MERGE_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "ownerReferences": ("uid",),
    "conditions": ("type",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
QUANTITY_PARENTS = frozenset({"requests", "limits"})
QUANTITY_FIELDS = frozenset({"sizeLimit"})


def differs(desired: Json, live: Json, manager: str = names.FIELD_MANAGER) -> bool:
    """True when applying `desired` would change `live`. The status is not looked at."""
    wanted = {key: value for key, value in desired.items() if key not in {"apiVersion", "kind"}}
    if not _holds(wanted, live, ""):
        return True
    return any(_owns_more(entry.get("fieldsV1") or {}, desired) for entry in applied_by(live, manager))


def applied_by(live: Json, manager: str, subresource: str = "") -> list[Json]:
    """The managedFields entries of a manager's applies."""
    return [
        entry
        for entry in live["metadata"].get("managedFields") or ()
        if entry.get("manager") == manager
        and entry.get("operation") == "Apply"
        and entry.get("subresource", "") == subresource
    ]


def _holds(desired: Any, live: Any, field: str) -> bool:
    if desired == live:
        return True  # most of it, told without looking into it here
    if isinstance(desired, dict):
        return isinstance(live, dict) and all(_field_holds(key, value, live, field) for key, value in desired.items())
    if isinstance(desired, list):
        return isinstance(live, list) and _list_holds(desired, live, field)
    return False


def _field_holds(key: str, value: Any, live: Json, parent: str) -> bool:
    if key not in live:
        return value in ({}, [], "")  # the server stores no empty values
    if parent in QUANTITY_PARENTS or key in QUANTITY_FIELDS:
        return quantities.same(str(value), str(live[key]))
    return _holds(value, live[key], key)


def _list_holds(desired: list[Any], live: list[Any], field: str) -> bool:
    keys = MERGE_KEYS.get(field) or _port_keys(field, desired)
    if keys is None or not all(isinstance(item, dict) for item in desired):
        return len(desired) == len(live) and all(_holds(a, b, field) for a, b in zip(desired, live, strict=True))
    stored = {_identity(item, keys): item for item in live}
    return all(_identity(item, keys) in stored and _holds(item, stored[_identity(item, keys)], "") for item in desired)


def _port_keys(field: str, items: list[Any]) -> tuple[str, ...] | None:
    """Container ports and Service ports share a name but not their key."""
    if field != "ports" or not items:
        return None
    return ("containerPort", "protocol") if "containerPort" in items[0] else ("port", "protocol")


def _identity(item: Json, keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(item.get(key) for key in keys)


def _owns_more(fields: Mapping[str, Any], desired: Any) -> bool:
    """Walk a FieldsV1 set beside the object that we want. "f:" is a field, "k:" an item by key, "v:" one by value."""
    for name, inner in fields.items():
        if name == ".":
            continue
        kind, _, rest = name.partition(":")
        if kind == "f":
            if not isinstance(desired, dict) or rest not in desired:
                return True
            child = desired[rest]
        elif kind == "k":
            child = _item(desired, orjson.loads(rest))
            if child is None:
                return True
        elif kind == "v":
            if not isinstance(desired, list) or orjson.loads(rest) not in desired:
                return True
            continue
        else:
            continue
        if inner and _owns_more(inner, child):
            return True
    return False


def _item(desired: Any, key: Json) -> Any:
    for item in desired if isinstance(desired, list) else ():
        if isinstance(item, dict) and all(item.get(name) == value for name, value in key.items()):
            return item
    return None
