"""The stand-in as a real process on a real socket, for tests of whoever talks to Qdrant.

    from tests.qdrant_standin.fixture import start_standin
    with start_standin(tmp_path, api_key="secret") as qdrant:
        qdrant.url, qdrant.api_key, qdrant.restart()

or as a pytest fixture: `from tests.qdrant_standin.fixture import qdrant_server`.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 20.0
STOP_SECONDS = 10.0


class Standin:
    """A running stand-in. `restart` keeps the port and the data."""

    def __init__(self, folder: Path, api_key: str = "", read_only_api_key: str = "") -> None:
        self.folder = folder
        self.storage = folder / "storage"
        self.snapshots = folder / "snapshots"
        self.log = folder / "qdrant-standin.log"
        self.api_key = api_key
        self.read_only_api_key = read_only_api_key
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The base address, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process, None when stopped."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Starts the process and waits until it answers /readyz; RuntimeError with its log when it does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {
            "QDRANT__SERVICE__HOST": "127.0.0.1",
            "QDRANT__SERVICE__HTTP_PORT": str(self.port),
            "QDRANT__SERVICE__API_KEY": self.api_key,
            "QDRANT__SERVICE__READ_ONLY_API_KEY": self.read_only_api_key,
            "QDRANT__STORAGE__STORAGE_PATH": str(self.storage),
            "QDRANT__STORAGE__SNAPSHOTS_PATH": str(self.snapshots),
        }
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "tests.qdrant_standin"]
            self._process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            if found := re.search(r"listening on \S+:(\d+),", self.log.read_text(encoding="utf-8", errors="replace")):
                self.port = int(found[1])
                with urlopen(f"{self.url}/readyz", timeout=5) as answer:
                    assert answer.status == 200
                return
            time.sleep(0.02)
        text = self.log.read_text(encoding="utf-8", errors="replace")
        self.kill()
        raise RuntimeError(f"the qdrant stand-in for tests did not start:\n{text}")

    def stop(self) -> None:
        """SIGTERM, as Kubernetes does; the process flushes and ends. Stopping twice is fine."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: no chance to flush."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def restart(self, *, kill: bool = False) -> None:
        """Ends the process (with SIGKILL when told so) and starts it again on the same port and data."""
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()


@contextmanager
def start_standin(folder: Path, api_key: str = "", read_only_api_key: str = "") -> Iterator[Standin]:
    """A running stand-in with its data in a folder; with keys when they are given."""
    server = Standin(folder, api_key, read_only_api_key)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def qdrant_server(tmp_path: Path) -> Iterator[Standin]:
    """A stand-in of the test's own, without keys."""
    with start_standin(tmp_path / "qdrant") as server:
        yield server
