"""Made-up weights, settings, and the program as a process."""

import random
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rag_contract.model_cache import DoneMarker
from rag_contract.model_fetch import FetchEnvironment

from tests.unit.rag_jobs import programs
from tests.unit.rag_jobs.programs import Process

REPOSITORY = "made-up/tiny"
MIB = 1 << 20


def repository(weights: int = 3 * MIB) -> dict[str, bytes]:
    """A small repository: two shards, small files, and what nobody needs beside safetensors."""
    chance = random.Random(7)
    return {
        "config.json": b'{"architectures": ["LlamaForCausalLM"]}',
        "tokenizer/tokenizer.json": chance.randbytes(20_000),
        "empty.txt": b"",
        "model-00001-of-00002.safetensors": chance.randbytes(weights),
        "model-00002-of-00002.safetensors": chance.randbytes(weights // 2 + 1),
        "pytorch_model.bin": b"the same weights again",
        "original/consolidated.00.pth": b"and again",
        ".gitattributes": b"*.safetensors filter=lfs",
    }


WANTED = (
    "config.json",
    "empty.txt",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "tokenizer/tokenizer.json",
)


def settings(folder: Path, **more: Any) -> FetchEnvironment:
    """Of a fetch into `folder`."""
    given: dict[str, Any] = {
        "service": "handbook",
        "source": "Hub",
        "repository": REPOSITORY,
        "cache_path": str(folder / "cache"),
        "port": 0,
        "termination_path": str(folder / "end"),
    }
    return FetchEnvironment(**(given | more))


def weights(chosen: FetchEnvironment) -> Path:
    """Where they end up."""
    return Path(chosen.cache_path) / "weights" / chosen.key


def marker(chosen: FetchEnvironment) -> DoneMarker | None:
    path = weights(chosen) / ".complete"
    return DoneMarker.model_validate_json(path.read_bytes()) if path.exists() else None


def found(chosen: FetchEnvironment) -> dict[str, bytes]:
    """Path and content of every file beside the marker."""
    folder = weights(chosen)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".complete"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def running(chosen: FetchEnvironment, **environment: str) -> AbstractContextManager[Process]:
    """The program; it is killed at the end when it still runs."""
    return programs.running(["rag_model_fetch"], chosen.to_env() | environment)
