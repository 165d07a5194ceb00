"""Short commands: run, check, and say what failed."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .report import BenchError

Words = list[str | Path]
"""A command line under construction."""


def run(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    stdin: str | bytes | None = None,
    check: bool = True,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `command` to its end with its output captured. Raises BenchError with that output when it fails."""
    words = [str(part) for part in command]
    try:
        done = subprocess.run(
            words,
            input=stdin.decode() if isinstance(stdin, bytes) else stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            env=None if environment is None else dict(environment),
            cwd=cwd,
            check=False,
        )
    except FileNotFoundError as error:
        raise BenchError(f"{words[0]}: no such program") from error
    if check and done.returncode != 0:
        text = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        raise BenchError(f"{' '.join(words[:6])} ended with {done.returncode}:\n{text}")
    return done


def write_changed(path: Path, text: str) -> bool:
    """Write `text` to `path` unless it is there already; whether it was written."""
    if path.exists() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return True


def answers(url: str) -> bool:
    """Whether a plain HTTP `url` answers with success, asked without any proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file `path`; waits for another run that holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
