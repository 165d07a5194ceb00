"""The double as a real process on a real socket.

    with start_double(tmp_path, "--served-model-name=rag", token_seconds="0.05") as model:
        model.url, model.turn("hang", "true"), model.stop()

`command(folder)` puts a program `vllm` into a folder that is the double, for tests of what starts `vllm serve`.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30.0
STOP_SECONDS = 15.0


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(folder: Path) -> Path:
    """Writes `folder`/vllm; put the folder before PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "vllm"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tests.model_server_double "$@"\n')
    program.chmod(0o755)
    return program


class Double:
    """A running double."""

    def __init__(self, log: Path, process: subprocess.Popen[bytes]) -> None:
        self.log = log
        self.process = process
        self.port = 0

    @property
    def url(self) -> str:
        """The base address, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def wait(self) -> None:
        """Until it listens; RuntimeError with its log when it does not."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(r"listening on \S+:(\d+)", self.log.read_text(encoding="utf-8")):
                self.port = int(found[1])
                return
            time.sleep(0.02)
        text = self.log.read_text(encoding="utf-8")
        self.process.kill()
        raise RuntimeError(f"the double did not start:\n{text}")

    def turn(self, switch: str, text: str) -> None:
        """Turns a switch while it runs."""
        with urlopen(Request(f"{self.url}/double/{switch}", data=text.encode(), method="POST"), timeout=5):
            pass

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends it; the exit code. Stopping twice is fine."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def start_double(folder: Path, *arguments: str, **switches: str) -> Iterator[Double]:
    """A double on a free port that listens already. `switches` are those of switches.py, as text."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "model-server-double.log"
    environment = os.environ | {f"DOUBLE_{name.upper()}": text for name, text in switches.items()}
    words = [sys.executable, "-m", "tests.model_server_double", "--host=127.0.0.1", "--port=0", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=output, stderr=output)
    double = Double(log, process)
    try:
        double.wait()
        yield double
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(STOP_SECONDS)
