"""Each reason of GpuSchedulable, with the real scheduler: one pod that finds no place, on a node that changes."""

from collections.abc import Iterator

import pytest

from tests.control_plane.reconcile.harness import Json, until

from .nodes_double import GpuNodesDouble

pytestmark = pytest.mark.control_plane
NODE, NAME, FOREIGN = "amd-1", "asks", "somebody-else"
TAINT = {"key": "dedicated", "value": "team", "effect": "NoSchedule"}


@pytest.fixture(scope="module")
def asking(gpus: GpuNodesDouble) -> Iterator[GpuNodesDouble]:
    """A service whose model wants two GPUs of a kind that no node has yet, and a neighbour's namespace."""
    gpus.add("nvidia-1", labels={}, nvidia="1")
    gpus.declare(NAME, nodeSelector={"pool": "amd"}, gpu={"count": 2, "resourceName": "amd.com/gpu"})
    namespaces = "/api/v1/namespaces"
    gpus.kube.send("POST", namespaces, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": FOREIGN}})
    yield gpus
    gpus.kube.send("DELETE", f"{namespaces}/{FOREIGN}/pods/hog", {"gracePeriodSeconds": 0})
    gpus.kube.send("DELETE", f"{namespaces}/{FOREIGN}")


def add(gpus: GpuNodesDouble) -> None:
    gpus.add(NODE, labels={"pool": "other"}, amd="4")


def label_and_taint(gpus: GpuNodesDouble) -> None:
    gpus.edit(NODE, {"metadata": {"labels": {"pool": "amd"}}, "spec": {"taints": [TAINT]}})


def cordon(gpus: GpuNodesDouble) -> None:
    gpus.edit(NODE, {"spec": {"taints": None, "unschedulable": True}})


def shrink(gpus: GpuNodesDouble) -> None:
    gpus.offer(NODE, amd="1")
    gpus.edit(NODE, {"spec": {"taints": None, "unschedulable": None}})


def occupy(gpus: GpuNodesDouble) -> None:
    """A neighbour's pod takes most of them; placed by hand, so that ours cannot be first."""
    limits = {"amd.com/gpu": "3"}
    pod: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "hog"},
        "spec": {
            "nodeName": NODE,
            "containers": [{"name": "main", "image": "none", "resources": {"limits": limits}}],
        },
    }
    path = f"/api/v1/namespaces/{FOREIGN}/pods"
    until(lambda: gpus.kube.send("POST", path, pod)[0] in {201, 409}, 20)
    gpus.offer(NODE, amd="4")


def end_neighbour(gpus: GpuNodesDouble) -> None:
    """Without a kubelet it goes on terminating."""
    assert 200 == gpus.kube.send("DELETE", f"/api/v1/namespaces/{FOREIGN}/pods/hog", {"gracePeriodSeconds": 30})[0]


def free_gpus_but_no_cpu(gpus: GpuNodesDouble) -> None:
    gpus.offer(NODE, cpu="10m", amd="4")
    gpus.kube.send("DELETE", f"/api/v1/namespaces/{FOREIGN}/pods/hog", {"gracePeriodSeconds": 0})


def enlarge(gpus: GpuNodesDouble) -> None:
    gpus.offer(NODE, amd="4")


def quota(gpus: GpuNodesDouble) -> None:
    """None of the namespace's pods may have GPUs; the one that has some goes."""
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-gpus"}}
    hard = {"spec": {"hard": {"requests.amd.com/gpu": "1"}}}
    path = f"/api/v1/namespaces/{gpus.kube.namespace}/resourcequotas"
    assert 201 == gpus.kube.send("POST", path, body | hard)[0]
    until(lambda: "used" in (gpus.kube.send("GET", f"{path}/no-gpus")[1].get("status") or {}))
    for pod in gpus.model_pods(NAME):
        gpus.kube.delete("Pod", pod["metadata"]["name"])


def nothing(_: GpuNodesDouble) -> None:
    """As it is."""


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        (nothing, "GpuNotOffered", "No node offers amd.com/gpu. Nodes offer nvidia.com/gpu."),
        (add, "NoMatchingNode", "the nearest, amd-1, fails: pool=amd (it is other)"),
        (label_and_taint, "UntoleratedTaint", 'the key "dedicated"'),
        (cordon, "NodeUnavailable", "Repair or uncordon it"),
        (shrink, "InsufficientGpu", "needs 2 amd.com/gpu on one node; the largest that matches, amd-1, has 1"),
        (occupy, "GpusBusy", f"in use by namespace {FOREIGN} (1 pod)"),
        (end_neighbour, "GpuFreedSoon", "Node amd-1 frees enough amd.com/gpu"),
        (free_gpus_but_no_cpu, "InsufficientResources", "100m cpu (it has 10m)"),
        (enlarge, "GpuScheduled", "Every model pod has a node"),
        (quota, "QuotaExceeded", "no-gpus"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_the_condition_says_what_is_in_the_way(asking: GpuNodesDouble, change: object, reason: str, words: str) -> None:
    assert callable(change)
    change(asking)
    try:
        until(lambda: asking.said(NAME, "GpuSchedulable")[1] == reason, 90)
    except AssertionError as error:
        raise AssertionError(asking.said(NAME, "GpuSchedulable")) from error
    assert words in asking.said(NAME, "GpuSchedulable")[2]
    assert ("True" if reason == "GpuScheduled" else "False") == asking.said(NAME, "GpuSchedulable")[0]
