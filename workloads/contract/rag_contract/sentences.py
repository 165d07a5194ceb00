"""Sentences of a text, by offsets, for English and Vietnamese. Pure; standard library only.

A sentence ends at . ! ? … and at blank lines, list items and table rows; not inside numbers, after abbreviations and
initials, nor before a small letter. Nothing but white space lies between two sentences.
"""

import re
from typing import NamedTuple

_ABBREVIATION_LIST = (
    "mr mrs ms dr prof st no nos vs e.g i.e cf approx dept inc ltd corp fig sec ext est tel vol art "
    "tp q p tx th.s ths ts pgs gs bs ks ls cn tt nđ qđ sđt đt vd ct"
)
_ABBREVIATIONS = frozenset(_ABBREVIATION_LIST.split())
_LONGEST_WORD_LOOKED_AT = 16

# A new block begins: blank line, list item, table row, quote.
_BLOCK = re.compile(r"\n[ \t]*(?:\n\s*|(?=(?:[-*+•–] |\d{1,3}[.)] |[|>])))")
# Possessive, and never begun inside a run: a million dots cost a million steps, not their square.
_STOP = re.compile(r"(?<![.!?…])(?:[.!?…]++|[。！？]++)[\"'”’»)\]*_]*+(?=\s|$)")
_NEXT = re.compile(r"\s*(\S)")
_LAST_WORD = re.compile(r"(?:[^\W_]|\.)+$")
_LIST_MARKER = re.compile(r"\s*(?:\d{1,3}|[A-Za-z])[.)]")


class Span(NamedTuple):
    """`text[start:end]` is one sentence, without white space at its ends."""

    start: int
    end: int


def split(text: str) -> tuple[Span, ...]:
    """All sentences in order. Empty for a text of white space."""
    spans: list[Span] = []
    block_start = 0
    for block in _BLOCK.finditer(text):
        spans.extend(_sentences(text, block_start, block.start()))
        block_start = block.end()
    spans.extend(_sentences(text, block_start, len(text)))
    return tuple(spans)


def _sentences(text: str, start: int, end: int) -> list[Span]:
    found: list[Span] = []
    begin = start
    for stop in _STOP.finditer(text, start, end):
        if _ends_sentence(text, begin, stop, end):
            found.append(_trimmed(text, begin, stop.end()))
            begin = stop.end()
    found.append(_trimmed(text, begin, end))
    return [span for span in found if span.start < span.end]


def _ends_sentence(text: str, begin: int, stop: re.Match[str], end: int) -> bool:
    following = _NEXT.match(text, stop.end(), end)
    if following is None:
        return True
    if following.group(1).islower():
        return False
    if stop.group() != ".":
        return True
    if _LIST_MARKER.fullmatch(text, begin, stop.end()):
        return False
    last = _LAST_WORD.search(text, max(begin, stop.start() - _LONGEST_WORD_LOOKED_AT), stop.start())
    word = last.group() if last else ""
    initial = len(word) == 1 and word.isupper()
    number_follows = word.lower() in {"no", "nos", "q", "p", "art", "fig", "sec"} and not following.group(1).isdigit()
    return not initial and (word.lower() not in _ABBREVIATIONS or number_follows)


def _trimmed(text: str, start: int, end: int) -> Span:
    part = text[start:end]
    return Span(
        start + len(part) - len(part.lstrip()), end - (len(part) - len(part.rstrip())) if part.strip() else start
    )
