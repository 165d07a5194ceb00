"""Progress for a person: one line per step with the time since the start."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator


class BenchError(Exception):
    """The bench cannot go on; the message says what to do about it."""


class Report:
    """Writes steps to standard error, so that standard output stays for ``env``."""

    def __init__(self, quiet: bool = False) -> None:
        self._start = time.monotonic()
        self._quiet = quiet

    def line(self, text: str) -> None:
        """One line with the elapsed seconds in front."""
        if not self._quiet:
            print(f"[{time.monotonic() - self._start:6.1f}s] {text}", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def step(self, text: str, every: float = 15.0) -> Iterator[None]:
        """A step that may be long: a sign of life every `every` seconds, and its duration at the end."""
        self.line(f"{text} ...")
        began = time.monotonic()
        done = threading.Event()

        def tick() -> None:
            while not done.wait(every):
                self.line(f"  still: {text} ({time.monotonic() - began:.0f} s)")

        thread = threading.Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
        self.line(f"{text}: {time.monotonic() - began:.1f} s")
