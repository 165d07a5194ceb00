"""The block between two `---` lines at the top of a file: one `key: value` a line, lists as `[a, b]` or `- a` lines.

A subset of YAML on purpose: who may read a document hangs on it, so a line that is not understood is an error for this
file, never ignored. Blank lines before the block, capital letters in a key and a block without an end are mistakes that
people make; none of them may turn a restricted document into one for everybody.
"""

import re

from ..documents import Meta
from ..errors import Unreadable

_TEXTS = ("id", "title", "tenant", "url")
_KNOWN = frozenset({*_TEXTS, "roles"})
_TELLING = re.compile(r"\s*(?:id|title|tenant|url|roles)\s*:", re.IGNORECASE)


def split(text: str) -> tuple[Meta, int, str]:
    """The meta data, the number of lines they take, and the text after them. Raises Unreadable."""
    lines = text.split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    if lines[first].rstrip() != "---":
        return Meta(), 0, text
    end = next((i for i, line in enumerate(lines[first + 1 :], first + 1) if line.rstrip() in ("---", "...")), None)
    if first and not _tells(lines[first + 1 : end]):
        return Meta(), 0, text  # a rule between blank lines
    if end is None:
        if _tells(lines[first + 1 :]):
            raise Unreadable("front matter: a line of three dashes must end it")
        return Meta(), 0, text  # a rule as the first line, not a front matter
    return _meta(lines[first + 1 : end], first + 2), end + 1, "\n".join(lines[end + 1 :])


def _tells(lines: list[str]) -> bool:
    """Whether the lines up to the first blank one hold a key that we know."""
    blank = next((i for i, line in enumerate(lines) if not line.strip()), len(lines))
    return any(_TELLING.match(line) for line in lines[:blank])


def _meta(lines: list[str], first: int) -> Meta:
    values: dict[str, str | list[str]] = {}
    key = ""
    for number, line in enumerate(lines, first):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        if bare.startswith("- ") and key:
            items = values[key] or []
            if isinstance(items, str):
                raise Unreadable(f"front matter, line {number}: {key} has a value already")
            items.append(_scalar(bare[2:]))
            values[key] = items
            continue
        key, colon, value = (part.strip() for part in bare.partition(":"))
        key = key.lower() if key.lower() in _KNOWN else key
        if not colon or not key or key in values or line[0].isspace():
            raise Unreadable(f"front matter, line {number}: expected `key: value`, each key once")
        values[key] = _list(value) if value.startswith("[") else _scalar(value)
    return _typed(values)


def _typed(values: dict[str, str | list[str]]) -> Meta:
    """Unknown keys are other programs' business; known ones must have the right shape."""
    meta = Meta()
    for name in _TEXTS:
        value = values.get(name, "")
        if not isinstance(value, str):
            raise Unreadable(f"front matter: {name} must be one value")
        setattr(meta, name, value or None)
    if values.get("tenant") == "":
        raise Unreadable("front matter: tenant: name one, or leave the line out")
    if "roles" in values:
        roles = values["roles"]
        meta.roles = tuple(roles) if isinstance(roles, list) else tuple(r for r in [roles] if r)
    return meta


def _list(value: str) -> list[str]:
    if not value.endswith("]"):
        raise Unreadable("front matter: a list must end with ] on its line")
    return [_scalar(item) for item in value[1:-1].split(",") if item.strip()]


def _scalar(value: str) -> str:
    value = value.strip()
    if value[:1] in ("'", '"') and value[-1:] == value[:1] and len(value) > 1:
        return value[1:-1]
    return value.split(" #", 1)[0].rstrip()
