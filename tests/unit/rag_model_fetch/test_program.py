"""The program as a process: exit codes, termination message, progress, signals, and being killed at any point."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rag_contract.model_fetch import FetchEnvironment, FetchProgress, FetchResult
from rag_model_fetch.__main__ import main

from tests.unit.rag_jobs.programs import port_of, progress

from .doubles import HubDouble, serving
from .support import MIB, REPOSITORY, WANTED, found, marker, repository, running, settings

FILES = repository(12 * MIB)
SIZE = sum(len(FILES[path]) for path in WANTED)


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    double = HubDouble(REPOSITORY, FILES)
    with serving(double):
        yield double


def result_of(chosen: FetchEnvironment) -> FetchResult:
    return FetchResult.model_validate_json(Path(chosen.termination_path).read_text(encoding="utf-8"))


def progress_of(port: int) -> FetchProgress:
    return FetchProgress.model_validate_json(progress(port))


def until_bytes(port: int, least: int) -> FetchProgress:
    """Asks until that many bytes are there."""
    deadline = time.monotonic() + 30
    while (told := progress_of(port)).bytes_done < least:
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    return told


@pytest.mark.parametrize(
    ("sent", "code", "reason"), [(signal.SIGTERM, 1, "Interrupted"), (signal.SIGKILL, -signal.SIGKILL, None)]
)
def test_stopped_in_the_middle_and_run_again(
    hub: HubDouble, tmp_path: Path, sent: signal.Signals, code: int, reason: str | None
) -> None:
    chosen = settings(tmp_path)
    hub.faults.pace = 0.02
    with running(chosen, HF_ENDPOINT=hub.url) as first:
        told = until_bytes(port_of(first), 2 * MIB)
        assert (told.stage, told.bytes_total, told.files_total) == ("Downloading", SIZE, len(WANTED))
        first.send_signal(sent)
        first.communicate(timeout=20)
    assert first.returncode == code
    if reason is not None:
        assert (result_of(chosen).outcome, result_of(chosen).reason) == ("Failed", reason)
    assert marker(chosen) is None
    hub.faults.pace = 0
    with running(chosen, HF_ENDPOINT=hub.url) as second:
        _, log = second.communicate(timeout=60)
    assert second.returncode == 0, log
    result = result_of(chosen)
    assert (result.outcome, result.size) == ("Succeeded", SIZE)
    assert result.downloaded <= SIZE - 2 * MIB, "what was there was not fetched again"
    assert {path: FILES[path] for path in WANTED} == found(chosen)


def test_a_hub_that_hangs_does_not_delay_the_stop(hub: HubDouble, tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    hub.faults.pace = 60
    with running(chosen, HF_ENDPOINT=hub.url) as process:
        port = port_of(process)
        deadline = time.monotonic() + 30
        while progress_of(port).stage != "Downloading":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        began = time.monotonic()
        process.terminate()
        process.communicate(timeout=20)
    assert time.monotonic() - began < 5
    assert result_of(chosen).reason == "Interrupted"


def test_the_end_is_reported(hub: HubDouble, tmp_path: Path) -> None:
    chosen = settings(tmp_path, repository="made-up/other", revision="v1")
    with running(chosen, HF_ENDPOINT=hub.url, HF_TOKEN="hf_secret") as process:
        _, log = process.communicate(timeout=60)
    assert process.returncode == 2
    result = result_of(chosen)
    assert (result.outcome, result.reason, result.key) == ("Failed", "ModelNotFound", chosen.key)
    assert json.loads(log.splitlines()[-1])["result"]["reason"] == "ModelNotFound"
    assert "hf_secret" not in log


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    with running(chosen, RAG_FETCH_PARALLEL="0", RAG_FETCH_TYPO="1") as process:
        process.communicate(timeout=60)
    assert process.returncode == 2
    result = result_of(chosen)
    assert result.reason == "InvalidSettings"
    assert "RAG_FETCH_PARALLEL" in result.message
    assert "RAG_FETCH_TYPO" in result.message


def test_help_names_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"], {})
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("RAG_FETCH_", "HF_TOKEN", "AWS_ACCESS_KEY_ID"))
