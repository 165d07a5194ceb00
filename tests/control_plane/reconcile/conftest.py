"""A control plane with controllers for these tests alone, one namespace on it, and one operator that watches it."""

from collections.abc import Iterator

import pytest

from tests.cluster.fixtures import Cluster

from .harness import Kube, new_kube, operator
from .planes import plane

__all__ = ["plane"]


@pytest.fixture(scope="package")
def kube(plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    """A namespace that takes restricted pods only, with documents, watched by a running operator."""
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    with new_kube(plane, "reconcile") as kube, operator(plane, kube.namespace, log):
        yield kube


@pytest.fixture
def quiet_kube(plane: Cluster) -> Iterator[Kube]:
    """A namespace like `kube`'s that no operator watches yet."""
    with new_kube(plane, "reconcile-alone") as kube:
        yield kube
