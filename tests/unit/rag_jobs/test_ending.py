"""How a Job's program ends: result, exit code, termination message."""

import asyncio
import logging
import os
import signal
from pathlib import Path

import pytest
from pydantic import ValidationError
from rag_contract.base import Contract
from rag_contract.environment import IndexerEnvironment
from rag_contract.jobs import EXIT_FINAL, EXIT_OK, EXIT_RETRY, TERMINATION_BYTES, JobResult
from rag_contract.reports import IndexProgress, IndexResult
from rag_jobs import ending
from rag_jobs.ending import JobFailure
from rag_jobs.progress import RunProgress

DONE = JobResult(outcome="Succeeded", seconds=1.5)
RESULT = IndexResult(outcome="Failed", version="v1", collection="c", content_hash="h", reason="NoDocuments")


class Progress(RunProgress[str]):
    def report(self) -> Contract:
        return IndexProgress(stage="Waiting")


def failed(failure: JobFailure) -> JobResult:
    return JobResult(outcome="Failed", reason=failure.reason, message=failure.message)


def told(path: Path) -> JobResult:
    return JobResult.model_validate_json(path.read_text(encoding="utf-8"))


def test_a_message_is_shortened_to_what_kubernetes_keeps() -> None:
    text = ending.fitting(RESULT.model_copy(update={"message": "ỗ" * 20_000}))
    assert TERMINATION_BYTES >= len(text.encode()) > TERMINATION_BYTES // 3
    assert IndexResult.model_validate_json(text).message.endswith(" ...")


def test_a_short_message_is_kept() -> None:
    assert IndexResult.model_validate_json(ending.fitting(RESULT)) == RESULT


def test_the_result_is_written_and_a_missing_place_is_no_error(tmp_path: Path) -> None:
    ending.write(RESULT, str(tmp_path / "termination-log"))
    assert RESULT.to_json() == (tmp_path / "termination-log").read_text()
    ending.write(RESULT, str(tmp_path / "no/such/place"))


@pytest.mark.parametrize(
    ("ended", "code", "stage", "result"),
    [
        (DONE, EXIT_OK, "Waiting", DONE),
        (JobFailure("A", "b"), EXIT_FINAL, "Failed", failed(JobFailure("A", "b"))),
        (JobFailure("A", "b", retryable=True), EXIT_RETRY, "Failed", failed(JobFailure("A", "b"))),
    ],
)
def test_the_exit_code_says_whether_another_try_may_help(
    tmp_path: Path, ended: JobResult | JobFailure, code: int, stage: str, result: JobResult
) -> None:
    progress = Progress("Waiting")
    assert code == ending.end(ended, progress, str(tmp_path / "end"), failed)
    assert (stage, result) == (progress.stage, told(tmp_path / "end"))


async def test_a_run_ends_with_its_result_or_its_failure() -> None:
    async def ends(error: Exception | None) -> JobResult:
        if error is not None:
            raise error
        return DONE

    refused = JobFailure("A", "b")
    assert DONE == await ending.outcome(ends(None))
    assert refused is await ending.outcome(ends(refused))


async def test_a_bug_is_logged_and_may_be_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks() -> JobResult:
        raise KeyError("where")

    with caplog.at_level(logging.ERROR):
        ended = await ending.outcome(breaks())
    assert isinstance(ended, JobFailure)
    assert ("InternalError", True) == (ended.reason, ended.retryable)
    assert caplog.records[0].exc_info is not None


async def test_a_signal_stops_the_run_which_may_be_tried_again() -> None:
    async def lasts() -> JobResult:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(60)
        return DONE

    ended = await asyncio.wait_for(ending.outcome(lasts()), 10)
    assert isinstance(ended, JobFailure)
    assert ("Interrupted", True) == (ended.reason, ended.retryable)


def test_faults_of_settings_are_named_as_variables() -> None:
    given = {"RAG_INDEXER_MAX_CHARACTERS": "1", "RAG_INDEXER_TERMINATION_PATH": "/end"}
    with pytest.raises(ValidationError) as faults:
        IndexerEnvironment.from_env(given)
    failure = ending.invalid_settings(IndexerEnvironment, faults.value)
    assert ("InvalidSettings", False) == (failure.reason, failure.retryable)
    assert "RAG_INDEXER_MAX_CHARACTERS: " in failure.message
    assert "RAG_INDEXER_QDRANT_URL: " in failure.message
    assert "/end" == ending.termination_path(IndexerEnvironment, given)
    assert "/dev/termination-log" == ending.termination_path(IndexerEnvironment, {})
