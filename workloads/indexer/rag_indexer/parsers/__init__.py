"""One module per file type; each is `parse(text) -> Parsed` and pure. Raises Unreadable for a faulty front matter."""

from collections.abc import Callable

from ..documents import Parsed
from . import html, markdown, plain

PARSERS: dict[str, Callable[[str], Parsed]] = {
    ".md": markdown.parse,
    ".markdown": markdown.parse,
    ".txt": plain.parse,
    ".text": plain.parse,
    ".html": html.parse,
    ".htm": html.parse,
}
"""By file ending, small letters."""
