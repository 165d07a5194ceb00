"""A control plane with controllers for these tests alone, one namespace on it, and one operator that watches it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.fixtures import Cluster, new_control_plane, new_namespace
from tests.cluster.settings import from_environment

from .harness import Kube, config_map, operator

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """etcd, API server and controller manager, with the CRDs of the checkout."""
    settings = from_environment(os.environ)
    with new_control_plane(settings, tmp_path_factory.mktemp("reconcile"), controllers=True) as plane:
        plane.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield plane


@pytest.fixture(scope="session")
def kube(plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    """A namespace that takes restricted pods only, with documents, watched by a running operator."""
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    with new_namespace(plane, "reconcile") as namespace:
        kube = Kube(plane, namespace)
        kube.create("ConfigMap", config_map("documents"))
        with operator(plane, namespace, log):
            yield kube
        kube.close()


@pytest.fixture
def quiet_kube(plane: Cluster) -> Iterator[Kube]:
    """A namespace like `kube`'s that no operator watches yet."""
    with new_namespace(plane, "reconcile-alone") as namespace:
        kube = Kube(plane, namespace)
        kube.create("ConfigMap", config_map("documents"))
        yield kube
        kube.close()
