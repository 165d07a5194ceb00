"""The installer's one file, the two modes, and an upgrade that leaves every child alone."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rag_operator.settings import PACKAGE_VERSION

from tests.cluster.fixtures import Cluster, new_namespace
from tests.cluster.settings import Settings
from tests.control_plane.reconcile.harness import Kube, NodeDouble, config_map, rag_service
from tests.e2e.kube import wait_for

from .conftest import OPERATOR_NAMESPACE, ROOT, Json, built
from .process import Running, Start, login

pytestmark = pytest.mark.control_plane
IMAGES = {"RAG_OPERATOR_API_IMAGE": "example.com/api:1", "RAG_OPERATOR_INDEXER_IMAGE": "example.com/indexer:1"}


@pytest.fixture
def installer(program_plane: Cluster, tmp_path: Path) -> Path:
    """What `make installer` writes."""
    environment = {**os.environ, "KUBECTL": str(program_plane.control_plane.plane.programs / "kubectl")}
    command = ["make", "-s", "-C", str(ROOT), "installer", f"DIST={tmp_path}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return tmp_path / "install.yaml"


def test_one_file_installs_everything(program_plane: Cluster, installer: Path) -> None:
    objects: list[Json] = [o for o in yaml.safe_load_all(installer.read_text()) if o]
    kinds = [o["kind"] for o in objects]
    assert (2, 1, 1, 7, 7) == tuple(
        kinds.count(kind)
        for kind in (
            "CustomResourceDefinition",
            "Namespace",
            "Deployment",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
        )
    )
    assert {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ConfigMap", "Service"} < set(
        kinds
    )
    assert {"PodDisruptionBudget", "NetworkPolicy"} < set(kinds)
    flags = ["--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict"]
    said = program_plane.kubectl("apply", *flags, "-f", str(installer))
    assert len(objects) == len(said.splitlines())


def test_pods_run_what_the_installer_names(installer: Path) -> None:
    objects: list[Json] = [o for o in yaml.safe_load_all(installer.read_text()) if o]
    (deployment,) = [o for o in objects if o["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert f"rag-operator/operator:{PACKAGE_VERSION}" == container["image"]
    (settings,) = [o for o in objects if o["kind"] == "ConfigMap"]
    assert f"rag-operator/api:{PACKAGE_VERSION}" == settings["data"]["RAG_OPERATOR_API_IMAGE"]
    assert f"rag-operator/indexer:{PACKAGE_VERSION}" == settings["data"]["RAG_OPERATOR_INDEXER_IMAGE"]


@pytest.fixture
def kube(program_plane: Cluster, space: str) -> Iterator[Kube]:
    """The administrator in a fresh namespace with documents."""
    kube = Kube(program_plane, space)
    kube.create("ConfigMap", config_map("documents"))
    yield kube
    kube.close()


def settled(running: Running, passes: int = 1) -> bool:
    """It works, has looked at everything, and nothing waits."""
    return (
        running.value("rag_operator_leader") == 1
        and running.value("rag_operator_reconciles_total") >= passes
        and running.value("rag_operator_queue_depth") == 0
    )


def test_another_version_of_the_operator_restarts_no_child(program_plane: Cluster, kube: Kube, tmp_path: Path) -> None:
    scope = {**IMAGES, "RAG_OPERATOR_NAMESPACE": kube.namespace, "RAG_OPERATOR_LEASE_NAMESPACE": OPERATOR_NAMESPACE}
    account = login(program_plane, OPERATOR_NAMESPACE, tmp_path)
    kube.create("RagService", rag_service("faq"))
    with NodeDouble(kube, "faq"):
        with Start(account, tmp_path, scope).running():
            wait_for("Ready", lambda: kube.condition("faq")[0] == "True", 120)
        children, pods = kube.children("faq"), {p["metadata"]["uid"] for p in kube.list("Pod", "faq")}
        assert children
        assert pods
        with Start(account, tmp_path, scope, version="99.0.0").running() as newer:
            wait_for("the newer one's first pass", lambda: settled(newer), 90)
            assert 1 == newer.value("rag_operator_build_info", version="99.0.0")
            writes = newer.metrics()["rag_operator_writes"].samples
            assert {"Lease"} == {s.labels["kind"] for s in writes if s.labels["result"] == "ok" and s.value}
            assert pods == {p["metadata"]["uid"] for p in kube.list("Pod", "faq")}
            assert specs(children) == specs(kube.children("faq"))


def specs(objects: dict[tuple[str, str], Json]) -> dict[tuple[str, str], tuple[str, int]]:
    """Uid and generation by key: what was made anew or declared otherwise has another one."""
    return {key: (o["metadata"]["uid"], o["metadata"].get("generation", 0)) for key, o in objects.items()}


def test_the_namespaced_mode_works_in_its_namespace_only(
    program_plane: Cluster, kube: Kube, bench_settings: Settings, tmp_path: Path
) -> None:
    objects = [o for o in built(program_plane, "config/namespaced") if o["kind"] != "Deployment"]
    assert {"ClusterRole", "ClusterRoleBinding"}.isdisjoint({o["kind"] for o in objects})
    for obj in objects:
        obj["metadata"]["namespace"] = kube.namespace
        for subject in obj.get("subjects") or ():
            subject["namespace"] = kube.namespace
    program_plane.apply(*objects)
    with new_namespace(program_plane, "elsewhere") as other:
        elsewhere = Kube(program_plane, other)
        elsewhere.create("RagService", rag_service("faq"))
        kube.create("RagService", rag_service("faq"))
        account = login(program_plane, kube.namespace, tmp_path)
        scope = {**IMAGES, "RAG_OPERATOR_NAMESPACE": kube.namespace}
        with NodeDouble(kube, "faq"), Start(account, tmp_path, scope).running() as running:
            wait_for("Ready", lambda: kube.condition("faq")[0] == "True", 120)
            assert {} == elsewhere.children("faq")
            assert 0 == running.value("rag_operator_api_requests_total", code="403")
        elsewhere.close()
