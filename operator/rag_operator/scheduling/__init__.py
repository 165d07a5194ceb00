"""Where GPU pods fit: what the scheduler would say and why, and how a roll-out goes when GPUs are scarce. Pure.

Node objects + pods on them --> facts --> explain(need) --> verdict --> strategy, condition GpuSchedulable
"""

from .strategy import RollOut, Strategy, Wish, choose, deployment_strategy

__all__ = ["RollOut", "Strategy", "Wish", "choose", "deployment_strategy"]
