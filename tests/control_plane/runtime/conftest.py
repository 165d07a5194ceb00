"""The shared control plane, and a login to it as users log in: by kubeconfig."""

import pytest
from rag_operator.runtime import login

from tests.cluster.fixtures import Cluster


@pytest.fixture
def access(cluster: Cluster) -> login.Login:
    """From the bench's kubeconfig, client certificates inside."""
    return login.load(str(cluster.kubeconfig))
