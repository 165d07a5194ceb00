"""The control plane that the reconcile tests and the fault tests each start for themselves. A conftest imports the fixture."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.fixtures import PrivateControlPlane, new_control_plane
from tests.cluster.settings import from_environment

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="package")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateControlPlane]:
    """etcd, API server and controller manager, with the CRDs of the checkout."""
    settings = from_environment(os.environ)
    with new_control_plane(settings, tmp_path_factory.mktemp("plane"), controllers=True) as plane:
        plane.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield plane
