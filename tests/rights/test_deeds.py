"""What the operator does seldom, done once, so that every right is seen in use. One service, step by step."""

import pytest
from rag_operator import names

from tests.e2e.kube import Json, Kube, wait_for
from tests.e2e.objects import documents, rag_service

pytestmark = pytest.mark.node
OURS = f"{names.LABEL_SERVICE}=rare"
CHILDREN = (
    "configmap",
    "service",
    "serviceaccount",
    "deployment",
    "statefulset",
    "job",
    "ragrevision",
    "poddisruptionbudget",
)


STRANGERS_CLAIM: Json = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "rare-model-cache"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
}


def edit(kube: Kube, **spec: Json | bool) -> None:
    """Merge into the spec."""
    kube.patch("ragservice", "rare", {"spec": spec})


def gone(kube: Kube, kind: str, name: str, seconds: float = 30) -> None:
    """Wait until an object is not there."""
    wait_for(f"{kind} {name} gone", lambda: kube.get(kind, name) is None, seconds)


@pytest.fixture(scope="module")
def rare(module_kube: Kube) -> Kube:
    """A namespace with a ready service that remembers one revision. It was suspended once, and its store did not start at first.

    A pod of a template that was bad goes, be it by the StatefulSet's controller or, where that waits for ever, by the operator.
    """
    service = rag_service(
        "rare", vectorStore={"qdrant": {"storage": {"size": "1Gi"}, "image": "registry.invalid/none:1"}}
    )
    module_kube.apply(documents(), {**service, "spec": {**service["spec"], "release": {"history": 1}, "suspend": True}})
    module_kube.wait_condition("rare", "Suspended", "True", 20)
    edit(module_kube, suspend=False)
    module_kube.wait_condition("rare", "VectorStoreReady", "False", 60, reason="ImagePullFailed")
    edit(module_kube, vectorStore={"qdrant": {"image": None}})
    module_kube.wait_condition("rare", "Ready", "True", 120)
    return module_kube


def test_what_a_roll_out_leaves_behind_is_deleted(rare: Kube) -> None:
    """Settings of old pods, a forgotten revision and its prompt; a budget comes, and the volume is asked to grow."""
    old = {c["metadata"]["name"] for c in rare.list("configmaps", f"{OURS},{names.LABEL_COMPONENT}!=releases")}
    edit(
        rare,
        prompt={"version": "answer-v2", "refusal": "No."},
        api={"limits": {"requestsPerMinute": 7}, "replicas": 2},
        vectorStore={"qdrant": {"storage": {"size": "2Gi"}}},
    )
    gone(rare, "ragrevision", "rare-r1", 90)
    wait_for("a budget", lambda: rare.get("poddisruptionbudget", "rare-api"), 20)
    wait_for("old ones gone", lambda: not old & {c["metadata"]["name"] for c in rare.list("configmaps", OURS)}, 90)


@pytest.mark.parametrize("kind", CHILDREN)
def test_a_child_without_its_label_is_taken_back(rare: Kube, kind: str) -> None:
    """The caches do not show it any more: it is read by name."""
    name = rare.list(kind, OURS)[0]["metadata"]["name"]
    rare.run("label", kind, name, f"{names.LABEL_SERVICE}-")
    wait_for(f"{kind} {name} labelled", lambda: name in {o["metadata"]["name"] for o in rare.list(kind, OURS)}, 20)


def test_a_budget_goes_with_the_second_replica(rare: Kube) -> None:
    edit(rare, api={"replicas": 1})
    gone(rare, "poddisruptionbudget", "rare-api")


def test_a_model_server_gets_a_volume_and_the_nodes_are_looked_at(rare: Kube) -> None:
    """The volume's name is taken at first. No node has what its pod asks for, so nothing of its images is ever pulled."""
    gpu = {"resourceName": "example.com/no-such-gpu"}
    rare.apply(STRANGERS_CLAIM)
    nowhere = {"gpu": gpu, "nodeSelector": {"example.com/no-such": "node"}}
    edit(rare, model={"runtime": "VLLM", "name": "made-up/tiny", "vllm": nowhere})
    rare.wait_condition("rare", "ModelReady", "False", 60, reason="NameTaken")
    rare.run("delete", "persistentvolumeclaim", "rare-model-cache")
    vllm = {"gpu": gpu, "nodeSelector": None, "source": {"image": {"reference": "registry.invalid/weights:1"}}}
    edit(rare, model={"runtime": "VLLM", "name": "made-up/tiny", "vllm": vllm})
    rare.wait_condition("rare", "GpuSchedulable", "False", 60, reason="GpuNotOffered")
    assert rare.list("persistentvolumeclaims", OURS)
    edit(rare, model={"runtime": "Extractive"})
    wait_for("no model server", lambda: not rare.list("deployments,pods", f"{OURS},{names.LABEL_MODEL}"), 60)


def test_an_event_that_comes_again_is_counted(rare: Kube) -> None:
    """At most every half minute: until then it is suspended and resumed."""

    def counted() -> bool:
        for suspend, status in ((False, "False"), (True, "True")):
            edit(rare, suspend=suspend)
            rare.wait_condition("rare", "Suspended", status, 20)
        events = rare.list("events.events.k8s.io")
        return any(e.get("reason") == "Suspended" and (e.get("series") or {}).get("count", 0) > 1 for e in events)

    wait_for("an Event with a count", counted, 60, pause=5)


def test_a_lost_lease_is_made_anew(operator: Kube) -> None:
    uid = (operator.get("lease", "rag-operator") or {"metadata": {"uid": ""}})["metadata"]["uid"]
    operator.run("delete", "lease", "rag-operator")
    made = wait_for("a new Lease", lambda: operator.get("lease", "rag-operator"), 20)
    assert uid != made["metadata"]["uid"]
