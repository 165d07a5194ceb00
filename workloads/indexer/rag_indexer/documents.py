"""What a parser makes of one file."""

from dataclasses import dataclass, field

from rag_contract import payload

from .errors import Unreadable

MAX_NAME = 63
MAX_ROLES = 32
MAX_TITLE = 300
"""Characters of a title or heading that are kept: every chunk below carries them."""
MAX_ADDRESS = 2048
"""Characters of an id or a URL."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text and its number in the file, from 1."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """Lines under one path of headings. No chunk reaches over a section's end."""

    headings: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One document of one tenant. `roles` is never empty; `("*",)` lets every reader of the tenant read it."""

    id: str
    title: str
    tenant: str
    roles: tuple[str, ...]
    url: str | None
    sections: tuple[Section, ...]


@dataclass(slots=True)
class Meta:
    """What a file says of itself. None means that it says nothing; the file's path and the settings then decide."""

    id: str | None = None
    title: str | None = None
    tenant: str | None = None
    roles: tuple[str, ...] | None = None
    url: str | None = None


@dataclass(slots=True)
class Parsed:
    """A parser's result."""

    meta: Meta = field(default_factory=Meta)
    sections: list[Section] = field(default_factory=list)


def document(path: str, parsed: Parsed, default_tenant: str) -> Document:
    """A document from a parsed file. Raises Unreadable for a tenant, role or address that may not stand.

    An empty list of roles is refused rather than read as everybody: it is more likely meant as nobody.
    """
    meta = parsed.meta
    roles = (payload.EVERYBODY,) if meta.roles is None else meta.roles
    if not roles or len(roles) > MAX_ROLES:
        raise Unreadable(f"roles: name 1 to {MAX_ROLES} roles, or leave the line out for everybody")
    for what, name in [("tenant", meta.tenant or default_tenant), *(("roles", role) for role in roles)]:
        if not name or len(name) > MAX_NAME:
            raise Unreadable(f"{what}: a name has 1 to {MAX_NAME} characters")
    if len(meta.id or path) > MAX_ADDRESS or len(meta.url or "") > MAX_ADDRESS:
        raise Unreadable(f"id and url: at most {MAX_ADDRESS} characters")
    if meta.url and not meta.url.startswith(("https://", "http://")):
        raise Unreadable("url: only http and https addresses are shown to readers")
    title = meta.title or _first_heading(parsed.sections) or path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    sections = tuple(Section(_below(title, s.headings), s.lines) for s in parsed.sections)
    return Document(
        meta.id or path, title[:MAX_TITLE], meta.tenant or default_tenant, roles, meta.url or None, sections
    )


def _first_heading(sections: list[Section]) -> str | None:
    return next((section.headings[0] for section in sections if section.headings), None)


def _below(title: str, headings: tuple[str, ...]) -> tuple[str, ...]:
    """The path without a first heading that only repeats the title."""
    below = headings[1:] if headings and headings[0] == title else headings
    return tuple(heading[:MAX_TITLE] for heading in below)
