"""Sections to chunks: whole sentences up to a size, a little of the last chunk repeated, never over a heading.

A chunk's text is a slice of its section's text, so its line numbers are exact. Sizes are in characters.
"""

import hashlib
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from rag_contract.sentences import Span, split

from .documents import Document, Section

HEADING_SEPARATOR = " > "
MOST_MARKS = 16
"""Combining marks on one letter that a cut looks past; more are nobody's writing."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of one document. `ordinal` counts from 0 through the document; lines are those of the file."""

    ordinal: int
    heading: str
    text: str
    line_start: int
    line_end: int

    def id(self, document: Document) -> str:
        """32 hex digits, the same for the same text at the same place of the same document."""
        parts = (document.tenant, document.id, str(self.ordinal), self.text)
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def chunks(document: Document, max_characters: int, overlap_characters: int) -> Iterator[Chunk]:
    """All chunks in order; `overlap_characters` must be less than half of `max_characters`."""
    ordinal = 0
    for section in document.sections:
        text, starts = _joined(section)
        for span in spans(text, max_characters, overlap_characters):
            first, last = (bisect_right(starts, at) - 1 for at in (span.start, span.end - 1))
            yield Chunk(
                ordinal,
                HEADING_SEPARATOR.join(section.headings),
                text[span.start : span.end],
                section.lines[first].number,
                section.lines[last].number,
            )
            ordinal += 1


def spans(text: str, max_characters: int, overlap_characters: int) -> Iterator[Span]:
    """Where the chunks of one section's text lie: in order, overlapping, together covering all but white space."""
    return _pack(_pieces(text, max_characters), max_characters, overlap_characters)


def _joined(section: Section) -> tuple[str, list[int]]:
    """The section's text and the offset at which each line starts."""
    starts: list[int] = []
    offset = 0
    for line in section.lines:
        starts.append(offset)
        offset += len(line.text) + 1
    return "\n".join(line.text for line in section.lines), starts


def _pieces(text: str, max_characters: int) -> list[Span]:
    """Sentences; one that is too long for a chunk is cut, at white space where there is some."""
    pieces: list[Span] = []
    for start, end in split(text):
        begin = start
        while end - begin > max_characters:
            cut = _cut(text, begin, begin + max_characters)
            pieces.append(Span(begin, cut))
            begin = cut
            while begin < end and text[begin].isspace():
                begin += 1
        if begin < end:
            pieces.append(Span(begin, end))
    return pieces


def _cut(text: str, begin: int, limit: int) -> int:
    """Where to cut before `limit`: after the last word that fits, else anywhere but before a combining mark."""
    for at in range(limit, begin + (limit - begin) // 2, -1):
        if text[at].isspace():
            return at
    nearest = max(begin + 1, limit - MOST_MARKS)
    return next((at for at in range(limit, nearest, -1) if not unicodedata.combining(text[at])), limit)


def _pack(pieces: list[Span], max_characters: int, overlap_characters: int) -> Iterator[Span]:
    """Spans of as many pieces as fit. Each begins with the last pieces of the one before, as far as the overlap goes."""
    first = 0
    for i, piece in enumerate(pieces):
        if i > first and piece.end - pieces[first].start > max_characters:
            last = pieces[i - 1]
            yield Span(pieces[first].start, last.end)
            first = i
            while (
                first > 0
                and last.end - pieces[first - 1].start <= overlap_characters
                and piece.end - pieces[first - 1].start <= max_characters
            ):
                first -= 1
    if pieces:
        yield Span(pieces[first].start, pieces[-1].end)
