"""Would the scheduler find a node for one more pod, and if not: what stands in the way, and what to do about it.

    nodes --has the device?--> --labels match?--> --taints tolerated?--> --big enough?--> --free?--> --CPU, memory free?--> fits

The first step that no node survives is the reason. What the scheduler asks beside these (volumes, host ports, spread,
affinity between pods, devices by claims, pre-emption) is not looked at: then its own message is shown.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..api.reasons import Reason
from . import matching, words
from .amounts import PODS
from .need import Need
from .nodes import NO_USE, NodeFacts, NodeUse

Uses = Mapping[str, NodeUse]
Step = Callable[[Need, Sequence[NodeFacts], Uses], "tuple[Sequence[NodeFacts], Placement | None]"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Why one more pod does not fit now and what to do, or, without a `reason`, the names of the `nodes` that have room."""

    reason: Reason | None
    message: str
    nodes: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """A node has room."""
        return self.reason is None


def explain(need: Need, nodes: Sequence[NodeFacts], use: Uses) -> Placement:
    """The verdict for one more pod with this need. Nodes are looked at by name, so that equal clusters give equal words."""
    left: Sequence[NodeFacts] = sorted(nodes, key=lambda node: node.name)
    for step in STEPS:
        left, obstacle = step(need, left, use)
        if obstacle is not None:
            return obstacle
    return Placement(None, "A node has room for one more model pod.", tuple(node.name for node in left))


def fits(need: Need, node: NodeFacts, use: NodeUse) -> bool:
    """The whole question for one node, without words."""
    return not (matching.unmet(need, node) or matching.repelling(need, node) or lacking(need, node, use.taken))


def lacking(need: Need, node: NodeFacts, taken: Mapping[str, int]) -> list[str]:
    """The resources of which the node has too little left; `pods` when it may hold no more."""
    there = node.allocatable
    short = [name for name, value in need.requests if value > there.get(name, 0) - taken.get(name, 0)]
    return [PODS, *short] if taken.get(PODS, 0) + 1 > there.get(PODS, 0) else short


def _with_device(need: Need, nodes: Sequence[NodeFacts], use: Uses) -> tuple[Sequence[NodeFacts], Placement | None]:
    wanted = [name for name, _ in need.devices]
    left = [node for node in nodes if all(node.allocatable.get(name) for name in wanted)]
    offered = sorted({device for node in nodes for device in node.devices} - set(wanted))
    return left, _none(left, Reason.GpuNotOffered, words.not_offered, wanted, offered)


def _matching(need: Need, nodes: Sequence[NodeFacts], use: Uses) -> tuple[Sequence[NodeFacts], Placement | None]:
    failing = {node.name: matching.unmet(need, node) for node in nodes}
    left = [node for node in nodes if not failing[node.name]]
    nearest = min(nodes, key=lambda node: (len(failing[node.name]), node.name), default=None)
    return left, _none(left, Reason.NoMatchingNode, words.no_match, nearest, failing)


def _tolerated(need: Need, nodes: Sequence[NodeFacts], use: Uses) -> tuple[Sequence[NodeFacts], Placement | None]:
    repelling = {node.name: matching.repelling(need, node) for node in nodes}
    left = [node for node in nodes if not repelling[node.name]]

    def distance(node: NodeFacts) -> tuple[int, bool, str]:
        """A taint that a toleration can cover is nearer than a node that is out of order."""
        return len(repelling[node.name]), any(map(words.is_state, repelling[node.name])), node.name

    nearest = min(nodes, key=distance, default=None)
    taints = repelling[nearest.name] if nearest else []
    ours = all(words.is_state(taint) for taint in taints)
    reason = Reason.NodeUnavailable if ours else Reason.UntoleratedTaint
    return left, _none(left, reason, words.untolerated, nearest, taints)


def _big_enough(need: Need, nodes: Sequence[NodeFacts], use: Uses) -> tuple[Sequence[NodeFacts], Placement | None]:
    left = [node for node in nodes if all(node.allocatable.get(name, 0) >= value for name, value in need.devices)]
    return left, _none(left, Reason.InsufficientGpu, words.too_few, need.devices, nodes)


def _free(need: Need, nodes: Sequence[NodeFacts], use: Uses) -> tuple[Sequence[NodeFacts], Placement | None]:
    left = [node for node in nodes if _devices_free(need, node, use)]
    soon = next((node for node in nodes if _devices_free(need, node, use, after_leaving=True)), None)
    if soon is not None:
        return left, _none(left, Reason.GpuFreedSoon, words.freed_soon, need.devices, soon)
    return left, _none(left, Reason.GpusBusy, words.busy, need.devices, nodes, use)


def _devices_free(need: Need, node: NodeFacts, use: Uses, *, after_leaving: bool = False) -> bool:
    now = use.get(node.name, NO_USE)
    return all(
        node.allocatable.get(name, 0) - now.taken.get(name, 0) + after_leaving * now.leaving.get(name, 0) >= value
        for name, value in need.devices
    )


def _roomy(need: Need, nodes: Sequence[NodeFacts], use: Uses) -> tuple[Sequence[NodeFacts], Placement | None]:
    short = {node.name: lacking(need, node, use.get(node.name, NO_USE).taken) for node in nodes}
    left = [node for node in nodes if not short[node.name]]
    nearest = min(nodes, key=lambda node: (len(short[node.name]), node.name), default=None)
    return left, _none(left, Reason.InsufficientResources, words.cramped, need, nearest, use, short)


STEPS: tuple[Step, ...] = (_with_device, _matching, _tolerated, _big_enough, _free, _roomy)


def _none(left: Sequence[NodeFacts], reason: Reason, say: Callable[..., str], *facts: Any) -> Placement | None:
    """The obstacle, when no node is left."""
    return None if left else Placement(reason, say(*facts))
