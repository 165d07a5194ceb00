"""Random little clusters: a few nodes, pods on them, and one pod that wants a place. Each by a seed, so that it can be had again."""

import random
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
NAMESPACE = "default"
CASE = "rag-test/case"
DEVICES = ("nvidia.com/gpu", "amd.com/gpu", "nvidia.com/mig-1g.5gb")
KEYS = ("pool", "cards", "zone")
VALUES = ("a", "b", "1", "3", "007", "12", "1_0", "")
EFFECTS = ("NoSchedule", "NoExecute", "PreferNoSchedule")
TAINTS = ("nvidia.com/gpu", "dedicated", "spot")


@dataclass(frozen=True)
class Case:
    """Nodes, the pods on them (some terminating, some finished), and the pod that is to be placed."""

    nodes: list[Json]
    users: list[Json]
    probe: Json


def case(number: int, rng: random.Random) -> Case:
    """One cluster of its own: its nodes carry a label that its pods ask for."""
    nodes = [_node(f"n{number}-{i}", number, rng) for i in range(rng.choice((1, 1, 1, 2, 2, 3)))]
    users = [
        _user(f"u{number}-{i}", rng.choice(nodes)["metadata"]["name"], rng) for i in range(rng.choice((0, 1, 1, 2, 3)))
    ]
    return Case(nodes, users, _probe(number, [node["metadata"]["name"] for node in nodes], rng))


def _node(name: str, number: int, rng: random.Random) -> Json:
    allocatable = {
        "cpu": rng.choice(("2", "4", "3900m", "16")),
        "memory": rng.choice(("4Gi", "8Gi", "64Gi")),
        "pods": rng.choice(("110", "110", "110", "1", "2")),
    }
    for device in DEVICES:
        if rng.random() < (0.8 if device == DEVICES[0] else 0.3):
            allocatable[device] = str(rng.choice((0, 2, 2, 4, 8)))
    if rng.random() < 0.5:
        allocatable["ephemeral-storage"] = "10Gi"
    labels = {CASE: str(number)} | {key: rng.choice(VALUES) for key in KEYS if rng.random() < 0.6}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": _taints(rng), "unschedulable": rng.random() < 0.06},
        "status": {"capacity": allocatable, "allocatable": allocatable},
    }


def _taints(rng: random.Random) -> list[Json]:
    return [
        {"key": key, "value": rng.choice(("", "x", "y")), "effect": rng.choice(EFFECTS)}
        for key in TAINTS
        if rng.random() < 0.3
    ]


def _user(name: str, node: str, rng: random.Random) -> Json:
    spec = _spec(rng, most=4)
    spec["nodeName"] = node
    labels = {"fate": rng.choice(("stays", "stays", "stays", "goes", "finished"))}
    return _pod(name, spec, labels)


def _probe(number: int, nodes: list[str], rng: random.Random) -> Json:
    spec = _spec(rng, most=4)
    spec["nodeSelector"] = {CASE: str(number)} | {key: rng.choice(VALUES) for key in KEYS if rng.random() < 0.05}
    spec["tolerations"] = [_toleration(rng) for _ in range(rng.choice((0, 1, 2, 2, 3)))]
    if rng.random() < 0.1:
        spec["tolerations"].append({"operator": "Exists"})
    if rng.random() < 0.95:  # the API server taints every new node with this
        spec["tolerations"].append({"key": "node.kubernetes.io/not-ready", "operator": "Exists"})
    if rng.random() < 0.35:
        terms = [_term(nodes, rng) for _ in range(rng.choice((1, 1, 2)))]
        spec["affinity"] = {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        }
    return _pod(f"probe{number}", spec, {"probe": "true"})


def _pod(name: str, spec: Json, labels: Json) -> Json:
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _spec(rng: random.Random, most: int) -> Json:
    spec: Json = {"containers": [_container("main", rng, most)]}
    if rng.random() < 0.2:
        spec["containers"].append(_container("side", rng, 1))
    if rng.random() < 0.25:
        spec["initContainers"] = [_container("start", rng, most)]
        if rng.random() < 0.5:
            spec["initContainers"].insert(0, _container("sidecar", rng, 1) | {"restartPolicy": "Always"})
    if rng.random() < 0.1:
        spec["resources"] = {"requests": {"cpu": "12"}}  # of the whole pod; never below the sum of its containers
    return spec


def _container(name: str, rng: random.Random, most: int) -> Json:
    devices = {d: str(rng.choice((1, 1, most))) for d in DEVICES if rng.random() < (0.6 if d == DEVICES[0] else 0.1)}
    requests = {"cpu": rng.choice(("100m", "500m", "1", "2500m")), "memory": rng.choice(("64Mi", "1Gi", "2500M"))}
    if rng.random() < 0.05:
        requests["ephemeral-storage"] = "4Gi"
    return {"name": name, "image": "none", "resources": {"limits": devices, "requests": requests}}


def _toleration(rng: random.Random) -> Json:
    toleration: Json = {"key": rng.choice(TAINTS)}
    if rng.random() < 0.5:
        toleration["operator"] = "Exists"
    else:
        toleration["value"] = rng.choice(("", "x", "y"))
    if rng.random() < 0.4:
        toleration["effect"] = rng.choice(EFFECTS)
    return toleration


def _term(nodes: list[str], rng: random.Random) -> Json:
    expressions = [_expression(rng) for _ in range(rng.choice((0, 1, 1, 2)))]
    fields = []
    if rng.random() < 0.15:
        operator = rng.choice(("In", "NotIn"))
        fields = [{"key": "metadata.name", "operator": operator, "values": [rng.choice(nodes)]}]
    return {"matchExpressions": expressions, "matchFields": fields}


def _expression(rng: random.Random) -> Json:
    operator = rng.choice(("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"))
    expression: Json = {"key": rng.choice(KEYS), "operator": operator}
    if operator in {"In", "NotIn"}:
        expression["values"] = rng.sample(VALUES, rng.choice((1, 2, 4)))
    elif operator in {"Gt", "Lt"}:
        expression["values"] = [rng.choice(("0", "1", "2", "6"))]
    return expression
