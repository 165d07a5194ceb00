"""The engine behind its launcher: proved by an answer, counted by its own figures, watched while it hangs."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rag_contract.model_server import HEALTH_PATH, READY_PATH
from rag_model_server import vitals

from tests.contract.vllm.exchanges import names_in_use, samples, with_families
from tests.model_server_double.launched import Launched, Stream

from .conftest import Figures, Stage

pytestmark = pytest.mark.vllm


def test_ready_means_that_an_answer_was_given(stage: Stage) -> None:
    (made,) = [line for line in stage.at_first.splitlines() if line.startswith("vllm:generation_tokens_total{")]
    assert float(made.rsplit(" ", 1)[1]) == 1
    assert vitals.read(stage.at_first).steps > 0


def test_every_metric_that_the_project_names_is_there(stage: Stage, figures: Figures) -> None:
    there, used = with_families(samples(stage.generating.metrics())), names_in_use()
    assert [] == sorted(name for name in used if name not in there)
    assert set(vitals.METRICS) <= set(used)
    figures.add("metrics that the project names, all of them on the server", str(len(used)))


def test_an_engine_that_hangs_while_it_answers_fails_liveness_and_is_forgiven(stage: Stage, figures: Figures) -> None:
    server = stage.generating
    stream = Stream(server, 2000)
    with stopped_workers(server):
        stream.start()
        start = time.monotonic()
        assert "Stalled" == server.until(HEALTH_PATH, 503).stage
        figures.add(
            "engine stopped in the middle of an answer: liveness fails after", f"{time.monotonic() - start:.1f} s"
        )
        assert 503 == server.probe(READY_PATH)[0]
    server.until(HEALTH_PATH, 200)
    server.until(READY_PATH, 200)
    stream.join(120)
    assert stream.whole()


def test_an_engine_that_hangs_while_it_idles_fails_liveness(stage: Stage, figures: Figures) -> None:
    server = stage.generating
    with stopped_workers(server):
        stream = Stream(server, 5)
        stream.start()
        start = time.monotonic()
        assert "Stalled" == server.until(HEALTH_PATH, 503).stage
        figures.add("engine stopped before a question came: liveness fails after", f"{time.monotonic() - start:.1f} s")
    server.until(READY_PATH, 200)
    stream.join(120)
    assert stream.whole()


@contextmanager
def stopped_workers(server: Launched) -> Iterator[None]:
    """The processes that compute stand still, as with a GPU that hangs; vLLM's HTTP side goes on."""
    workers = [process for process, name in descendants(server.process.pid) if re.search("EngineCor|Worker", name)]
    assert workers
    for process in workers:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in workers:
            os.kill(process, signal.SIGCONT)


def descendants(root: int) -> list[tuple[int, str]]:
    """Processes below one, with their names."""
    printed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in printed.splitlines()]
    found: list[tuple[int, str]] = []
    for process, parent, name in ((int(row[0]), int(row[1]), row[2]) for row in rows):
        if parent in {root, *(known for known, _ in found)}:
            found.append((process, name))
    return found
