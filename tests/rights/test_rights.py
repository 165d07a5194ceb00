"""Every request of the operator in the end-to-end tests was allowed, and every released right was needed for one."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from rag_operator import names

from tests.cluster.settings import Settings
from tests.e2e.kube import Json, Kube, wait_for
from tests.e2e.objects import documents, rag_service

from .comparison import Right, missing, released, uncovered, unused
from .recording import Recording

pytestmark = pytest.mark.node
ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "rag-operator"
USER = f"system:serviceaccount:rag-operator-system:{ACCOUNT}"
NOT_IN_THE_LOG = {
    # Asked by an admission plugin in the operator's name; tests/control_plane/program proves it necessary.
    Right("ragserving.dev", "ragservices/finalizers", "update"),
}


@pytest.fixture(scope="module")
def roles(bench_settings: Settings) -> set[Right]:
    """The rights that config/default gives."""
    command = [str(bench_settings.bin / "kubectl"), "kustomize", str(ROOT / "config" / "default")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return released([o for o in yaml.safe_load_all(text) if o], ACCOUNT)


def gone(kube: Kube, kind: str, name: str, seconds: float = 30) -> None:
    """Wait until an object is not there."""
    wait_for(f"{kind} {name} gone", lambda: kube.get(kind, name) is None, seconds)


def test_what_is_seldom_done_is_done(kube: Kube, operator: Kube) -> None:
    """Roll-outs that leave settings behind, forgotten revisions, a budget that comes and goes, growth, another store."""
    service = rag_service("rare")
    kube.apply(documents(), {**service, "spec": {**service["spec"], "release": {"history": 1}}})
    kube.wait_condition("rare", "Ready", "True", 120)
    old = {c["metadata"]["name"] for c in kube.list("configmaps", f"{names.LABEL_SERVICE}=rare")}

    change: Json = {
        "prompt": {"version": "answer-v2", "refusal": "No."},
        "api": {"limits": {"requestsPerMinute": 7}, "replicas": 2},
        "vectorStore": {"qdrant": {"storage": {"size": "2Gi"}}},
    }
    kube.patch("ragservice", "rare", {"spec": change})
    gone(kube, "ragrevision", "rare-r1", 90)
    wait_for("a budget", lambda: kube.get("poddisruptionbudget", "rare-api"), 20)
    left = f"{names.LABEL_SERVICE}=rare,{names.LABEL_COMPONENT} in (settings,prompt)"
    wait_for("old ones gone", lambda: not old & {c["metadata"]["name"] for c in kube.list("configmaps", left)}, 90)

    external = {"external": {"url": "http://store.example:6333"}, "qdrant": None}
    kube.patch("ragservice", "rare", {"spec": {"vectorStore": external, "api": {"replicas": 1}}})
    gone(kube, "poddisruptionbudget", "rare-api")
    gone(kube, "statefulset", "rare-qdrant")
    gone(kube, "service", "rare-qdrant")

    uid = (operator.get("lease", "rag-operator") or {"metadata": {"uid": ""}})["metadata"]["uid"]
    operator.run("delete", "lease", "rag-operator")
    made = wait_for("a new Lease", lambda: operator.get("lease", "rag-operator"), 20)
    assert uid != made["metadata"]["uid"]


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
    assert {("pods", "list"), ("pods", "watch"), ("pods", "patch")} == pods
    assert {"", "apps", "batch", "coordination.k8s.io", "events.k8s.io", "policy", "ragserving.dev"} == {
        right.group for right in roles
    }
