"""Why a GPU pod does not fit: each obstacle with the node, label, taint or number that people need."""

from typing import Any

import pytest
from rag_operator.api import Reason
from rag_operator.scheduling import need_of

from .made import GPU, Json, cluster, node, pod, template, verdict

DEDICATED = {"key": "dedicated", "value": "ml", "effect": "NoSchedule"}
NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def affinity(*terms: list[Json]) -> Json:
    """A required node affinity of alternatives."""
    required = {"nodeSelectorTerms": [{"matchExpressions": term} for term in terms]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


def test_a_free_gpu_is_found() -> None:
    found = verdict([node("a", 0), node("b")])

    assert found.fits
    assert ("b",) == found.nodes


ROWS: list[tuple[str, list[Json], list[Json], Json, Reason, list[str]]] = [
    ("no node", [], [], template(), Reason.GpuNotOffered, [GPU, "device plugin"]),
    ("no device plugin", [node("a", 0)], [], template(), Reason.GpuNotOffered, [GPU, "device plugin"]),
    (
        "another vendor's",
        [node("a", 0, allocatable={"amd.com/gpu": "2"})],
        [],
        template(),
        Reason.GpuNotOffered,
        ["amd.com/gpu", "gpu.resourceName"],
    ),
    (
        "none left of the device",
        [node("a", allocatable={GPU: "0"})],
        [],
        template(),
        Reason.GpuNotOffered,
        ["device plugin"],
    ),
    (
        "product",
        [node("a"), node("b", labels={"zone": "x"})],
        [],
        template(nodeSelector={"nvidia.com/gpu.product": "NVIDIA-H100", "zone": "x"}),
        Reason.NoMatchingNode,
        ["nearest, b,", "nvidia.com/gpu.product=NVIDIA-H100 (it is NVIDIA-L4)"],
    ),
    (
        "affinity",
        [node("a", labels={"cards": "2"})],
        [],
        template(affinity=affinity([{"key": "cards", "operator": "Gt", "values": ["4"]}])),
        Reason.NoMatchingNode,
        ["cards Gt 4 (it is 2)"],
    ),
    (
        "label missing",
        [node("a")],
        [],
        template(affinity=affinity([{"key": "pool", "operator": "Exists"}])),
        Reason.NoMatchingNode,
        ["pool Exists (it has no such label)"],
    ),
    (
        "taint",
        [node("a", taints=[DEDICATED])],
        [],
        template(),
        Reason.UntoleratedTaint,
        ["Node a", "dedicated=ml:NoSchedule", 'key "dedicated"', "spec.model.vllm.tolerations"],
    ),
    (
        "a taint is nearer than a broken node",
        [node("a", taints=[NOT_READY]), node("b", taints=[DEDICATED])],
        [],
        template(),
        Reason.UntoleratedTaint,
        ["Node b"],
    ),
    (
        "taint that also ends pods",
        [node("a", taints=[{**DEDICATED, "effect": "NoExecute"}])],
        [],
        template(),
        Reason.UntoleratedTaint,
        ["dedicated=ml:NoExecute"],
    ),
    ("not ready", [node("a", taints=[NOT_READY])], [], template(), Reason.NodeUnavailable, ["not-ready"]),
    ("cordoned", [node("a", cordoned=True)], [], template(), Reason.NodeUnavailable, ["unschedulable", "uncordon"]),
    (
        "too few",
        [node("a", 2), node("b", 4)],
        [],
        template(8),
        Reason.InsufficientGpu,
        ["needs 8", "largest that matches, b, has 4", "gpu.count"],
    ),
    (
        "busy",
        [node("a"), node("b")],
        [pod("a"), pod("a"), pod("b", 2, namespace="team-b")],
        template(),
        Reason.GpusBusy,
        ["2 matching nodes have 4", "team-a (2 pods), team-b (1 pod)"],
    ),
    (
        "scattered",
        [node("a"), node("b")],
        [pod("a"), pod("b")],
        template(2),
        Reason.GpusBusy,
        ["No node has 2 nvidia.com/gpu free"],
    ),
    (
        "freed soon",
        [node("a"), node("b")],
        [pod("a", 2), pod("b"), pod("b", going=True)],
        template(),
        Reason.GpuFreedSoon,
        ["Node b"],
    ),
    (
        "memory",
        [node("a")],
        [],
        template(memory="64Gi", cpu="1500m"),
        Reason.InsufficientResources,
        ["Node a has a free GPU", "64Gi memory (it has 32Gi)", "spec.model.vllm.resources"],
    ),
    (
        "CPU is taken by others",
        [node("a")],
        [pod("a", 0, cpu="7500m")],
        template(),
        Reason.InsufficientResources,
        ["1 cpu (it has 500m)"],
    ),
    (
        "pods",
        [node("a", allocatable={"pods": "1"})],
        [pod("a", 0)],
        template(),
        Reason.InsufficientResources,
        ["no pod more"],
    ),
]


@pytest.mark.parametrize(
    ("nodes", "pods", "wanted", "reason", "words"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_each_obstacle_is_named(
    nodes: list[Json], pods: list[Json], wanted: Json, reason: Reason, words: list[str]
) -> None:
    found = verdict(nodes, pods, wanted)

    assert reason is found.reason
    for word in words:
        assert word in found.message


def test_the_words_do_not_depend_on_the_order_of_the_nodes() -> None:
    nodes, pods = [node("a"), node("b"), node("c")], [pod(name, 2) for name in "abc"]

    assert verdict(nodes, pods) == verdict(nodes[::-1], pods[::-1])


def test_many_holders_are_counted_not_listed() -> None:
    pods = [pod("a", namespace=f"team-{number}") for number in range(9)]

    found = verdict([node("a", 9)], pods)

    assert "team-4 (1 pod) and 4 more" in found.message


HOLDS: list[tuple[Json, Any, bool]] = [
    ({"key": "k", "operator": "In", "values": ["1", "2"]}, "2", True),
    ({"key": "k", "operator": "In", "values": ["1"]}, None, False),
    ({"key": "k", "operator": "NotIn", "values": ["1"]}, None, True),
    ({"key": "k", "operator": "NotIn", "values": ["1"]}, "1", False),
    ({"key": "k", "operator": "DoesNotExist"}, None, True),
    ({"key": "k", "operator": "DoesNotExist"}, "", False),
    ({"key": "k", "operator": "Exists"}, "", True),
    ({"key": "k", "operator": "Gt", "values": ["9"]}, "10", True),
    ({"key": "k", "operator": "Gt", "values": ["9"]}, "1_0", False),
    ({"key": "k", "operator": "Lt", "values": ["9"]}, None, False),
    ({"key": "k", "operator": "Lt", "values": ["9"]}, "x", False),
    ({"key": "k", "operator": "Lt", "values": ["9"]}, "-1", True),
]


@pytest.mark.parametrize(("expression", "label", "expected"), HOLDS)
def test_labels_are_compared_as_the_scheduler_does(expression: Json, label: str | None, expected: bool) -> None:
    labels = {} if label is None else {"k": label}

    assert expected is verdict([node("a", labels=labels)], [], template(affinity=affinity([expression]))).fits


def test_one_of_the_alternatives_is_enough_and_none_holds_nowhere() -> None:
    good = [{"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-L4"]}]
    bad = [{"key": "nvidia.com/gpu.product", "operator": "DoesNotExist"}]

    assert verdict([node("a")], [], template(affinity=affinity(bad, good))).fits
    assert not verdict([node("a")], [], template(affinity=affinity(bad))).fits
    assert not verdict([node("a")], [], template(affinity=affinity([]))).fits


TOLERATIONS: list[tuple[Json, bool]] = [
    ({"key": "dedicated", "operator": "Equal", "value": "ml", "effect": "NoSchedule"}, True),
    ({"key": "dedicated", "value": "ml"}, True),
    ({"key": "dedicated", "operator": "Exists"}, True),
    ({"operator": "Exists"}, True),
    ({"key": "dedicated", "value": "web"}, False),
    ({"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}, False),
    ({"key": "other", "operator": "Exists"}, False),
]


@pytest.mark.parametrize(("toleration", "expected"), TOLERATIONS)
def test_taints_are_tolerated_as_the_scheduler_does(toleration: Json, expected: bool) -> None:
    assert expected is verdict([node("a", taints=[DEDICATED])], [], template(tolerations=[toleration])).fits


def test_a_taint_that_only_asks_is_no_obstacle() -> None:
    soft = {**DEDICATED, "effect": "PreferNoSchedule"}

    assert verdict([node("a", taints=[soft])], [], template(tolerations=[])).fits


def test_what_the_leaving_of_an_own_pod_would_change() -> None:
    others, own = [pod("a"), pod("b", 2)], [pod("a", name="mine")]
    nodes = cluster([node("a"), node("b")], others, own)

    assert not nodes.explain(need_of(template())).fits
    assert ("a",) == nodes.after(need_of(template()), ["mine", "unknown"]).nodes
    assert Reason.GpusBusy is nodes.after(need_of(template(2)), ["mine"]).reason
    assert Reason.GpusBusy is nodes.after(need_of(template()), []).reason
