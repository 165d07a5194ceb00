"""Every request of the operator in the end-to-end tests was allowed, and every released right was needed for one.

What those tests have no reason to do is done in `test_deeds.py`, which runs before this module.
"""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.cluster.settings import Settings
from tests.e2e.kube import Kube

from .comparison import Right, missing, released, uncovered, unused
from .recording import Recording

pytestmark = pytest.mark.node
ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "rag-operator"
USER = f"system:serviceaccount:rag-operator-system:{ACCOUNT}"
NOT_IN_THE_LOG = {
    # The admission plugin OwnerReferencesPermissionEnforcement, which some distributions run, asks for these in the
    # operator's name: the first for every child, the others to give a child its owner back. tests/control_plane/program
    # proves them necessary. The admission policies bound what can be deleted.
    Right("ragserving.dev", "ragservices/finalizers", "update"),
    Right("apps", "statefulsets", "delete"),
    Right("", "serviceaccounts", "delete"),
    # Only when a StatefulSet's controller leaves a pod of a bad template in place; on some runs it replaces it by itself.
    Right("", "pods", "delete"),
}


@pytest.fixture(scope="module")
def roles(bench_settings: Settings) -> set[Right]:
    """The rights that config/default gives."""
    command = [str(bench_settings.bin / "kubectl"), "kustomize", str(ROOT / "config" / "default")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return released([o for o in yaml.safe_load_all(text) if o], ACCOUNT)


def test_no_right_was_missing(operator: Kube, recording: Recording, roles: set[Right]) -> None:
    events = recording.of(USER)
    assert events
    assert [] == missing(events)
    assert [] == uncovered(events, roles)


def test_every_right_was_used(operator: Kube, recording: Recording, roles: set[Right]) -> None:
    if not recording.whole:
        pytest.skip("judged only when all of tests/e2e ran in the same session")
    assert [] == [right for right in unused(recording.of(USER), roles) if right not in NOT_IN_THE_LOG]


def test_nothing_dangerous_is_among_the_rights(roles: set[Right]) -> None:
    text = json.dumps(sorted(roles))
    assert "*" not in text
    assert {"escalate", "bind", "impersonate", "deletecollection"}.isdisjoint({right.verb for right in roles})
    assert {"create"} == {right.verb for right in roles if right.resource == "secrets"}
    pods = {(right.resource, right.verb) for right in roles if right.resource.split("/")[0] == "pods"}
    assert {("pods", verb) for verb in ("list", "watch", "patch", "delete")} == pods
    assert {"", "apps", "batch", "coordination.k8s.io", "events.k8s.io", "policy", "ragserving.dev"} == {
        right.group for right in roles
    }
