"""The operator as users install it, on the bench, and a namespace per test or module."""

import os
import sys
from collections.abc import Iterator

import pytest

from tests.cluster.fixtures import Cluster, new_namespace
from tests.demo import install
from tests.demo.place import Place
from tests.demo.screen import Screen
from tests.rights.recording import Recording

from . import aftermath
from .kube import Kube

SEEN = pytest.StashKey[Kube]()


def _kube(cluster: Cluster, namespace: str) -> Kube:
    return Kube(str(cluster.control_plane.plane.programs / "kubectl"), str(cluster.kubeconfig), namespace)


@pytest.fixture(scope="session")
def operator(node_cluster: Cluster, recording: Recording, request: pytest.FixtureRequest) -> Kube:
    """The operator's namespace, with the operator running there from the released manifests and images of this tree."""
    place = Place("bench", os.environ)
    place.bench("images")
    install.deploy(place, place.kubectl(), Screen(sys.stderr), install.source_hash())
    kube = _kube(node_cluster, install.OPERATOR_NAMESPACE)
    request.config.stash[SEEN] = kube
    return kube


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """After failures: what the operator went through."""
    if SEEN in config.stash and terminalreporter.stats.keys() & {"failed", "error"}:
        terminalreporter.section("the operator and the machine")
        for line in aftermath.lines(config.stash[SEEN]):
            terminalreporter.write_line(line)


@pytest.fixture
def kube(operator: Kube, node_cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Kube]:
    """kubectl in a fresh namespace that takes restricted pods only."""
    with new_namespace(node_cluster, request.node.name) as name:
        yield _kube(node_cluster, name)


@pytest.fixture(scope="module")
def module_kube(operator: Kube, node_cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Kube]:
    """kubectl in a fresh namespace for all tests of a module."""
    with new_namespace(node_cluster, request.module.__name__.rpartition(".")[2]) as name:
        yield _kube(node_cluster, name)
