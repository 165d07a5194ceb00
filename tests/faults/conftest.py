"""A control plane with controllers for the fault tests alone; each module has a namespace and an operator of its own on it."""

from collections.abc import Iterator

import pytest

from tests.cluster.fixtures import Cluster
from tests.control_plane.reconcile.harness import Kube, new_kube
from tests.control_plane.reconcile.planes import plane

from .life import Reference, World, world

__all__ = ["plane"]


@pytest.fixture(scope="module")
def kube(plane: Cluster) -> Iterator[Kube]:
    """A namespace that takes restricted pods only, with documents."""
    with new_kube(plane, "faults") as kube:
        yield kube


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
