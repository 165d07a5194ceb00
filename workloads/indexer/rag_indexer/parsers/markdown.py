"""Markdown: headings cut it into sections, inline marks are taken off, code and tables stay as text."""

import re

from ..documents import Line, Parsed, Section
from . import front_matter

LONGEST_MARKED_LINE = 10_000
"""Longer lines are taken as they are: nobody marked them up by hand."""

# None of these looks at a character more than a fixed number of times: a line of spaces or stars costs its length.
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_TABLE_RULE = re.compile(r"\|?(?:[ \t]*+:?-{2,}+:?[ \t]*+\|)+[ \t]*+:?-*+:?")
_RULE = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_INLINE = (
    (re.compile(r"!?\[([^\]\[]*)\]\([^()\s]*(?:\s+\"[^\"]*\")?\)"), r"\1"),  # links and images: their text
    (re.compile(r"!?\[([^\]\[]+)\]\[[^\]]*\]"), r"\1"),
    # `(?=(x))\1` takes x without giving back: a possessive group, which CPython before 3.11.5 matches wrongly (gh-106052).
    (re.compile(r"(\*\*|__)(?=\S)(?=((?:(?!\1).)+))\2(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<![\w*])\*(?=[^\s*])(?=([^*]+))\1(?<=\S)\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<!\w)_(?=\S)(?=((?:[^_]|(?<=\w)_(?=\w))+))\1(?<=\S)_(?!\w)"), r"\1"),
    (re.compile(r"`([^`]+)`"), r"\1"),
    (re.compile(r"\\([\\`*_{}\[\]()#+\-.!|>])"), r"\1"),
)


def parse(text: str) -> Parsed:
    """Raises Unreadable for a faulty front matter."""
    meta, offset, body = front_matter.split(text)
    reader = _Reader()
    for number, line in enumerate(_without_comments(body).split("\n"), offset + 1):
        reader.take(number, line)
    return Parsed(meta, reader.finish())


def _without_comments(text: str) -> str:
    """Line ends inside a comment stay, so that line numbers do. A comment that never ends is text."""
    kept: list[str] = []
    at = 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start)) >= 0:
        kept += [text[at:start], "\n" * text.count("\n", start, end)]
        at = end + 3
    return "".join([*kept, text[at:]])


class _Reader:
    """Line by line; keeps the open section and the path of headings above it."""

    def __init__(self) -> None:
        self._path: list[tuple[int, str]] = []
        self._lines: list[Line] = []
        self._sections: list[Section] = []
        self._fence = ""

    def take(self, number: int, line: str) -> None:
        fence = _FENCE.match(line)
        if len(line) > LONGEST_MARKED_LINE:
            self._lines.append(Line(number, line))
        elif self._fence:
            if fence and fence.group(1).startswith(self._fence):
                self._fence = ""
            else:
                self._lines.append(Line(number, line))
        elif fence:
            self._fence = fence.group(1)
        elif heading := _HEADING.match(line):
            self._open(len(heading.group(1)), _plain(_without_closing_marks(line[heading.end() :])))
        elif (underline := _UNDERLINE.match(line)) and self._lines and _is_text(self._lines[-1].text):
            title = self._lines.pop().text
            self._open(1 if underline.group(1)[0] == "=" else 2, title.strip())
        elif _TABLE_RULE.fullmatch(line.strip()) or _RULE.match(line):
            self._lines.append(Line(number, ""))
        else:
            self._lines.append(Line(number, _plain(line)))

    def finish(self) -> list[Section]:
        self._close()
        return self._sections

    def _open(self, level: int, title: str) -> None:
        self._close()
        self._path = [above for above in self._path if above[0] < level]
        if title:
            self._path.append((level, title))

    def _close(self) -> None:
        if any(line.text.strip() for line in self._lines):
            self._sections.append(Section(tuple(title for _, title in self._path), tuple(self._lines)))
        self._lines = []


def _without_closing_marks(title: str) -> str:
    """`Two ##` is called "Two", `C#` is called "C#"."""
    title = title.rstrip()
    bare = title.rstrip("#")
    return bare.rstrip() if not bare or bare[-1].isspace() else title


def _is_text(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith(("-", "*", "+", ">", "|"))


def _plain(line: str) -> str:
    for pattern, replacement in _INLINE:
        line = pattern.sub(replacement, line)
    return line
