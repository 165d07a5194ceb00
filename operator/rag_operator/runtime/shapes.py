"""What an answer must look like to be the API server's: a proxy or a login page says 200 and JSON, too.

Whatever does not look so raises Unreachable, as if there had been no answer: it is asked for again.
"""

from typing import Any

from .errors import Unreachable

Json = dict[str, Any]
CHANGES = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK"})


def an_object(body: Json, *, stored: bool = True) -> Json:
    """The body of an object with a name, and with a version when it is `stored`."""
    if not (_is_named(body) and (_version(body) or not stored)):
        raise _wrong("object", body)
    return body


def a_page(body: Json) -> Json:
    """One page of a LIST, all of whose items have names and versions."""
    items = body.get("items") or []
    if not _version(body) or not isinstance(body["metadata"].get("continue") or "", str):
        raise _wrong("List", body)
    if not isinstance(items, list) or not all(_is_named(item) and _version(item) for item in items):
        raise _wrong("List of objects", body)
    return body


def an_event(body: Json) -> Json:
    """A change that a watch tells of: an object with a name and a version, or a bookmark with a version."""
    change, obj = body.get("type"), body.get("object")
    if not isinstance(change, str) or change not in CHANGES:
        raise _wrong("watch event", body)
    if not _version(obj) or not (change == "BOOKMARK" or _is_named(obj)):
        raise _wrong("watch event with a version", body)
    return body


def _metadata(body: Any) -> Json:
    found = body.get("metadata") if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}


def _is_named(body: Any) -> bool:
    found = _metadata(body)
    return isinstance(found.get("name"), str) and isinstance(found.get("namespace") or "", str)


def _version(body: Any) -> bool:
    found = _metadata(body).get("resourceVersion")
    return isinstance(found, str) and found.isascii() and found.isdigit()


def _wrong(wanted: str, body: Json) -> Unreachable:
    return Unreachable(f"the answer is no {wanted}: {str(body)[:80]}")
