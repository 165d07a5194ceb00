"""The launcher as a process, from load to termination message, before the double of a vLLM server."""

import json
import time
from typing import Any
from urllib.error import HTTPError

import pytest
from rag_contract.model_server import HEALTH_PATH, READY_PATH
from rag_model_server.vitals import read

from tests.model_server_double.launched import Stream

from .conftest import Launch


def test_it_is_ready_after_an_answer_and_says_what_loads_until_then(launch: Launch) -> None:
    launched = launch(load_seconds="1")
    loading = launched.until(READY_PATH, 503)
    assert 200 == launched.probe(HEALTH_PATH)[0]
    while not loading.doing:
        loading = launched.until(READY_PATH, 503)
    assert ("Loading", "Loading weights: 40 %") == (loading.stage, loading.doing)
    serving = launched.until(READY_PATH, 200)
    assert "Serving" == serving.stage
    assert serving.load_seconds is not None
    assert serving.load_seconds >= 1
    code, result = launched.stop()
    assert (0, "Stopped", "") == (code, result.outcome, result.message)


def test_an_engine_that_listens_and_cannot_answer_is_never_ready(launch: Launch) -> None:
    launched = launch(first_answer="refuse", settings={"load_deadline_seconds": "8"})
    state = launched.until(READY_PATH, 503)
    while not state.doing.startswith("POST"):
        state = launched.until(READY_PATH, 503)
    assert "POST /v1/completions is answered with 500" in state.doing
    code, result = launched.end()
    assert (1, "LoadDeadlineExceeded") == (code, result.reason)
    assert "loadDeadlineSeconds" in result.message
    assert "answered with 500" in result.detail


def test_an_engine_that_dies_at_its_first_answer_is_told_by_its_own_error(launch: Launch) -> None:
    code, result = launch(first_answer="crash").end()
    assert (1, "EngineCrashed") == (code, result.reason)
    assert "RuntimeError: no kernel for this head" == result.detail


def test_a_removed_flag_dies_in_the_parser_with_its_replacement(launch: Launch) -> None:
    code, result = launch("--swap-space=4").end()
    assert (1, "InvalidEngineArgument") == (code, result.reason)
    assert "--swap-space" in result.message
    assert "--kv-offloading-size" in result.message


def test_a_known_signature_becomes_its_reason(launch: Launch) -> None:
    line = "(EngineCore pid=7) ERROR 11-21 15:03:13 [core.py:1] torch.OutOfMemoryError: CUDA out of memory. Tried"
    code, result = launch(fail=line).end()
    assert (1, "GpuOutOfMemory", "Failed") == (code, result.reason, result.outcome)
    assert "torch.OutOfMemoryError: CUDA out of memory. Tried" == result.detail


def test_a_gpu_that_is_not_there_is_told_before_the_engine_starts(launch: Launch) -> None:
    launched = launch(settings={"gpus": "1"})
    code, result = launched.end()
    assert 1 == code
    assert result.reason in {"GpuNotVisible", "UnsupportedDriver"}
    assert result.message.startswith("The pod asked for 1 GPU and sees 0: ")
    assert "Loading weights" not in launched.log


def test_a_hang_fails_liveness_and_is_told_at_the_end(launch: Launch) -> None:
    launched = launch(settings={"stall_seconds": "1"}, token_seconds="0.05")
    launched.until(READY_PATH, 200)
    stream = Stream(launched, 1000)
    stream.start()
    launched.turn("hang", "true")
    stalled = launched.until(HEALTH_PATH, 503)
    assert "Stalled" == stalled.stage
    assert stalled.stalled_seconds >= 1
    assert 503 == launched.probe(READY_PATH)[0]
    start = time.monotonic()
    code, result = launched.stop()
    assert (1, "EngineStalled") == (code, result.reason)
    assert time.monotonic() - start < 8  # it does not wait for answers that will not come


def test_an_engine_that_hangs_while_it_idles_is_asked_and_fails_liveness(launch: Launch) -> None:
    launched = launch(settings={"stall_seconds": "1"})
    launched.until(READY_PATH, 200)
    launched.turn("hang", "true")
    assert "Stalled" == launched.until(HEALTH_PATH, 503).stage
    assert read(launched.metrics()).requests == 0  # the figures do not tell


