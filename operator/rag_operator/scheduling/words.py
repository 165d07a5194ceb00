"""What is said when no node has room: the node, label, taint or number in question, and what to do. Stable, no times."""

from collections.abc import Mapping, Sequence

from .amounts import PODS
from .matching import NOWHERE
from .need import Need, Requirement
from .nodes import NO_USE, NodeFacts, NodeUse, Taint

MAX_NAMED = 5
STATES = "node.kubernetes.io/"


def is_state(taint: Taint) -> bool:
    """Put there by Kubernetes for the state of the node: cordoned, not ready, out of disk. Nobody should tolerate it."""
    return taint.key.startswith(STATES)


def not_offered(wanted: Sequence[str], offered: Sequence[str]) -> str:
    """No node has the device at all."""
    if not wanted:
        return "The cluster has no node."
    others = f" Nodes offer {_listed(offered)}." if offered else ""
    return (
        f"No node offers {' and '.join(wanted)}.{others} Install or repair the device plugin on the GPU nodes, or correct"
        " spec.model.vllm.gpu.resourceName."
    )


def no_match(nearest: NodeFacts, failing: Mapping[str, Sequence[Requirement]]) -> str:
    """Labels keep the pod from every node that has the device."""
    wrong = " and ".join(_failed(requirement, nearest) for requirement in failing[nearest.name][:MAX_NAMED])
    return (
        f"No GPU node matches; the nearest, {nearest.name}, fails: {wrong}. Correct gpu.product, nodeSelector or affinity in"
        " spec.model.vllm, or label a node."
    )


def _failed(requirement: Requirement, node: NodeFacts) -> str:
    if requirement == NOWHERE:
        return "an affinity without requirements holds nowhere"
    key, operator, values, of_field = requirement
    there = node.name if of_field else node.labels.get(key)
    has = "it has no such label" if there is None else f"it is {there}"
    if operator == "In" and len(values) == 1:
        return f"{key}={values[0]} ({has})"
    return f"{' '.join([key, operator, ','.join(values[:MAX_NAMED])]).strip()} ({has})"


def untolerated(nearest: NodeFacts, taints: Sequence[Taint]) -> str:
    """Taints keep the pod from every node that matches."""
    shown = " and ".join(str(taint) for taint in taints[:MAX_NAMED])
    if all(is_state(taint) for taint in taints):
        return f"Node {nearest.name} matches but takes no new pod: it has the taint {shown}. Repair or uncordon it, or add nodes."
    keys = " and ".join(f'"{taint.key}"' for taint in taints[:MAX_NAMED] if not is_state(taint))
    return (
        f"Node {nearest.name} matches but has the taint {shown}, which the model pods do not tolerate: add a toleration of"
        f" the key {keys} to spec.model.vllm.tolerations."
    )


def too_few(devices: Sequence[tuple[str, int]], nodes: Sequence[NodeFacts]) -> str:
    """No single node has that many."""
    name, wanted = max(devices, key=lambda device: device[1] - max(n.allocatable.get(device[0], 0) for n in nodes))
    biggest = max(nodes, key=lambda node: node.allocatable.get(name, 0))  # the first by name of equal ones
    return (
        f"A model pod needs {wanted} {name} on one node; the largest that matches, {biggest.name}, has"
        f" {biggest.allocatable.get(name, 0)}. Lower spec.model.vllm.gpu.count, or add a bigger node."
    )


def freed_soon(devices: Sequence[tuple[str, int]], node: NodeFacts) -> str:
    """Enough of it is held by pods on their way out."""
    names = " and ".join(name for name, _ in devices)
    return f"Node {node.name} frees enough {names} when the pods that are terminating there have ended."


def busy(devices: Sequence[tuple[str, int]], nodes: Sequence[NodeFacts], use: Mapping[str, NodeUse]) -> str:
    """They are there, and in use: by which namespaces and how many pods of each, no more."""
    name, wanted = _scarcest(devices, nodes, use)
    pods: dict[str, int] = {}
    for node in nodes:
        for namespace, count in use.get(node.name, NO_USE).holders.get(name, {}).items():
            pods[namespace] = pods.get(namespace, 0) + count
    ranked = sorted(pods.items(), key=lambda item: (-item[1], item[0]))
    holders = [f"{namespace} ({count} {_plural(count, 'pod')})" for namespace, count in ranked]
    total = sum(node.allocatable.get(name, 0) for node in nodes)
    where = f"the {len(nodes)} matching nodes have" if len(nodes) > 1 else f"the matching node {nodes[0].name} has"
    return (
        f"No node has {wanted} {name} free: {where} {total}, in use by namespace {_listed(holders)}."
        " Free some, lower another service's replicas, or add a node."
    )


def _scarcest(
    devices: Sequence[tuple[str, int]], nodes: Sequence[NodeFacts], use: Mapping[str, NodeUse]
) -> tuple[str, int]:
    """The device of which every node has too little left; where different ones are short, the first."""

    def best(name: str) -> int:
        return max(node.allocatable.get(name, 0) - use.get(node.name, NO_USE).taken.get(name, 0) for node in nodes)

    return next(((name, wanted) for name, wanted in devices if best(name) < wanted), devices[0])


def cramped(need: Need, nearest: NodeFacts, use: Mapping[str, NodeUse], short: Mapping[str, Sequence[str]]) -> str:
    """The device is free, but not enough of the ordinary resources beside it."""
    wants, taken = dict(need.requests), use.get(nearest.name, NO_USE).taken
    said = []
    for name in short[nearest.name]:
        left = max(0, nearest.allocatable.get(name, 0) - taken.get(name, 0))
        said.append(
            "no pod more" if name == PODS else f"{_shown(name, wants[name])} {name} (it has {_shown(name, left)})"
        )
    free = "a free GPU but lacks room" if need.devices else "too little room"
    return (
        f"Node {nearest.name} has {free}: it would have to take {' and '.join(said)}. Lower spec.model.vllm.resources, or"
        " free that node."
    )


def _shown(resource: str, value: int) -> str:
    if resource == "cpu":
        return f"{value}m" if value % 1000 else str(value // 1000)
    for unit, size in (("Gi", 1 << 30), ("Mi", 1 << 20)):
        if value >= size:
            return f"{value // size}{unit}"
    return str(value)


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def _listed(items: Sequence[str]) -> str:
    shown = ", ".join(items[:MAX_NAMED])
    more = len(items) - MAX_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
