"""What the demonstration says, with the time since its start in front of each step."""

import sys
import time
from collections.abc import Callable
from typing import TextIO


class DemoError(Exception):
    """The demonstration cannot go on; the message says what happened and what to look at."""


class Terminated(KeyboardInterrupt):
    """SIGTERM reached this process alone; Ctrl-C reaches its children too."""


class Screen:
    """Writes steps, plain lines and tables. Time in seconds since it was made."""

    def __init__(self, out: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out or sys.stdout
        self._clock = clock
        self._start = clock()

    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    def step(self, text: str) -> None:
        """Something that begins or has happened, with the time."""
        self._write(f"[{self.elapsed():6.1f}s] {text}")

    def title(self, text: str) -> None:
        """Start of a part."""
        self._write(f"\n== {text}")

    def line(self, text: str = "") -> None:
        """One line as it is."""
        self._write(text)

    def block(self, text: str, indent: str = "    ") -> None:
        """Several lines, indented; nothing for an empty text."""
        for line in text.rstrip().splitlines():
            self._write(indent + line)

    def _write(self, text: str) -> None:
        print(text, file=self._out, flush=True)
