"""Through the RAG API: questions are embedded and answered by real vLLM, streamed, with citations."""

import json
import statistics
import time
from typing import Any
from urllib.request import Request, urlopen

import pytest
from rag_model_server import vitals

from tests.model_server_double.launched import Launched
from tests.unit.rag_api.harness import events

from .conftest import Figures, Stage

pytestmark = pytest.mark.vllm

QUESTION = "When is the coffee machine cleaned?"
ANSWER = "The manual says so [S1]."
FREED_SECONDS = 0.5
"""The median, since the slowest is the machine's: the API, two engines and this test share its cores."""


def ask(api: str, path: str, question: str, **fields: object) -> str:
    """The body of the answer."""
    with post(api, path, question, **fields) as answer:
        text: str = answer.read().decode()
    return text


def post(api: str, path: str, question: str, **fields: object) -> Any:
    """The open answer."""
    body = json.dumps({"question": question, **fields}).encode()
    return urlopen(Request(api + path, data=body, headers={"content-type": "application/json"}), timeout=120)


def total(server: Launched, name: str) -> float:
    """Sum of a counter over its labels."""
    lines = [line for line in server.metrics().splitlines() if line.startswith(f"vllm:{name}_total{{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def test_a_streamed_answer_comes_token_by_token_and_cites_its_source(api: str) -> None:
    told = events(ask(api, "/query/stream", QUESTION))
    words = [data["text"] for name, data in told if name == "token"]
    assert ANSWER == "".join(words)
    assert len(words) > 1
    name, done = told[-1]
    assert ("done", "stop", None) == (name, done["finish_reason"], done["degraded"])
    assert ["S1"] == [citation["source_id"] for citation in done["citations"]]
    assert ["Coffee"] == [citation["title"] for citation in done["citations"]]
    assert done["usage"]["completion_tokens"] == 7  # six words and the end
    assert done["usage"]["prompt_tokens"] > 100


def test_an_answer_in_one_piece_is_the_same(api: str) -> None:
    whole = json.loads(ask(api, "/query", QUESTION))
    assert (ANSWER, "stop") == (whole["answer"], whole["finish_reason"])
    assert whole["model_version"].startswith("rag-operator/tiny-llama")


def test_a_question_costs_one_embedding_and_one_generation(api: str, stage: Stage) -> None:
    def made() -> tuple[float, float]:
        """The launcher's own questions cost one token each, and so do not count here."""
        tokens, requests = total(stage.generating, "generation_tokens"), total(stage.generating, "request_success")
        return total(stage.embedding, "prompt_tokens"), tokens - requests

    embedded, generated = made()
    ask(api, "/query", QUESTION)
    assert len(QUESTION) / 2 < made()[0] - embedded < 2 * len(QUESTION)
    assert 6 == made()[1] - generated  # seven tokens of one request


def test_a_client_that_leaves_frees_the_engine(api: str, stage: Stage, figures: Figures) -> None:
    took = []
    for _ in range(5):
        answer = post(api, "/query/stream", f"Recite: {QUESTION}", max_output_tokens=2048)
        said = b""
        while said.count(b"event: token") < 3:
            said += answer.readline()
        assert 1 == vitals.read(stage.generating.metrics()).running
        answer.close()
        took.append(seconds_until_idle(stage.generating))
    middle = statistics.median(took)
    figures.add(
        "a client leaves the API in mid-answer: the engine is free after (five times)",
        f"median {middle * 1000:.0f} ms, slowest {max(took) * 1000:.0f} ms",
    )
    assert middle < FREED_SECONDS


def seconds_until_idle(server: Launched) -> float:
    """Until no request runs or waits."""
    start = time.monotonic()
    while vitals.read(server.metrics()).requests:
        assert time.monotonic() - start < 30, "still running"
    return time.monotonic() - start
