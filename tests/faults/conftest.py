"""A control plane with controllers for the fault tests alone; each module has a namespace and an operator of its own on it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.fixtures import Cluster, new_control_plane, new_namespace
from tests.cluster.settings import from_environment
from tests.control_plane.reconcile.harness import Kube, config_map

from .life import Reference, World, world

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """etcd, API server and controller manager, with the CRDs of the checkout."""
    settings = from_environment(os.environ)
    with new_control_plane(settings, tmp_path_factory.mktemp("faults"), controllers=True) as plane:
        plane.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield plane


@pytest.fixture(scope="module")
def kube(plane: Cluster) -> Iterator[Kube]:
    """A namespace that takes restricted pods only, with documents."""
    with new_namespace(plane, "faults") as namespace:
        kube = Kube(plane, namespace)
        kube.create("ConfigMap", config_map("documents"))
        yield kube
        kube.close()


@pytest.fixture(scope="module")
def stage(plane: Cluster, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The namespace with a running operator behind a proxy, and doubles of the nodes."""
    with world(plane, kube, tmp_path_factory.mktemp("operator")) as made:
        yield made


@pytest.fixture(scope="module")
def reference(stage: World) -> Reference:
    """Created and changed with no fault at all: step 0 and step 1."""
    taken = Reference()
    stage.create("calm")
    stage.served(["calm"], 1)
    taken.take(stage, "calm")
    stage.change("calm")
    stage.served(["calm"], 2)
    taken.take(stage, "calm")
    return taken
