"""In the ordinary run: what `make test-vllm` starts is still what the operator renders."""

from pathlib import Path

import pytest
from rag_contract.environment import ApiEnvironment, IndexerEnvironment
from rag_contract.model_server import ModelServerEnvironment
from rag_operator import names

from tests.reported import verified

from . import differences, servers
from .rendering import Rendered, after, source

MODEL = ("Deployment", names.COMPONENT_MODEL)


@pytest.fixture(scope="module")
def first() -> Rendered:
    return Rendered(source("http://127.0.0.1:6333", "http://127.0.0.1:7000"))


def test_each_program_reads_its_variables(first: Rendered) -> None:
    assert "handbook" == ApiEnvironment.from_env(first.variables("Deployment", names.COMPONENT_API)).service
    assert "http://127.0.0.1:7000" == IndexerEnvironment.from_env(first.variables("Job", "index")).embedding_url
    assert 30 == ModelServerEnvironment.from_env(first.variables(*MODEL)).drain_seconds


def test_paths_follow_their_volumes_and_nothing_else_changes(first: Rendered) -> None:
    folders = {path: Path("/here") / path.strip("/") for path in first.mounts(*MODEL)}
    rendered = first.container(*MODEL)["args"]
    used = differences.engine_arguments(rendered, folders, 1234)
    changed = dict(pair for pair in zip(rendered, used, strict=True) if pair[0] != pair[1])
    assert {
        "/var/lib/rag-model": "/here/var/lib/rag-model",
        "--host=0.0.0.0": "--host=127.0.0.1",
        "--port=8000": "--port=1234",
    } == changed
    assert "/here/tmp/config" == differences.relocated("/tmp/config", folders)
    assert "--a=/here/tmp" == differences.relocated("--a=/tmp", folders)


def test_the_second_pass_serves_the_model(first: Rendered, tmp_path: Path) -> None:
    result = verified(first.variables("Job", "index"), chunks=2)
    table = after(first, tmp_path / "observed", result.to_json()).table()
    (revision,) = servers.with_model_at(table, "http://127.0.0.1:9").revisions
    assert ("VLLM", "Hybrid") == (revision.model.runtime, revision.retrieval.mode)
    assert ["http://127.0.0.1:9"] == [endpoint.url for endpoint in revision.model.endpoints]
