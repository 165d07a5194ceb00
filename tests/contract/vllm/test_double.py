"""The double of the model server answers every recorded request as the real vLLM 0.32 did: same status, same content type,
same keys and types, same words where callers read words.
"""

import json
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from rag_model_server import vitals

from tests.contract.vllm.exchanges import (
    EXCHANGES,
    RECORDED,
    Exchange,
    ask,
    names_in_use,
    recorded,
    samples,
    shape,
    with_families,
)
from tests.model_server_double.app import recorded_routes
from tests.model_server_double.fixture import Double, start_double

ARGUMENTS = ("/models/tiny", "--served-model-name=rag", "--max-model-len=2048")
CASES = [(runner, exchange) for runner, exchanges in EXCHANGES.items() for exchange in exchanges]


@pytest.fixture(scope="module")
def doubles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Double]]:
    folder = tmp_path_factory.mktemp("doubles")
    with (
        start_double(folder / "generate", *ARGUMENTS, token_seconds="0") as generate,
        start_double(folder / "pooling", *ARGUMENTS, "--runner=pooling") as pooling,
    ):
        yield {"generate": generate, "pooling": pooling}


@pytest.mark.parametrize(("runner", "exchange"), CASES, ids=lambda value: getattr(value, "name", value))
def test_answers_have_the_recorded_shape(doubles: dict[str, Double], runner: str, exchange: Exchange) -> None:
    theirs, ours = recorded(runner)[exchange.name], ask(doubles[runner].url, exchange)
    assert (theirs["status"], theirs["type"]) == (ours["status"], ours["type"] if ours["body"] else "")
    if exchange.name != "metrics":
        assert shape(theirs["body"]) == shape(ours["body"])


@pytest.mark.parametrize("runner", ["generate", "pooling"])
def test_metrics_have_the_recorded_names_and_labels(doubles: dict[str, Double], runner: str) -> None:
    theirs = recorded(runner)["metrics"]["body"]
    ours = ask(doubles[runner].url, Exchange("metrics", "GET", "/metrics"))["body"]
    assert samples(theirs) == samples(ours)


def test_the_recorded_metrics_are_all_that_the_list_names() -> None:
    listed = {
        line.split()[0] for line in (RECORDED / "metrics.txt").read_text(encoding="utf-8").splitlines() if line.strip()
    }
    missing = sorted(listed - with_families(samples(recorded("generate")["metrics"]["body"])))
    # These appear only after the first refusal, or with a flag of their own.
    assert [name for name in missing if "admission_rejections" not in name and "_per_gpu" not in name] == []


def test_every_metric_that_the_project_names_is_recorded() -> None:
    there, used = with_families(samples(recorded("generate")["metrics"]["body"])), names_in_use()
    assert [] == sorted(f"{name} in {files[0]}" for name, files in used.items() if name not in there)
    assert set(vitals.METRICS) <= set(used)


@pytest.mark.parametrize("runner", ["generate", "pooling"])
def test_every_recorded_route_is_known(doubles: dict[str, Double], runner: str) -> None:
    for method, path in recorded_routes(runner):
        request = Request(
            doubles[runner].url + path.replace("{response_id}", "one"),
            method=method,
            data=b"{}" if method == "POST" else None,
        )
        try:
            with urlopen(request, timeout=10) as answer:
                status = answer.status
        except HTTPError as error:
            with error:
                status = error.code
        assert status not in {404, 405}, (method, path)


def test_what_the_double_streams_is_counted(doubles: dict[str, Double]) -> None:
    before = vitals.read(ask(doubles["generate"].url, Exchange("metrics", "GET", "/metrics"))["body"])
    stream = next(exchange for exchange in EXCHANGES["generate"] if exchange.name == "chat stream with usage")
    events = ask(doubles["generate"].url, stream)["body"]
    after = vitals.read(ask(doubles["generate"].url, Exchange("metrics", "GET", "/metrics"))["body"])
    assert "The manual says so [S1]." == "".join(
        e["choices"][0]["delta"]["content"] for e in events[:-1] if e["choices"]
    )
    assert events[-2]["usage"]["completion_tokens"] == after.steps - before.steps
    assert "[DONE]" == events[-1]
    assert 0 == after.requests


def test_a_vector_is_the_same_in_both_encodings(doubles: dict[str, Double]) -> None:
    import base64
    import struct

    plain = Exchange("", "POST", "/v1/embeddings", {"model": "rag", "input": "hello"})
    packed = Exchange("", "POST", "/v1/embeddings", {"model": "rag", "input": "hello", "encoding_format": "base64"})
    vector = ask(doubles["pooling"].url, plain)["body"]["data"][0]["embedding"]
    text = ask(doubles["pooling"].url, packed)["body"]["data"][0]["embedding"]
    assert vector == pytest.approx(struct.unpack(f"<{len(vector)}f", base64.b64decode(text)), rel=1e-6)
    assert json.dumps(recorded("pooling")["embeddings in base64"]["body"]["data"][0]["embedding"]).startswith('"')