def test_a_hang_that_ends_by_itself_is_forgiven(launch: Launch) -> None:
    launched = launch(settings={"stall_seconds": "1"})
    launched.until(READY_PATH, 200)
    launched.turn("hang", "true")
    Stream(launched, 100).start()
    launched.until(HEALTH_PATH, 503)
    launched.turn("hang", "false")
    launched.until(HEALTH_PATH, 200)
    launched.until(READY_PATH, 200)


def test_a_slow_engine_is_no_hang(launch: Launch) -> None:
    launched = launch(settings={"stall_seconds": "1"}, token_seconds="0.3")
    launched.until(READY_PATH, 200)
    stream = Stream(launched, 8)
    stream.start()
    while stream.is_alive():
        assert 200 == launched.probe(HEALTH_PATH)[0]
        time.sleep(0.1)
    assert stream.whole()


def test_an_idle_engine_is_no_hang(launch: Launch) -> None:
    launched = launch(settings={"stall_seconds": "1"})
    launched.until(READY_PATH, 200)
    time.sleep(1.5)
    assert 200 == launched.probe(HEALTH_PATH)[0]


def test_sigterm_finishes_what_runs_and_takes_nothing_new(launch: Launch) -> None:
    launched = launch("--shutdown-timeout=10", settings={"drain_seconds": "10"}, token_seconds="0.05")
    launched.until(READY_PATH, 200)
    stream = Stream(launched, 30)
    stream.start()
    time.sleep(0.2)
    launched.process.terminate()
    draining = launched.until(READY_PATH, 503)
    assert "Draining" == draining.stage
    assert 200 == launched.probe(HEALTH_PATH)[0]
    with pytest.raises(HTTPError) as refused:
        launched.ask("/v1/completions", {"prompt": "late"})
    assert 500 == refused.value.code
    refused.value.close()
    code, result = launched.end()
    stream.join(5)
    assert stream.whole()
    assert 30 == stream.tokens()
    assert (0, "Stopped", "") == (code, result.outcome, result.message)


def test_an_answer_that_outlasts_the_drain_is_cut_off_and_told(launch: Launch) -> None:
    launched = launch("--shutdown-timeout=60", settings={"drain_seconds": "1"}, token_seconds="0.1")
    launched.until(READY_PATH, 200)
    stream = Stream(launched, 2000)
    stream.start()
    time.sleep(0.2)
    start = time.monotonic()
    code, result = launched.stop()
    assert time.monotonic() - start < 10
    assert (1, "Stopped") == (code, result.outcome)
    assert "cut off after 1 s" in result.message
    stream.join(5)
    assert not stream.whole()


def test_a_stop_while_it_loads_ends_at_once(launch: Launch) -> None:
    launched = launch(load_seconds="60")
    launched.until(READY_PATH, 503)
    start = time.monotonic()
    code, result = launched.stop()
    assert (0, "Stopped") == (code, result.outcome)
    assert time.monotonic() - start < 8


def test_a_crash_while_it_serves_ends_the_pod(launch: Launch) -> None:
    launched = launch()
    launched.until(READY_PATH, 200)
    with pytest.raises((OSError, HTTPError)):
        launched.turn("crash")
    code, result = launched.end()
    assert (1, "EngineCrashed") == (code, result.reason)
    assert "exit code 1" in result.message


def test_an_embedding_server_is_proved_by_a_vector(launch: Launch) -> None:
    launched = launch("--runner=pooling", settings={"task": "Embed"})
    launched.until(READY_PATH, 200)
    with launched.ask("/v1/embeddings", {"input": "hello"}) as answer:
        body: dict[str, Any] = json.loads(answer.read())
    assert 8 == len(body["data"][0]["embedding"])


def test_wrong_settings_are_named_by_their_variable(launch: Launch) -> None:
    code, result = launch(settings={"drain_seconds": "soon"}).end()
    assert (2, "InvalidSettings") == (code, result.reason)
    assert "RAG_MODEL_DRAIN" in result.message.upper()
