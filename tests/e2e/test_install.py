"""Installing on real nodes: an upgrade from the commit before restarts nothing, and one namespace can have an operator alone."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.fixtures import Cluster, new_namespace
from tests.cluster.settings import ROOT
from tests.demo.install import OPERATOR_NAMESPACE, source_hash, stamped

from .conftest import _kube
from .kube import Json, Kube, wait_for
from .objects import documents, rag_service

pytestmark = pytest.mark.node
OVERLAY = "tests/demo/overlay"
SETS = "deployments,statefulsets"


def checkout(folder: Path, commit: str) -> bool:
    """The manifests of a commit; False when the history does not reach that far."""
    command = ["git", "archive", commit, "config", "crds", OVERLAY, f"{OVERLAY}-local-images"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if done.returncode == 0:
        subprocess.run(["tar", "-x", "-C", str(folder)], input=done.stdout, check=True)
    return done.returncode == 0


def manifests(kube: Kube, folder: Path) -> str:
    """Everything that `kustomize` builds in a folder."""
    return kube.run("kustomize", str(folder))


def install(operator: Kube, manifest: str, mark: str) -> None:
    """Apply and wait until all replicas are the new ones; `mark` rolls them even when nothing else has changed."""
    flags = ["--server-side", "--force-conflicts", "--field-manager=rag-demo"]
    operator.run("apply", *flags, "-f", "-", stdin=stamped(manifest, mark))
    operator.run("rollout", "status", "deployment/rag-operator", "--timeout=110s")


def running(kube: Kube) -> dict[str, int]:
    """Restarts of every pod of the service, by uid."""
    pods = kube.list("pods", "ragserving.dev/service=faq")
    return {
        pod["metadata"]["uid"]: sum(c["restartCount"] for c in pod["status"].get("containerStatuses", []))
        for pod in pods
    }


def declared(kube: Kube) -> dict[str, int]:
    """Generation of what makes pods."""
    return {o["metadata"]["name"]: o["metadata"]["generation"] for o in kube.list(SETS, "ragserving.dev/service=faq")}


def test_an_upgrade_restarts_no_child(kube: Kube, operator: Kube, tmp_path: Path) -> None:
    if not checkout(tmp_path, "HEAD~1"):
        pytest.skip("the history holds no commit before this one")
    kube.apply(documents(), rag_service())
    install(operator, manifests(operator, tmp_path / OVERLAY), "before")
    kube.wait_condition("faq", "Ready", "True", 120)
    pods, sets = running(kube), declared(kube)
    assert len(pods) >= 3
    install(operator, manifests(operator, ROOT / OVERLAY), source_hash())
    names = {pod["metadata"]["name"] for pod in operator.list("pods", "app.kubernetes.io/component=manager")}
    wait_for("a new leader", lambda: leader(operator) in names, 30)
    kube.wait_condition("faq", "Ready", "True", 30)
    assert pods == running(kube)
    assert sets == declared(kube)


def leader(operator: Kube) -> str:
    """Name of the pod that holds the Lease."""
    lease = operator.get("lease", "rag-operator") or {"spec": {}}
    return str(lease["spec"].get("holderIdentity", "")).rpartition("_")[0]


@pytest.fixture
def alone(operator: Kube, node_cluster: Cluster, tmp_path: Path) -> Iterator[Kube]:
    """A namespace with an operator of its own, installed from config/namespaced with the bench's images."""
    with new_namespace(node_cluster, "alone") as namespace:
        kube = _kube(node_cluster, namespace)
        objects: list[Json] = [o for o in yaml.safe_load_all(manifests(kube, ROOT / "config/namespaced")) if o]
        text = json.dumps(objects).replace(OPERATOR_NAMESPACE, namespace)
        text = text.replace("rag-operator/operator:0.1.0", "rag-operator/operator:dev")
        kube.apply(*json.loads(text))
        yield kube
        kube.run("delete", "deployment", "rag-operator", "--wait=false")


def test_one_namespace_can_have_an_operator_of_its_own(alone: Kube) -> None:
    """Both replicas run with the Role alone. No RagService here: the cluster's operator would see it, too."""
    alone.run("rollout", "status", "deployment/rag-operator", "--timeout=110s")
    wait_for("a leader", lambda: leader(alone), 30)
    lines = [json.loads(line) for line in alone.run("logs", "deployment/rag-operator").splitlines()]
    assert alone.namespace in {line.get("scope") for line in lines}
    assert [] == [line for line in lines if line["level"] in {"ERROR", "CRITICAL"} or "403" in line["message"]]
