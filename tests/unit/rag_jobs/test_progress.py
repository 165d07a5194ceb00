"""What a Job's program tells while it runs: over HTTP, and in its log."""

import json
import logging
import socket

import aiohttp
import pytest
from rag_contract.reports import IndexProgress, IndexStage
from rag_jobs.logs import JsonLines
from rag_jobs.progress import RunProgress, served


class Progress(RunProgress[IndexStage]):
    def report(self) -> IndexProgress:
        return IndexProgress(stage=self.stage, elapsed_seconds=self.seconds())


async def test_it_is_served_while_the_run_lasts() -> None:
    now = 10.0
    progress = Progress("Waiting", lambda: now)
    async with served(progress, 0), aiohttp.ClientSession() as session:
        now = 12.25
        progress.enter("Loading")
        async with session.get(f"http://127.0.0.1:{progress.port}/progress") as answer:
            told = IndexProgress.model_validate_json(await answer.read())
        assert IndexProgress(stage="Loading", elapsed_seconds=2.25) == told
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", progress.port)) != 0


async def test_a_port_in_use_costs_the_progress_and_not_the_run(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        progress = Progress("Waiting")
        async with served(progress, taken.getsockname()[1]):
            assert 0 == progress.port
    assert ["progress is not served"] == [record.message for record in caplog.records]


def test_each_stage_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress("Waiting")
    with caplog.at_level(logging.INFO):
        for stage in ("Waiting", "Loading", "Loading"):
            progress.enter(stage)
    assert [("Waiting", "Loading")] == [(vars(record)["from"], vars(record)["to"]) for record in caplog.records]


def test_a_log_line_is_json_with_its_extra_fields() -> None:
    record = logging.makeLogRecord({"msg": "stage", "levelname": "INFO", "created": 0.25, "msecs": 250.0, "to": "Done"})
    line = json.loads(JsonLines().format(record))
    assert {"time": "1970-01-01T00:00:00.250Z", "level": "INFO", "event": "stage", "to": "Done"} == line
