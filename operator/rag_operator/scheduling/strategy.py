"""How a model server's pods are exchanged when GPUs are scarce: the choice, why, and what it costs. Pure.

    free GPU for one more pod --> Surge
    else 2 or more replicas   --> OneByOne
    else                      --> Recreate

A volume that one node alone may mount forces Recreate. Who demands a surge for which no GPU is free gets Blocked, and so does
a change that would find no place even without the old pods: the new pod waits, and what serves is left alone.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Json = dict[str, Any]


class RollOut(StrEnum):
    """How pods of the old template give way to those of the new one."""

    SURGE = "Surge"
    ONE_BY_ONE = "OneByOne"
    RECREATE = "Recreate"
    BLOCKED = "Blocked"


class Wish(StrEnum):
    """What the user asked for: `spec.model.vllm.strategy`."""

    AUTO = "Auto"
    SURGE = "Surge"
    REPLACE = "Replace"


@dataclass(frozen=True, slots=True)
class Strategy:
    """The choice. `why` and `cost` are sentences for people, without numbers that change while nothing happens."""

    kind: RollOut
    why: str
    cost: str

    def deployment(self) -> Json:
        """`spec.strategy` of a Deployment. Blocked is rendered as a surge: its new pod waits beside what serves."""
        return deployment_strategy(self.kind)

    def said(self) -> str:
        """Choice, reason and cost in one line."""
        return f"{self.kind}: {self.why} {self.cost}"


def deployment_strategy(kind: RollOut) -> Json:
    """`spec.strategy` of a Deployment for this way of rolling out."""
    if kind is RollOut.RECREATE:
        return {"type": "Recreate"}
    surge = kind is not RollOut.ONE_BY_ONE
    update = {"maxSurge": 1, "maxUnavailable": 0} if surge else {"maxSurge": 0, "maxUnavailable": 1}
    return {"type": "RollingUpdate", "rollingUpdate": update}


COSTS = {
    RollOut.SURGE: "A change takes one GPU pod more for the time of a load; no request is lost.",
    RollOut.ONE_BY_ONE: "A change runs with one replica less for the time of each load; no outage.",
    RollOut.RECREATE: "A change is an outage of the model: the old pod's drain and the new one's load.",
    RollOut.BLOCKED: "A change waits; what serves goes on serving.",
}


def choose(wish: Wish, replicas: int, *, exclusive_cache: bool, room: bool | None, obstacle: str = "") -> Strategy:
    """The way to roll out.

    `exclusive_cache`: the cache's volume can be mounted on one node alone (ReadWriteOnce). `room`: one more pod finds a place
    now; None when nobody may look, then a surge is tried until the scheduler refuses it. `obstacle`: why a new pod would
    find no place even when an old one has left; then nothing that serves is given up for it.
    """
    if exclusive_cache:
        kind, why = RollOut.RECREATE, "spec.model.vllm.cache.accessMode lets one pod at a time mount the model cache."
    elif wish is Wish.REPLACE:
        kind = RollOut.ONE_BY_ONE if replicas > 1 else RollOut.RECREATE
        why = "spec.model.vllm.strategy is Replace."
    elif room is None:
        kind, why = RollOut.SURGE, "The operator may not look at nodes, so the scheduler decides."
    elif room:
        kind, why = RollOut.SURGE, "A matching node has room for one more pod."
    elif obstacle:
        kind, why = RollOut.BLOCKED, f"A new pod would find no place even without an old one: {obstacle}"
    elif wish is Wish.SURGE:
        kind, why = RollOut.BLOCKED, BLOCKED_WHY
    elif replicas > 1:
        kind, why = RollOut.ONE_BY_ONE, "No matching GPU is free for one more pod."
    else:
        kind, why = RollOut.RECREATE, "No matching GPU is free for one more pod, and there is one replica."
    return Strategy(kind, why, COSTS[kind])


BLOCKED_WHY = (
    "spec.model.vllm.strategy is Surge and no matching GPU is free: free one, add a node, or set it to Replace."
)
