"""One request as the handlers see it, and the table that routes are listed in."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from aiohttp import web

from .catalog import Catalog
from .collection import Collection
from .errors import bad_format
from .settings import Settings

Body = dict[str, Any]


class Access(Enum):
    """Which key a route asks for."""

    OPEN = "open"
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Call:
    """A parsed request."""

    request: web.Request
    body: Body
    catalog: Catalog
    settings: Settings

    @property
    def name(self) -> str:
        """The collection or alias in the path."""
        return self.request.match_info["name"]

    @property
    def collection(self) -> Collection:
        """The collection in the path; 404 without it."""
        return self.catalog.get(self.name)

    def field(self, name: str, kind: type) -> Any:
        """A field that the body must have."""
        value = self.body.get(name)
        if not isinstance(value, kind):
            raise bad_format(f"missing field `{name}`")
        return value


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table of contents."""

    method: str
    path: str
    access: Access
    handler: Handler


def parse(raw: bytes) -> Body:
    """The body as an object; 400 with words like Qdrant's JSON reader. No body reads as an empty object."""
    if not raw:
        return {}
    try:
        value = json.loads(raw, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise bad_format(_position(error)) from error
    except UnicodeDecodeError as error:
        raise bad_format("invalid unicode code point") from error
    if not isinstance(value, dict):
        raise bad_format("invalid type, expected a map at line 1 column 0")
    return value


def _no_number(name: str) -> Any:
    """Python reads NaN and Infinity as numbers; JSON has none."""
    raise bad_format(f"expected value, not {name}")


def _position(error: json.JSONDecodeError) -> str:
    at_end = not error.doc[error.pos :].strip()
    if not at_end:
        return f"expected value at line {error.lineno} column {error.colno}"
    what = "an object" if "property name" in error.msg or "',' delimiter" in error.msg else "a value"
    consumed = len(error.doc.rstrip())
    return f"EOF while parsing {what} at line {error.lineno} column {consumed}"
