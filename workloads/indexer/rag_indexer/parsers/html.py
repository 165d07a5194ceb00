"""HTML by the standard library's parser: headings cut it into sections, scripts and page furniture are left out.

Meta data: `<title>`, `<link rel=canonical>`, `<meta name="rag-id|rag-tenant|rag-roles" content="...">`; the first of
each counts.
"""

from collections import Counter
from html.parser import HTMLParser

from ..documents import Line, Meta, Parsed, Section
from ..errors import Unreadable

_SILENT = frozenset({"script", "style", "template", "noscript", "nav", "svg", "head", "iframe", "object", "select"})
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCK_NAMES = (
    "address article aside blockquote br dd div dl dt figcaption figure footer form header hr li main ol p pre "
    "section table tr ul"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_MARKERS = {"li": "- ", "tr": "| "}
"""What a list item and a table row begin with, as in Markdown."""


def parse(text: str) -> Parsed:
    """As far as it goes: a browser shows faulty HTML too. Raises Unreadable for a tenant without a name."""
    reader = _Reader()
    reader.feed(_with_ends(text))
    reader.close()
    return Parsed(reader.meta, reader.finish())


def _with_ends(text: str) -> str:
    """What begins and never ends becomes text, with all line ends where they were.

    The library looks for the end of each such beginning through the whole file, and it gives up on sections `<![...]`
    that it does not know; browsers take these for comments.
    """
    comments, tags = text.rfind("-->") + 1, text.rfind(">") + 1
    text = text[:comments] + text[comments:tags].replace("<!--", "&lt;!--") + text[tags:].replace("<", "&lt;")
    return text.replace("<![", "<! [")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.meta = Meta()
        self._silent: list[str] = []
        self._silent_names: Counter[str] = Counter()
        self._title: list[str] | None = None
        self._heading: list[str] | None = None
        self._path: list[tuple[int, str]] = []
        self._words: list[str] = []
        self._line = 0
        self._lines: list[Line] = []
        self._sections: list[Section] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("meta", "link"):
            self._about({name: value or "" for name, value in attrs})
        elif tag == "title" and "svg" not in self._silent:
            self._title = []
        elif tag in _SILENT:
            self._silent.append(tag)
            self._silent_names[tag] += 1
        elif self._silent and tag == "body":
            self._silent.clear()  # a head that was never closed
            self._silent_names.clear()
        elif not self._silent:
            self._begin(tag)

    def _begin(self, tag: str) -> None:
        if tag in _HEADINGS:
            self._break()
            self._heading = []
        elif tag in _BLOCKS:
            self._break()
            if tag in _MARKERS:
                self._words = [_MARKERS[tag]]
                self._line = self.getpos()[0]
            elif tag in ("p", "table", "ul", "ol", "div", "section"):
                self._lines.append(Line(self.getpos()[0], ""))
        elif tag in ("td", "th") and self._words and self._words[-1] != _MARKERS["tr"]:
            self._words.append(" | ")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title" and self._title is not None:
            self.meta.title = " ".join("".join(self._title).split()) or None
            self._title = None
        elif tag in _SILENT:
            self._unsilence(tag)
        elif not self._silent and tag in _HEADINGS and self._heading is not None:
            self._open(_HEADINGS[tag], " ".join("".join(self._heading).split()))
        elif not self._silent and tag in _BLOCKS:
            self._break()
            if tag in _MARKERS:
                self._words = []  # an item or a row without text

    def _unsilence(self, tag: str) -> None:
        """The innermost element of the name ends, and all that was left open in it."""
        while self._silent_names[tag]:
            ended = self._silent.pop()
            self._silent_names[ended] -= 1
            if ended == tag:
                return

    def handle_data(self, data: str) -> None:
        if self._title is not None:
            self._title.append(data)
        elif self._silent:
            return
        elif self._heading is not None:
            self._heading.append(data)
        elif data.strip() or self._words:
            if not self._words:
                self._line = self.getpos()[0] + len(data[: len(data) - len(data.lstrip())].split("\n")) - 1
            self._words.append(data)

    def finish(self) -> list[Section]:
        self._close()
        return self._sections

    def _about(self, attrs: dict[str, str]) -> None:
        name, content = attrs.get("name", "").lower(), attrs.get("content", "").strip()
        if attrs.get("rel", "").lower() == "canonical":
            self.meta.url = self.meta.url or attrs.get("href", "").strip() or None
        elif name == "rag-id":
            self.meta.id = self.meta.id or content or None
        elif name == "rag-tenant" and not content:
            raise Unreadable("rag-tenant: name one, or leave the element out")
        elif name == "rag-tenant":
            self.meta.tenant = self.meta.tenant or content
        elif name == "rag-roles" and self.meta.roles is None:
            self.meta.roles = tuple(role.strip() for role in content.split(",") if role.strip())

    def _break(self) -> None:
        if self._heading is not None:  # a heading that was never closed is text
            self._words, self._heading = self._heading, None
        line = " ".join("".join(self._words).split())
        if line in ("-", "|"):
            return  # the text that the marker belongs to comes in a block of its own
        if line:
            self._lines.append(Line(self._line, line))
        self._words = []

    def _open(self, level: int, title: str) -> None:
        self._heading = None
        self._close()
        self._path = [above for above in self._path if above[0] < level]
        if title:
            self._path.append((level, title))

    def _close(self) -> None:
        self._break()
        if any(line.text for line in self._lines):
            self._sections.append(Section(tuple(title for _, title in self._path), tuple(self._lines)))
        self._lines = []
