"""Ends: a drain that loses nothing, and starts that fail with a reason. The last file: it stops the server of the others."""

import time
from pathlib import Path
from urllib.error import HTTPError

import pytest
from rag_contract.model_server import READY_PATH
from rag_operator.errors import InvalidSpec

from tests.model_server_double.launched import Stream

from . import servers
from .conftest import Figures, Stage
from .rendering import Rendered

pytestmark = pytest.mark.vllm

TOKENS = 600


@pytest.mark.parametrize(
    ("more", "changes", "reason", "said"),
    [
        (["--swap-space=4"], {}, "InvalidEngineArgument", "refuses --swap-space: it was removed in vLLM"),
        (["--max-model-len=99999"], {}, "ContextTooLong", "maxModelTokens is longer than the model's own context"),
        (["--quantization=awq"], {}, "UnsupportedQuantization", "Leave --quantization out"),
        ([], {"RAG_MODEL_GPUS": "1"}, "GpuNotVisible", "The pod asked for 1 GPU and sees 0"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalpha() else "",
)
def test_a_start_that_fails_names_cause_and_remedy(  # noqa: PLR0917
    stage: Stage, tmp_path: Path, figures: Figures, more: list[str], changes: dict[str, str], reason: str, said: str
) -> None:
    start = time.monotonic()
    server = servers.rendered_server(stage.rendered, tmp_path / "failing", stage.tiny, *more, **changes)
    code, result = server.end()
    assert (1, "Failed", reason) == (code, result.outcome, result.reason), server.log
    assert said in result.message
    figures.add(f"{' '.join(more) or 'a GPU that is not there'}: {reason} after", f"{time.monotonic() - start:.0f} s")


def test_weights_that_are_not_there_are_told(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, result = servers.rendered_server(stage.rendered, tmp_path / "failing", tmp_path / "empty").end()
    assert (1, "WeightsMissing") == (code, result.reason)
    assert "Check spec.model.name, revision and vllm.source" in result.message


def test_the_operator_refuses_a_removed_flag_before_any_pod(stage: Stage) -> None:
    with pytest.raises(InvalidSpec, match="--kv-offloading-size"):
        Rendered(stage.rendered.text.replace("--dtype=float32", "--swap-space=4"))


def test_sigterm_finishes_what_runs_and_takes_nothing_new(stage: Stage, figures: Figures) -> None:
    server = stage.generating
    stream = Stream(server, TOKENS)
    stream.start()
    time.sleep(0.3)
    assert stream.is_alive()
    start = time.monotonic()
    server.process.terminate()
    assert "Draining" == server.until(READY_PATH, 503).stage
    with pytest.raises(HTTPError) as refused:
        server.ask("/v1/chat/completions", {"messages": [{"role": "user", "content": "late"}], "max_tokens": 4})
    refused.value.close()
    assert 500 == refused.value.code  # as the double's
    code, result = server.end()
    took = time.monotonic() - start
    stream.join(10)
    assert stream.whole()
    assert TOKENS == stream.tokens()
    assert (0, "Stopped", "") == (code, result.outcome, result.message)
    figures.add(
        f"SIGTERM in the middle of {TOKENS} tokens: all of them came, ended after", f"{took:.1f} s, exit code 0"
    )
    figures.add("a request during the drain is refused with", str(refused.value.code))
