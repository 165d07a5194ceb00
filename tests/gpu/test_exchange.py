"""How a model's pods are exchanged, with the real scheduler and controllers on made nodes: beside, one by one, after, and not at all."""

import pytest
from rag_operator import names

from tests.control_plane.reconcile.harness import Json, until

from .nodes_double import GpuNodesDouble

pytestmark = pytest.mark.control_plane
POOLS = {"beside": "2", "by-one": "2", "after": "1", "waits": "1"}
"""Each service has a node of its own, with so many GPUs."""


@pytest.fixture(scope="module")
def serving(gpus: GpuNodesDouble) -> GpuNodesDouble:
    """Four services with a model each, all Ready."""
    for name, count in POOLS.items():
        gpus.add(f"gpu-{name}", labels={"pool": name}, nvidia=count)
    for name in POOLS:
        wish = {"strategy": "Surge"} if name == "waits" else {"replicas": 2} if name == "by-one" else {}
        gpus.declare(name, nodeSelector={"pool": name}, **wish)
    until(lambda: all(gpus.kube.condition(name)[0] == "True" for name in POOLS), 240)
    return gpus


def exchange(gpus: GpuNodesDouble, name: str) -> set[str]:
    """Change the pods' template; names of the pods before."""
    before = {pod["metadata"]["name"] for pod in gpus.model_pods(name)}
    gpus.change(name, resources={"requests": {"cpu": "200m"}})
    return before


def watched(gpus: GpuNodesDouble, name: str, before: set[str]) -> list[tuple[int, int]]:
    """(old, new) pods that are ready, at each look until all are new and the service is Ready."""
    seen: list[tuple[int, int]] = []

    def done() -> bool:
        pods = [pod for pod in gpus.model_pods(name) if is_ready(pod)]
        old = sum(pod["metadata"]["name"] in before for pod in pods)
        seen.append((old, len(pods) - old))
        return old == 0 and len(pods) == len(before) and gpus.kube.condition(name)[0] == "True"

    until(done, 60)
    return seen


def is_ready(pod: Json) -> bool:
    """It answers, and was not told to end."""
    if "deletionTimestamp" in pod["metadata"]:
        return False
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or ())


def announced(gpus: GpuNodesDouble, name: str) -> list[str]:
    """Notes of the Events about how its pods are exchanged."""
    _, body = gpus.kube.send("GET", f"/apis/events.k8s.io/v1/namespaces/{gpus.kube.namespace}/events")
    return [e["note"] for e in body["items"] if e["regarding"]["name"] == name and e["reason"] == "ModelRollOut"]


def strategy(gpus: GpuNodesDouble, name: str) -> tuple[str, str]:
    """As the status tells it: the way, and why."""
    told = gpus.status(name).get("modelRollOut") or {}
    return told.get("strategy", ""), told.get("message", "")


def test_a_free_gpu_takes_the_new_pod_beside_the_old_one(serving: GpuNodesDouble) -> None:
    assert ("Surge", True) == (strategy(serving, "beside")[0], "no request is lost" in strategy(serving, "beside")[1])
    seen = watched(serving, "beside", exchange(serving, "beside"))
    assert all(sum(ready) >= 1 for ready in seen)
    assert "1/1 nvidia.com/gpu" == serving.status("beside")["gpu"]


def test_two_replicas_without_a_free_gpu_go_one_by_one(serving: GpuNodesDouble) -> None:
    before = exchange(serving, "by-one")
    until(lambda: strategy(serving, "by-one")[0] == "OneByOne", 60)
    seen = watched(serving, "by-one", before)
    assert all(sum(ready) >= 1 for ready in seen)
    assert any(note.startswith("OneByOne: ") for note in announced(serving, "by-one"))


def test_one_replica_without_a_free_gpu_gives_way_first(serving: GpuNodesDouble) -> None:
    before = exchange(serving, "after")
    until(lambda: strategy(serving, "after")[0] == "Recreate", 60)
    seen = watched(serving, "after", before)
    assert all(min(ready) == 0 for ready in seen)
    assert any("outage of the model" in note for note in announced(serving, "after"))


def test_a_demanded_surge_waits_for_a_gpu_while_the_old_pod_serves(serving: GpuNodesDouble) -> None:
    before = exchange(serving, "waits")
    until(lambda: serving.said("waits", "GpuSchedulable")[:2] == ("False", "GpusBusy"), 60)
    assert "Blocked" == strategy(serving, "waits")[0]
    assert any(note.startswith("Blocked: ") for note in announced(serving, "waits"))
    assert before == {pod["metadata"]["name"] for pod in serving.model_pods("waits") if is_ready(pod)}
    body = serving.kube.list("Deployment", "waits")
    (made,) = [d for d in body if d["metadata"]["labels"][names.LABEL_COMPONENT] == names.COMPONENT_MODEL]
    assert {"maxSurge": 1, "maxUnavailable": 0} == made["spec"]["strategy"]["rollingUpdate"]

    serving.offer("gpu-waits", nvidia="2")
    assert all(sum(ready) >= 1 for ready in watched(serving, "waits", before))
    assert "True" == serving.said("waits", "GpuSchedulable")[0]
