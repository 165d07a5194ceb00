"""The block between two `---` lines at the top of a file: one `key: value` a line, lists as `[a, b]` or `- a` lines.

A subset of YAML on purpose: who may read a document hangs on it, so a line that is not understood is an error for this
file, never ignored.
"""

from ..documents import Meta
from ..errors import Unreadable

_TEXTS = ("id", "title", "tenant", "url")


def split(text: str) -> tuple[Meta, int, str]:
    """The meta data, the number of lines they take, and the text after them. Raises Unreadable."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return Meta(), 0, text
    end = next((i for i, line in enumerate(lines[1:], 1) if line.rstrip() in ("---", "...")), None)
    if end is None:
        return Meta(), 0, text  # a rule as the first line, not a front matter
    return _meta(lines[1:end]), end + 1, "\n".join(lines[end + 1 :])


def _meta(lines: list[str]) -> Meta:
    values: dict[str, str | list[str]] = {}
    key = ""
    for number, line in enumerate(lines, 2):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        if bare.startswith("- ") and key:
            before = values[key]
            values[key] = [*(before if isinstance(before, list) else []), _scalar(bare[2:])]
            continue
        key, colon, value = (part.strip() for part in bare.partition(":"))
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
