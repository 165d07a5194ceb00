"""A launcher as a real process, with the double in the place of `vllm`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
from rag_contract.model_server import ModelServerResult, ModelServerState

from tests.model_server_double.fixture import command, free_port

SECONDS = 20.0


class Launched:
    """A running launcher."""

    def __init__(self, folder: Path, arguments: list[str], settings: dict[str, str], switches: dict[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.engine_port, self.port = free_port(), free_port()
        environment = os.environ | {
            "PATH": f"{command(folder / 'bin').parent}:{os.environ['PATH']}",
            "RAG_MODEL_ENGINE_PORT": str(self.engine_port),
            "RAG_MODEL_PORT": str(self.port),
            "RAG_MODEL_POLL_SECONDS": "0.1",
            "RAG_MODEL_TERMINATION_PATH": str(folder / "termination"),
            **{f"RAG_MODEL_{name.upper()}": text for name, text in settings.items()},
            **{f"DOUBLE_{name.upper()}": text for name, text in switches.items()},
        }
        engine = [f"--port={self.engine_port}", "--host=127.0.0.1", "--served-model-name=rag"]
        words = [sys.executable, "-m", "rag_model_server", "/models/tiny", *engine, *arguments]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(words, env=environment, stdout=log, stderr=log)

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(encoding="utf-8")

    def probe(self, path: str) -> tuple[int, ModelServerState | None]:
        """Status and state; 0 when nobody answers."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, ModelServerState.model_validate_json(answer.read())
        except HTTPError as error:
            with error:
                return error.code, ModelServerState.model_validate_json(error.read())
        except (URLError, ConnectionError):
            return 0, None

    def until(self, path: str, status: int) -> ModelServerState:
        """Waits until a probe is answered so."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            found, state = self.probe(path)
            if found == status and state is not None:
                return state
            if self.process.poll() is not None:
                break
            time.sleep(0.03)
        raise AssertionError(f"no {status} from {path} in time:\n{self.log}")

    def ask(self, path: str, body: dict[str, Any], **more: Any) -> Any:
        """POST to the engine; the open answer."""
        data = json.dumps({"model": "rag", **body}).encode()
        headers = {"Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self.engine_port}{path}"
        return urlopen(Request(url, data=data, headers=headers, method="POST"), timeout=SECONDS, **more)

    def turn(self, switch: str, text: str = "") -> None:
        """A switch of the double."""
        url = f"http://127.0.0.1:{self.engine_port}/double/{switch}"
        with urlopen(Request(url, data=text.encode(), method="POST"), timeout=5):
            pass

    def end(self) -> tuple[int, ModelServerResult]:
        """Waits for its end: exit code and termination message."""
        code = self.process.wait(SECONDS)
        text = (self._folder / "termination").read_text(encoding="utf-8")
        return code, ModelServerResult.model_validate_json(text)

    def stop(self) -> tuple[int, ModelServerResult]:
        """SIGTERM, as the kubelet does."""
        self.process.terminate()
        return self.end()


Launch = Callable[..., Launched]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """launch("--flag", settings={"gpus": "1"}, hang="true"): the last are the double's switches."""
    started: list[Launched] = []

    def start(*arguments: str, settings: dict[str, str] | None = None, **switches: str) -> Launched:
        launched = Launched(tmp_path / str(len(started)), list(arguments), settings or {}, switches)
        started.append(launched)
        return launched

    yield start
    for launched in started:
        if launched.process.poll() is None:
            launched.process.terminate()
            try:
                launched.process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                launched.process.kill()
                launched.process.wait()
