"""Both ways: the real server answers as it was recorded to, and as the double does that stands for it in the ordinary run."""

import json
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from tests.contract.vllm.exchanges import (
    EXCHANGES,
    RECORDED,
    Exchange,
    ask,
    recorded,
    samples,
    shape,
    with_families,
)
from tests.model_server_double.app import recorded_routes
from tests.model_server_double.fixture import Double, start_double

from .conftest import Figures, Stage

pytestmark = pytest.mark.vllm

RUNNERS = ("generate", "pooling")
CASES = [(runner, exchange) for runner in RUNNERS for exchange in EXCHANGES[runner]]
ARGUMENTS = {
    "generate": ("/models/tiny", "--served-model-name=rag", "--max-model-len=4096"),
    "pooling": ("/models/tiny", "--served-model-name=rag", "--max-model-len=2048", "--runner=pooling"),
}


@pytest.fixture(scope="module")
def doubles(stage: Stage) -> Iterator[dict[str, Double]]:
    with (
        start_double(stage.folder / "double-generate", *ARGUMENTS["generate"], token_seconds="0") as generate,
        start_double(stage.folder / "double-pooling", *ARGUMENTS["pooling"]) as pooling,
    ):
        yield {"generate": generate, "pooling": pooling}


def url_of(stage: Stage, runner: str) -> str:
    return (stage.generating if runner == "generate" else stage.embedding).url


@pytest.mark.parametrize(("runner", "exchange"), CASES, ids=lambda value: getattr(value, "name", value))
def test_real_recorded_and_double_answer_alike(
    stage: Stage, doubles: dict[str, Double], runner: str, exchange: Exchange
) -> None:
    real, double = ask(url_of(stage, runner), exchange), ask(doubles[runner].url, exchange)
    before = recorded(runner)[exchange.name]
    assert (before["status"], before["type"]) == (real["status"], real["type"])
    assert (real["status"], real["type"]) == (double["status"], double["type"] if double["body"] else "")
    if exchange.name != "metrics":
        assert shape(before["body"]) == shape(real["body"])
        assert shape(real["body"]) == shape(double["body"])


@pytest.mark.parametrize("runner", RUNNERS)
def test_metrics_have_the_same_names_and_labels(stage: Stage, doubles: dict[str, Double], runner: str) -> None:
    metrics = Exchange("metrics", "GET", "/metrics")
    real = samples(ask(url_of(stage, runner), metrics)["body"])
    assert samples(recorded(runner)["metrics"]["body"]) == real
    assert real == samples(ask(doubles[runner].url, metrics)["body"])


@pytest.mark.parametrize("runner", RUNNERS)
def test_routes_are_those_that_are_recorded(stage: Stage, runner: str) -> None:
    with urlopen(f"{url_of(stage, runner)}/openapi.json", timeout=30) as answer:
        described = json.loads(answer.read())["paths"]
    real = {(method.upper(), path) for path, methods in described.items() for method in methods}
    assert [] == sorted(real - set(recorded_routes(runner)))


def test_the_listed_metrics_are_there(stage: Stage, figures: Figures) -> None:
    listed = {line.split()[0] for line in (RECORDED / "metrics.txt").read_text(encoding="utf-8").splitlines() if line}
    missing = listed - with_families(samples(ask(stage.generating.url, Exchange("", "GET", "/metrics"))["body"]))
    # Those appear only after the first refusal, or with a flag of their own.
    assert [] == [name for name in sorted(missing) if "admission_rejections" not in name and "_per_gpu" not in name]
    figures.add("exchanges alike on the real server, in the recordings and on the double", str(len(CASES)))
