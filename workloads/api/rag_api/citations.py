"""Markers such as [S2] are believed only when such a source was retrieved."""

import re
from typing import NamedTuple

_MARKER = re.compile(r"[ \t]*\[S(\d{1,4})\]")
_UNFINISHED = re.compile(r"[ \t]*(?:\[(?:S\d{0,4})?)?$")


class Checked(NamedTuple):
    """Text without invalid markers, and the numbers of sources that are named in it for the first time."""

    text: str
    new: tuple[int, ...]


class MarkerCheck:
    """Checks a text that arrives in pieces. A marker split over two pieces is held back until it is whole.

    `count` sources are numbered from 1. `dropped` counts the markers that were taken out.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._held = ""
        self._seen: set[int] = set()
        self.dropped = 0

    def feed(self, piece: str) -> Checked:
        """The next piece; what could be the beginning of a marker waits for the rest."""
        text = self._held + piece
        unfinished = _UNFINISHED.search(text)
        cut = unfinished.start() if unfinished else len(text)
        self._held = text[cut:]
        return self._check(text[:cut])

    def finish(self) -> Checked:
        """What was held back; call it once, at the end."""
        text, self._held = self._held, ""
        return self._check(text)

    def _check(self, text: str) -> Checked:
        if "[S" not in text:
            return Checked(text, ())
        new: list[int] = []

        def keep_or_drop(marker: re.Match[str]) -> str:
            number = int(marker[1])
            if not 1 <= number <= self._count:
                self.dropped += 1
                return ""
            if number not in self._seen:
                self._seen.add(number)
                new.append(number)
            return marker[0]

        return Checked(_MARKER.sub(keep_or_drop, text), tuple(new))
