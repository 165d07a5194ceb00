"""Control planes with the real scheduler: one without controllers, where nodes stay as they are made, and one with all of them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.fixtures import Cluster, new_control_plane, new_namespace
from tests.cluster.settings import ROOT, Settings
from tests.control_plane.reconcile.harness import Kube, config_map, operator

from .nodes_double import GpuNodesDouble


@pytest.fixture(scope="package")
def scheduler_plane(bench_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """etcd, API server and scheduler of these tests alone."""
    with new_control_plane(bench_settings, tmp_path_factory.mktemp("scheduler"), scheduler=True) as plane:
        yield plane


@pytest.fixture(scope="package")
def full_plane(bench_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """etcd, API server, scheduler and controllers, with the CRDs of the checkout."""
    folder = tmp_path_factory.mktemp("gpus")
    with new_control_plane(bench_settings, folder, controllers=True, scheduler=True) as plane:
        plane.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield plane


@pytest.fixture(scope="module")
def gpus(full_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuNodesDouble]:
    """A namespace on made nodes, with an operator that watches the whole cluster."""
    yield from _stage(full_plane, tmp_path_factory.mktemp("operator") / "operator.log", everywhere=True)


@pytest.fixture(scope="module")
def namespaced(full_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuNodesDouble]:
    """The same with an operator that watches that namespace alone."""
    yield from _stage(full_plane, tmp_path_factory.mktemp("operator") / "operator.log", everywhere=False)


def _stage(plane: Cluster, log: Path, *, everywhere: bool) -> Iterator[GpuNodesDouble]:
    with new_namespace(plane, "gpus") as namespace, contextlib.closing(Kube(plane, namespace)) as kube:
        kube.create("ConfigMap", config_map("documents"))
        with operator(plane, "" if everywhere else namespace, log), GpuNodesDouble(kube) as nodes:
            try:
                nodes.add("ordinary", cpu="32", labels={})
                yield nodes
            finally:
                for service in nodes.services():
                    kube.delete("RagService", service)
                nodes.remove_all()
