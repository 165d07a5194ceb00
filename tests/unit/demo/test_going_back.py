"""The demonstration of going back, beside a double of the service that releases what it is told."""

import dataclasses
import http.server
import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.demo import going_back
from tests.demo.kubectl import Kubectl
from tests.demo.screen import Screen

REFUSALS = {"answer-v1": "I could not find an answer to that in the handbook.", "answer-v2": going_back.SECOND_REFUSAL}
DAYS = {"handbook-2026-11": "18 days [S1]", "handbook-2026-12": "20 days [S1]"}


class ServiceDouble:
    """Serves what the patches make of the spec; one that `lies` answers from the first documents all the same."""

    def __init__(self) -> None:
        self.spec: dict[str, str] = {"prompt": "answer-v1", "index": "handbook-2026-11"}
        self.overlay: dict[str, str] = {}
        self.lies = False
        double = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                prompt, index = double.served
                self.reply({"revisions": [{"prompt": {"version": prompt}, "index": {"version": index}}]})

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))["question"]
                self.reply(double.answer(asked))

            def reply(self, body: Any) -> None:
                data = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def served(self) -> tuple[str, str]:
        spec = self.spec | self.overlay
        return spec["prompt"], spec["index"]

    def answer(self, question: str) -> dict[str, Any]:
        prompt, index = self.served
        words = REFUSALS[prompt] if "salary" in question else DAYS["handbook-2026-11" if self.lies else index]
        return {"answer": words, "revision": 1, "prompt_version": prompt, "index_version": index}

    def patch(self, spec: dict[str, Any]) -> None:
        for part in ("prompt", "index"):
            if part in spec:
                self.spec[part] = spec[part]["version"]
        if "rollback" in spec:
            self.overlay = {} if spec["rollback"] is None else self.overlay | spec["rollback"]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclasses.dataclass(frozen=True)
class KubectlDouble(Kubectl):
    """Passes patches on to the double of the service."""

    service: ServiceDouble | None = None
    restarts: list[int] = dataclasses.field(default_factory=lambda: [0, 0])

    def run(self, *args: str, stdin: str | None = None, seconds: float = 60) -> str:
        assert self.service is not None
        if args[0] == "patch":
            self.service.patch(json.loads(args[-1])["spec"])
        if args[:2] == ("get", "pods"):
            status = {"containerStatuses": [{"restartCount": self.restarts.pop(0)}]}
            return json.dumps({"items": [{"metadata": {"name": "p", "uid": "u"}, "status": status}]})
        return "NAME\n"


@pytest.fixture
def service() -> Iterator[ServiceDouble]:
    double = ServiceDouble()
    yield double
    double.close()


def told(service: ServiceDouble, **more: Any) -> tuple[list[str], str]:
    """What was wrong, and what was printed."""
    out = io.StringIO()
    wrong = going_back.show(KubectlDouble({}, ".", service=service, **more), Screen(out), service.url, "key")
    return wrong, out.getvalue()


def test_all_steps_are_shown_with_their_seconds_and_end_at_the_second_release(service: ServiceDouble) -> None:
    wrong, text = told(service)
    assert [] == wrong
    assert len(going_back.EDITS) + len(going_back.BACK) == text.count(" s from the command to this answer")
    assert ("answer-v2", "handbook-2026-12") == service.served


def test_an_answer_from_the_former_documents_is_wrong(service: ServiceDouble) -> None:
    service.lies = True
    assert any("20 days" in fault for fault in told(service)[0])


def test_a_container_that_was_started_anew_is_wrong(service: ServiceDouble) -> None:
    assert any("made anew" in fault for fault in told(service, restarts=[0, 1])[0])
