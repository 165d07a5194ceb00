"""A launcher as a real process, with the double in the place of `vllm`."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.model_server_double.fixture import command, free_port
from tests.model_server_double.launched import Launched, environment_of_the_double

SECONDS = 60.0
"""A time that only a fault takes, also on a busy machine."""

Launch = Callable[..., Launched]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """launch("--flag", settings={"gpus": "1"}, hang="true"): the last are the double's switches."""
    started: list[Launched] = []

    def start(*arguments: str, settings: dict[str, str] | None = None, **switches: str) -> Launched:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        port = free_port()
        environment = environment_of_the_double(command(folder / "bin").parent, folder, (port, free_port()))
        environment |= {f"RAG_MODEL_{name.upper()}": text for name, text in (settings or {}).items()}
        environment |= {f"DOUBLE_{name.upper()}": text for name, text in switches.items()}
        engine = [f"--port={port}", "--host=127.0.0.1", "--served-model-name=rag"]
        words = [sys.executable, "-m", "rag_model_server", "/models/tiny", *engine, *arguments]
        launched = Launched(folder, words, environment, SECONDS)
        started.append(launched)
        return launched

    yield start
    for launched in started:
        launched.discard()
