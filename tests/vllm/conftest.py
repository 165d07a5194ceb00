"""The servers of one run, started once, and the table of figures at its end. Left out unless `-m` asks for vllm."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rag_contract.model_server import HEALTH_PATH, READY_PATH

from tests.model_server_double.fixture import free_port
from tests.model_server_double.launched import Launched
from tests.qdrant_standin.fixture import start_standin

from . import environment, servers
from .rendering import Rendered, after, source

MARK = "vllm"


@dataclass
class Figures:
    """What a run has measured, in its order."""

    rows: list[tuple[str, str]] = field(default_factory=list)

    def add(self, what: str, value: str) -> None:
        self.rows.append((what, value))


FIGURES = pytest.StashKey[Figures]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """These tests need 6 GB and minutes: they run only where somebody asks for them."""
    if MARK in str(config.getoption("markexpr")):
        return
    left_out = [item for item in items if item.get_closest_marker(MARK)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker(MARK)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    figures = config.stash.get(FIGURES, None)
    if figures is None:
        return
    terminalreporter.section("vLLM for real")
    for what, value in figures.rows:
        terminalreporter.write_line(f"{what:<80} {value}")


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Figures:
    return pytestconfig.stash.setdefault(FIGURES, Figures())


@dataclass(frozen=True)
class Stage:
    """Everything that answers. `at_first` are the generating server's figures when it was first ready."""

    rendered: Rendered
    generating: Launched
    embedding: Launched
    tiny: Path
    folder: Path
    at_first: str


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory, figures: Figures) -> Iterator[Stage]:
    """A vector store and two model servers that have loaded."""
    environment.install()
    folder = tmp_path_factory.mktemp("vllm")
    tiny, port = servers.make_tiny(folder / "tiny"), free_port()
    with ExitStack() as running:
        qdrant = running.enter_context(start_standin(folder / "qdrant"))
        rendered = Rendered(source(qdrant.url, f"http://127.0.0.1:{port}"))
        generating = servers.rendered_server(rendered, folder / "generating", tiny)
        running.callback(generating.discard)
        embedding = servers.embedding_server(folder / "embedding", tiny, port)
        running.callback(embedding.discard)
        loading = generating.until(READY_PATH, 503)
        assert loading.stage in {"Starting", "Loading"}
        assert 200 == generating.probe(HEALTH_PATH)[0]
        loaded = generating.until(READY_PATH, 200)
        at_first = generating.metrics()
        embedding.until(READY_PATH, 200)
        figures.add("machine", f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.0f}; vLLM {environment.VERSION}")
        figures.add("vLLM, from the start to its first answer (two at the same time)", f"{loaded.load_seconds} s")
        yield Stage(rendered, generating, embedding, tiny, folder, at_first)


@pytest.fixture(scope="session")
def api(stage: Stage) -> Iterator[str]:
    """The API's address, after the index Job and the operator's second pass."""
    message = servers.run_index_job(stage.rendered, stage.folder / "job")
    second = after(stage.rendered, stage.folder / "observed", message)
    table = servers.with_model_at(second.table(), stage.generating.url)
    with servers.running_api(stage.rendered, stage.folder / "api", table) as url:
        yield url
