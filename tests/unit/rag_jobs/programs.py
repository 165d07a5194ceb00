"""The programs of Jobs as processes: started as their images start them, and asked over HTTP and through their log."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

Process = subprocess.Popen[str]


@contextmanager
def running(arguments: list[str], settings: Mapping[str, str]) -> Iterator[Process]:
    """`python -m <arguments>` with these variables; it is killed at the end when it still runs. Its log is a pipe."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "AWS_", "RAG_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env={**kept, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def port_of(process: Process) -> int:
    """Where its progress is served. From the log: the settings ask for any free port."""
    assert process.stderr is not None
    for line in process.stderr:
        if "port" in (entry := json.loads(line)):
            return int(entry["port"])
    raise AssertionError("the program ended without serving its progress")


def progress(port: int) -> bytes:
    """What it tells while it runs."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/progress", timeout=5) as answer:
        said: bytes = answer.read()
        return said
