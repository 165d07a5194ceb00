"""What is asked of kind, told by a double of its program: kind itself was not run here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .settings import ROOT

DOUBLE = """#!/bin/sh
echo "$*" >> "$KIND_CALLS"
[ "$1 $2" = "get clusters" ] && cat "$KIND_CLUSTERS"
exit 0
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Environment in which ``kind`` is a double that notes how it was called."""
    program = tmp_path / "bin" / "kind"
    program.parent.mkdir()
    program.write_text(DOUBLE)
    program.chmod(0o755)
    (tmp_path / "clusters").touch()
    return {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "KIND_CALLS": str(tmp_path / "calls"),
        "KIND_CLUSTERS": str(tmp_path / "clusters"),
        "RAG_BENCH_CACHE": str(tmp_path / "cache"),
    }


def kind(environment: dict[str, str], *words: str) -> str:
    """Standard output of the CLI with ``--cluster kind``."""
    command = [sys.executable, "-m", "tests.cluster", "--cluster", "kind", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def calls(environment: dict[str, str]) -> list[str]:
    """How the double was called, in order."""
    return Path(environment["KIND_CALLS"]).read_text().splitlines()


def test_up_creates_the_cluster_with_a_kubeconfig_of_its_own(environment: dict[str, str]) -> None:
    kind(environment, "up")

    config = ROOT / "tests" / "cluster" / "kind.yaml"
    kubeconfig = f"{environment['RAG_BENCH_CACHE']}/kind.kubeconfig"
    created = f"create cluster --name rag-operator --config {config} --wait 120s --kubeconfig {kubeconfig}"
    assert ["get clusters", created] == calls(environment)
    assert f"export KUBECONFIG={kubeconfig}\n" == kind(environment, "env")


def test_up_leaves_a_cluster_that_is_there(environment: dict[str, str]) -> None:
    Path(environment["KIND_CLUSTERS"]).write_text("other\nrag-operator\n")

    kind(environment, "up")

    assert not any(call.startswith("create") for call in calls(environment))


def test_down_deletes_that_cluster_only(environment: dict[str, str]) -> None:
    kind(environment, "down")

    kubeconfig = f"{environment['RAG_BENCH_CACHE']}/kind.kubeconfig"
    assert [f"delete cluster --name rag-operator --kubeconfig {kubeconfig}"] == calls(environment)


def test_load_hands_images_to_its_nodes(environment: dict[str, str]) -> None:
    kind(environment, "load", "rag-operator/api:dev")

    assert ["load docker-image --name rag-operator rag-operator/api:dev"] == calls(environment)


def test_without_kind_the_command_says_so(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "tests.cluster", "--cluster", "kind", "up"]
    bare = {**environment, "PATH": "/nonexistent"}
    done = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, check=False)

    assert 1 == done.returncode
    assert "kind is not on PATH" in done.stderr
