"""Settings and document folders for the indexer's tests."""

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from rag_contract.environment import QDRANT_API_KEY_VARIABLE, IndexerEnvironment

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


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
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


def start(command: str, chosen: IndexerEnvironment, api_key: str = "") -> "subprocess.Popen[str]":
    """The program as its image runs it. Standard error is a pipe of JSON lines."""
    environment = os.environ | chosen.to_env() | ({QDRANT_API_KEY_VARIABLE: api_key} if api_key else {})
    arguments = [sys.executable, "-m", "rag_indexer", command]
    return subprocess.Popen(arguments, env=environment, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
