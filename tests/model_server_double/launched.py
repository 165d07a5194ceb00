"""A launcher as a real process, whatever engine is behind it: the double, or vLLM itself."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from rag_contract.model_server import ModelServerResult, ModelServerState

LOG, TERMINATION = "log", "termination"
LONG = {
    "messages": [{"role": "user", "content": "hello"}],
    "stream": True,
    "stream_options": {"include_usage": True},
    "ignore_eos": True,
}


class Launched:
    """A running launcher. `seconds` is how long to wait for anything."""

    def __init__(self, folder: Path, words: Sequence[str], environment: Mapping[str, str], seconds: float) -> None:
        self.folder = folder
        self.seconds = seconds
        self.engine_port = int(environment["RAG_MODEL_ENGINE_PORT"])
        self.port = int(environment["RAG_MODEL_PORT"])
        with (folder / LOG).open("wb") as log:
            self.process = subprocess.Popen(words, env=dict(environment), stdout=log, stderr=log)

    @property
    def url(self) -> str:
        """Of the engine, without a slash at its end."""
        return f"http://127.0.0.1:{self.engine_port}"

    @property
    def log(self) -> str:
        return (self.folder / LOG).read_text(encoding="utf-8", errors="replace")

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
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline:
            found, state = self.probe(path)
            if found == status and state is not None:
                return state
            if self.process.poll() is not None:
                break
            time.sleep(0.03)
        raise AssertionError(f"no {status} from {path} in time:\n{self.log}")

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        """POST to the engine; the open answer."""
        data = json.dumps({"model": "rag", **body}).encode()
        headers = {"Content-Type": "application/json"}
        return urlopen(Request(self.url + path, data=data, headers=headers, method="POST"), timeout=self.seconds)

    def metrics(self) -> str:
        """The engine's figures."""
        with urlopen(f"{self.url}/metrics", timeout=self.seconds) as answer:
            text: str = answer.read().decode()
        return text

    def turn(self, switch: str, text: str = "") -> None:
        """A switch of the double."""
        with urlopen(Request(f"{self.url}/double/{switch}", data=text.encode(), method="POST"), timeout=5):
            pass

    def end(self) -> tuple[int, ModelServerResult]:
        """Waits for its end: exit code and termination message."""
        code = self.process.wait(self.seconds)
        text = (self.folder / TERMINATION).read_text(encoding="utf-8")
        return code, ModelServerResult.model_validate_json(text)

    def stop(self) -> tuple[int, ModelServerResult]:
        """SIGTERM, as the kubelet does."""
        self.process.terminate()
        return self.end()

    def discard(self) -> None:
        """Ends what a test left behind."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(self.seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Stream(threading.Thread):
    """A streamed answer of so many tokens, read in the background."""

    def __init__(self, launched: Launched, tokens: int) -> None:
        super().__init__(daemon=True)
        self._answer = launched.ask("/v1/chat/completions", {**LONG, "max_tokens": tokens})
        self.text = ""

    def run(self) -> None:
        with self._answer:
            try:
                self.text = self._answer.read().decode()
            except (OSError, HTTPException) as error:
                self.text = f"cut off: {error}"

    def whole(self) -> bool:
        return self.text.rstrip().endswith("data: [DONE]")

    def tokens(self) -> int:
        """How many came, as the server counted them; an event may hold several."""
        lines = [line.removeprefix("data: ") for line in self.text.splitlines() if line.startswith("data: {")]
        return int(json.loads(lines[-1])["usage"]["completion_tokens"])


def environment_of_the_double(command: Path, folder: Path, ports: tuple[int, int]) -> dict[str, str]:
    """What a launcher needs to find the double in the place of `vllm`."""
    engine, launcher = ports
    return os.environ | {
        "PATH": f"{command}:{os.environ['PATH']}",
        "RAG_MODEL_ENGINE_PORT": str(engine),
        "RAG_MODEL_PORT": str(launcher),
        "RAG_MODEL_POLL_SECONDS": "0.1",
        "RAG_MODEL_TERMINATION_PATH": str(folder / TERMINATION),
    }
