"""A control plane with the real scheduler and no controllers: nodes stay as they are made."""

from collections.abc import Iterator

import pytest

from tests.cluster.fixtures import Cluster, new_control_plane
from tests.cluster.settings import Settings


@pytest.fixture(scope="session")
def scheduler_plane(bench_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """etcd, API server and scheduler of these tests alone."""
    with new_control_plane(bench_settings, tmp_path_factory.mktemp("scheduler"), scheduler=True) as plane:
        yield plane
