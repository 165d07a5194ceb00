"""Client-side apply, server-side apply and kubectl edit in turn: no drift, no conflict; what others add to children stays; and of
a RagService the operator writes the status alone.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.fixtures import Cluster
from tests.control_plane.reconcile.harness import Json, Kube, NodeDouble, rag_service, until

pytestmark = pytest.mark.control_plane

NAME = "delivered"
ANNOTATIONS = {"team.example/owner": "search"}


class Git:
    """The manifest as committed, and kubectl as the tools that deliver it."""

    def __init__(self, plane: Cluster, namespace: str, folder: Path) -> None:
        self._plane = plane.control_plane.plane
        self._namespace = namespace
        self.file = folder / "service.json"
        self.body = rag_service(NAME)
        self.body["metadata"] |= {"annotations": dict(ANNOTATIONS), "labels": {"team": "search"}}

    def commit(self, **prompt: str) -> None:
        """Write the manifest with another prompt."""
        self.body["spec"]["prompt"] |= prompt
        self.file.write_text(json.dumps(self.body))

    def kubectl(self, *words: str, editor: str = "") -> subprocess.CompletedProcess[str]:
        """kubectl; the return code is for the caller to judge."""
        command = [
            str(self._plane.programs / "kubectl"),
            f"--kubeconfig={self._plane.kubeconfig}",
            "-n",
            self._namespace,
        ]
        environment = {**os.environ, "KUBE_EDITOR": editor, "PATH": f"{self._plane.programs}:{os.environ['PATH']}"}
        return subprocess.run(
            [*command, *words], capture_output=True, text=True, timeout=60, env=environment, check=False
        )

    def deliver(self, *flags: str) -> None:
        """Apply; a conflict fails the test."""
        done = self.kubectl("apply", *flags, "-f", str(self.file))
        assert 0 == done.returncode, done.stderr

    def drift(self, *flags: str) -> str:
        """What an apply would change."""
        return self.kubectl("diff", *flags, "-f", str(self.file)).stdout


@pytest.fixture
def git(plane: Cluster, kube: Kube, tmp_path: Path) -> Iterator[Git]:
    """Delivered once by client-side apply, and Ready."""
    git = Git(plane, kube.namespace, tmp_path)
    git.commit(version="answer-v1")
    with NodeDouble(kube, NAME):
        git.deliver()
        until(lambda: settled(kube), 60)
        yield git
        kube.delete("RagService", NAME)


def settled(kube: Kube, prompt: str = "answer-v1") -> bool:
    """Ready is True for the current generation, with that prompt."""
    body = kube.get("RagService", NAME) or {"metadata": {}}
    status = body.get("status") or {}
    current = status.get("observedGeneration") == body["metadata"].get("generation")
    return current and kube.condition(NAME)[0] == "True" and status.get("prompt") == prompt


def test_tools_in_turn_meet_neither_drift_nor_conflict(plane: Cluster, kube: Kube, git: Git) -> None:
    start = plane.audit_log.stat().st_size
    assert "" == git.drift()

    git.commit(version="answer-v2")
    git.deliver("--server-side")
    until(lambda: settled(kube, "answer-v2"), 30)
    assert "" == git.drift("--server-side")

    done = git.kubectl("edit", "ragservice", NAME, editor="sed -i s/drainSeconds:.*/drainSeconds:\\ 7/")
    assert 0 == done.returncode, done.stderr
    assert 7 == (kube.get("RagService", NAME) or {})["spec"]["api"]["drainSeconds"]
    assert "" == git.drift("--server-side")

    git.commit(version="answer-v3")
    git.deliver("--server-side")
    until(lambda: settled(kube, "answer-v3"), 60)
    assert "" == git.drift("--server-side")

    body = kube.get("RagService", NAME) or {}
    assert ANNOTATIONS.items() <= body["metadata"]["annotations"].items()
    assert {"team": "search"} == body["metadata"]["labels"]
    assert "finalizers" not in body["metadata"]
    ours = [entry for entry in body["metadata"]["managedFields"] if entry["manager"] == "rag-operator"]
    assert ["status"] == [entry.get("subresource") for entry in ours]
    assert {("patch", "status")} == writes(plane, start)


def writes(plane: Cluster, start: int) -> set[tuple[str, str]]:
    """Verb and subresource of what the operator wrote to RagServices, by the audit log."""
    return {
        (event["verb"], event["objectRef"].get("subresource", ""))
        for event in plane.audit(start)
        if event["userAgent"].startswith("rag-operator")
        and (event.get("objectRef") or {}).get("resource") == "ragservices"
        and event["verb"] not in {"get", "list", "watch"}
    }


def test_what_others_add_to_children_stays(kube: Kube, git: Git) -> None:
    child = f"{NAME}-api"
    added: Json = {"metadata": {"annotations": {"mesh.example/inject": "no"}, "labels": {"cost": "42"}}}
    kube.patch("Deployment", child, added)
    kube.patch("Service", child, {**added, "spec": {"sessionAffinity": "ClientIP"}})

    git.commit(version="answer-v4")
    git.deliver()
    until(lambda: settled(kube, "answer-v4"), 30)
    kube.patch("RagService", NAME, {"spec": {"api": {"limits": {"requestsPerMinute": 99}}}})
    until(lambda: settled(kube, "answer-v4"), 60)

    for kind in ("Deployment", "Service"):
        metadata = (kube.get(kind, child) or {})["metadata"]
        assert "no" == metadata["annotations"]["mesh.example/inject"]
        assert "42" == metadata["labels"]["cost"]
    assert "ClientIP" == (kube.get("Service", child) or {})["spec"]["sessionAffinity"]
