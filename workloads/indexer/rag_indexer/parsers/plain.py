"""Plain text: one section without headings; a front matter is read as in Markdown."""

from ..documents import Line, Parsed, Section
from . import front_matter


def parse(text: str) -> Parsed:
    """Raises Unreadable for a faulty front matter."""
    meta, offset, body = front_matter.split(text)
    lines = tuple(Line(number, line) for number, line in enumerate(body.split("\n"), offset + 1))
    return Parsed(meta, [Section((), lines)])
