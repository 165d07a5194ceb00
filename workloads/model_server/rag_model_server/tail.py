"""The last lines of the engine's output, to tell from them why it ended."""

import re
from collections import deque

LINES = 2000
LINE_BYTES = 4000

_BREAK = re.compile(rb"[\r\n]+")


class Tail:
    """Keeps `LINES` lines. A progress bar's carriage return ends a line too."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=LINES)
        self._rest = b""

    def add(self, chunk: bytes) -> None:
        """Any piece of output."""
        *whole, self._rest = _BREAK.split(self._rest + chunk)
        self._rest = self._rest[-LINE_BYTES:]
        self._lines.extend(line[:LINE_BYTES].decode(errors="replace") for line in whole if line.strip())

    def lines(self) -> list[str]:
        """Oldest first, with the one that is not ended yet."""
        rest = self._rest.decode(errors="replace").strip()
        return [*self._lines, *([rest] if rest else [])]

    def last(self) -> str:
        """The last whole line, empty before there is one."""
        return self._lines[-1] if self._lines else ""
