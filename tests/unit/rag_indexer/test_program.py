"""The program as a process: exit codes, termination message, progress, signals, and being killed at any point."""

import json
import signal
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from rag_contract.environment import IndexerEnvironment
from rag_contract.reports import IndexProgress, IndexResult
from rag_indexer.__main__ import main

from tests.qdrant_standin.fixture import Standin
from tests.unit.rag_jobs.programs import Process, port_of, progress

from .conftest import KEY, Bench
from .support import StallingProxy, many, running, settings, write

DOCUMENTS, SECTIONS = 24, 50
BUDGET = 600_000
"""Bytes of requests before the network dies: about a third of the corpus."""


def _result(chosen: IndexerEnvironment) -> IndexResult:
    return IndexResult.model_validate_json(Path(chosen.termination_path).read_text(encoding="utf-8"))


def _progress(port: int) -> IndexProgress:
    return IndexProgress.model_validate_json(progress(port))


def _through(network: StallingProxy, chosen: IndexerEnvironment) -> AbstractContextManager[Process]:
    return running("build", chosen.model_copy(update={"qdrant_url": network.url}), KEY)


async def test_killed_in_the_middle_and_run_again(bench: Bench, tmp_path: Path) -> None:
    many(tmp_path / "docs", DOCUMENTS, SECTIONS)
    chosen = bench.settings(documents_path=str(tmp_path / "docs"), termination_path=str(tmp_path / "end"))
    with StallingProxy(bench.server.url, BUDGET) as network, _through(network, chosen) as first:
        port = port_of(first)
        assert network.stalled.wait(60)
        seen = _progress(port)
        first.send_signal(signal.SIGKILL)
        first.wait(30)
    assert (seen.stage, seen.documents_total) == ("Indexing", DOCUMENTS)
    assert 0 < seen.chunks_done < DOCUMENTS * SECTIONS
    assert 0 < await bench.count() < DOCUMENTS * SECTIONS
    assert (await bench.stamp())["complete"] is False

    with running("build", chosen, KEY) as second:
        second.communicate(timeout=120)
    assert second.returncode == 0
    result = _result(chosen)
    assert (result.outcome, result.documents, result.chunks) == ("Succeeded", DOCUMENTS, DOCUMENTS * SECTIONS)
    assert await bench.count() == DOCUMENTS * SECTIONS
    assert (await bench.stamp())["complete"] is True


async def test_stopped_from_outside(bench: Bench, tmp_path: Path) -> None:
    many(tmp_path / "docs", DOCUMENTS, SECTIONS)
    chosen = bench.settings(documents_path=str(tmp_path / "docs"), termination_path=str(tmp_path / "end"))
    with StallingProxy(bench.server.url, BUDGET) as network, _through(network, chosen) as process:
        port_of(process)
        assert network.stalled.wait(60)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)  # the request that hangs would be given up after 60 s
    assert process.returncode == 1
    result = _result(chosen)
    assert (result.outcome, result.reason) == ("Failed", "Interrupted")
    assert result.chunks > 0
    assert (await bench.stamp())["complete"] is False


def test_it_waits_for_a_store_that_comes_late(tmp_path: Path) -> None:
    server = Standin(tmp_path / "qdrant")
    server.start()
    server.stop()
    write(tmp_path / "docs", {"a.txt": "One sentence about leave."})
    paths = {"documents_path": str(tmp_path / "docs"), "termination_path": str(tmp_path / "end")}
    try:
        with running("build", settings(qdrant_url=server.url, wait_seconds=60, **paths)) as process:
            assert _progress(port_of(process)).stage == "Waiting"
            server.start()
            _, log = process.communicate(timeout=90)
    finally:
        server.stop()
    assert process.returncode == 0, log
    assert _result(settings(**paths)).chunks == 1


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    chosen = settings(termination_path=str(tmp_path / "end"))
    with running("build", chosen.model_copy(update={"max_characters": 1})) as process:
        _, log = process.communicate(timeout=60)
    assert process.returncode == 2
    result = _result(chosen)
    assert result.reason == "InvalidSettings"
    assert "RAG_INDEXER_MAX_CHARACTERS" in result.message
    assert json.loads(log.splitlines()[-1])["result"]["reason"] == "InvalidSettings"


def test_what_cannot_be_repaired_ends_with_its_own_code(qdrant: Standin, tmp_path: Path) -> None:
    chosen = settings(qdrant_url=qdrant.url, termination_path=str(tmp_path / "end"))
    with running("build", chosen, KEY) as process:
        _, log = process.communicate(timeout=60)
    assert process.returncode == 2
    assert _result(chosen).reason == "DocumentsMissing"
    assert KEY not in log


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"], {})
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("build", "verify", "drop", "RAG_INDEXER_"))
