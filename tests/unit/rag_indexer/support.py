"""Settings and document folders for the indexer's tests."""

import random
import socket
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from rag_contract.environment import QDRANT_API_KEY_VARIABLE, IndexerEnvironment

from tests.unit.rag_jobs import programs
from tests.unit.rag_jobs.programs import Process

REPOSITORY = Path(__file__).resolve().parents[3]


def settings(**changes: Any) -> IndexerEnvironment:
    """Settings of a small index; tests change what they are about."""
    values: dict[str, Any] = {
        "service": "handbook",
        "version": "v1",
        "collection": "team.handbook.v1",
        "content_hash": "0123456789abcdef",
        "qdrant_url": "http://127.0.0.1:1",
        "documents_path": "/nowhere",
        "max_characters": 200,
        "overlap_characters": 40,
        "wait_seconds": 5,
        "port": 0,
        "termination_path": "/nowhere/at/all",
    }
    return IndexerEnvironment(**(values | changes))


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Files by relative path."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def many(folder: Path, documents: int, sections: int) -> Path:
    """A folder of made-up text with one chunk of about 150 characters a section, the same at each call."""
    made = random.Random(11)
    words = ["".join(made.choices("abcdeghiklmnoprstuv", k=made.randint(3, 9))) for _ in range(2000)]
    for number in range(documents):
        parts = [f"# Part {number}"]
        for section in range(sections):
            parts += [f"## Point {section}", " ".join(made.choices(words, k=22)).capitalize() + "."]
        write(folder, {f"{number:04}.md": "\n\n".join(parts)})
    return folder


def running(command: str, chosen: IndexerEnvironment, api_key: str = "") -> AbstractContextManager[Process]:
    """The program as its image runs it; killed at the end. Standard error is a pipe of JSON lines."""
    key = {QDRANT_API_KEY_VARIABLE: api_key} if api_key else {}
    return programs.running(["rag_indexer", command], chosen.to_env() | key)


class StallingProxy:
    """A double of a network that dies: passes so many bytes on towards the server, then holds everything back."""

    def __init__(self, target: str, budget: int) -> None:
        self._target = urlsplit(target)
        self._budget = budget
        self.stalled = threading.Event()
        self._released = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((str(self._target.hostname), int(self._target.port or 80)))
                threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while (data := source.recv(16384)) and self._passes(len(data) if counted else 0):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes the other direction up, which closing alone would not
            end.close()

    def _passes(self, size: int) -> bool:
        self._budget -= size
        if self._budget >= 0:
            return True
        self.stalled.set()
        self._released.wait()
        return False
