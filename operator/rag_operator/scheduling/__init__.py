"""Where GPU pods fit: what the scheduler would say and why, and how a roll-out goes when GPUs are scarce. Pure.

Node objects + pods on them --> facts --> explain(need) --> verdict --> strategy, condition GpuSchedulable
"""

from .cluster_nodes import ClusterNodes
from .explain import Placement, explain, fits
from .need import Need, Requirement, Toleration, need_of
from .nodes import NodeFacts, NodeUse, PodUse, Taint, node_facts, node_use, pod_use
from .strategy import COSTS, RollOut, Strategy, Wish, choose, deployment_strategy

__all__ = [
    "COSTS",
    "ClusterNodes",
    "Need",
    "NodeFacts",
    "NodeUse",
    "Placement",
    "PodUse",
    "Requirement",
    "RollOut",
    "Strategy",
    "Taint",
    "Toleration",
    "Wish",
    "choose",
    "deployment_strategy",
    "explain",
    "fits",
    "need_of",
    "node_facts",
    "node_use",
    "pod_use",
]
