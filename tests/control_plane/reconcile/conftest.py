"""A control plane with controllers for these tests alone, one namespace on it, and one operator that watches it."""

from collections.abc import Iterator

import pytest

from tests.cluster.fixtures import Cluster, new_namespace

from .harness import Kube, config_map, operator
from .planes import plane

__all__ = ["plane"]


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
