"""Labels and taints, as the scheduler compares them.

Sources: k8s.io/apimachinery labels.Requirement, k8s.io/component-helpers nodeaffinity and corev1 helpers (tolerations),
the scheduler's plugins NodeAffinity, NodeUnschedulable and TaintToleration.
"""

import re
from collections.abc import Iterable

from .need import Need, Requirement, Term, Toleration
from .nodes import NodeFacts, Taint

_INTEGER = re.compile(r"[+-]?[0-9]+")
_INT64 = 1 << 63
CORDONED = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")


def unmet(need: Need, node: NodeFacts) -> list[Requirement]:
    """The requirements on labels that the node fails; of alternatives, those of the nearest one."""
    failing = [requirement for requirement in need.selector if not holds(requirement, node)]
    if need.terms is None:
        return failing
    return failing + min((_failing(term, node) for term in need.terms), key=len, default=[NOWHERE])


NOWHERE = Requirement("", "In")
"""Of a required affinity without any requirement: it holds on no node."""


def _failing(term: Term, node: NodeFacts) -> list[Requirement]:
    return [requirement for requirement in term if not holds(requirement, node)] if term else [NOWHERE]


def holds(requirement: Requirement, node: NodeFacts) -> bool:
    """Whether a node has what the requirement asks of its labels or its name. An unknown operator holds nowhere."""
    key, operator, values, of_field = requirement
    value = (node.name if key == "metadata.name" else None) if of_field else node.labels.get(key)
    match operator:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return _compared(operator, value, values)
    return False


def _compared(operator: str, value: str | None, values: tuple[str, ...]) -> bool:
    there, bound = _integer(value), _integer(values[0] if len(values) == 1 else None)
    if there is None or bound is None:
        return False
    return there > bound if operator == "Gt" else there < bound


def _integer(text: str | None) -> int | None:
    """As Go reads a 64-bit integer: no spaces and no underscores, unlike Python."""
    if text is None or not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if -_INT64 <= number < _INT64 else None


def repelling(need: Need, node: NodeFacts) -> list[Taint]:
    """The taints that keep the pod away; a cordoned node counts as tainted, whether the taint is there yet or not."""
    taints = [taint for taint in node.taints if taint.repels]
    if node.unschedulable and CORDONED not in taints:
        taints.append(CORDONED)
    return [taint for taint in taints if not tolerated(taint, need.tolerations)]


def tolerated(taint: Taint, tolerations: Iterable[Toleration]) -> bool:
    """Whether one of them covers the taint."""
    return any(_covers(toleration, taint) for toleration in tolerations)


def _covers(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    return toleration.operator == "Exists" or (toleration.operator == "Equal" and toleration.value == taint.value)
