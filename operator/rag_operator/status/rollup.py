"""Conditions about the other conditions: Ready, Progressing, Degraded."""

from collections.abc import Callable, Mapping

from ..api import Reason
from .facts import FALSE, TRUE, UNDER_WAY, UNKNOWN, Facts, Verdict, is_suspended
from .gpu import gpu_schedulable
from .index import index_ready
from .model import model_ready
from .release import release_settled
from .stack import api_ready, spec_valid, vector_store_ready

PARTS: tuple[tuple[str, Callable[[Facts], Verdict | None]], ...] = (
    ("SpecValid", spec_valid),
    ("VectorStoreReady", vector_store_ready),
    ("IndexReady", index_ready),
    ("GpuSchedulable", gpu_schedulable),
    ("ModelReady", model_ready),
    ("ApiReady", api_ready),
    ("ReleaseSettled", release_settled),
)
OPTIONAL = frozenset({"GpuSchedulable"})
"""Parts that a service may be without: then they have no condition."""


def ready(facts: Facts, parts: Mapping[str, Verdict]) -> Verdict:
    """True when all parts are; else the most telling part: what is wrong, then what is under way, then what is unknown."""
    if facts.suspended and parts["SpecValid"].status == TRUE:
        return is_suspended()
    open_parts = [part for part in parts.values() if part.status != TRUE]
    if not open_parts:
        return Verdict(TRUE, Reason.AllChecksPassed, "Every part is as declared and every API pod has said so.")
    return min(open_parts, key=_rank)


def _rank(verdict: Verdict) -> int:
    """0: wrong, 1: under way, 2: unknown."""
    if verdict.status == UNKNOWN:
        return 2
    return 1 if verdict.reason in UNDER_WAY else 0


def progressing(parts: Mapping[str, Verdict]) -> Verdict:
    """True while something changes towards what is declared without anybody's help."""
    for verdict in parts.values():
        if verdict.status != TRUE and verdict.reason in UNDER_WAY:
            return Verdict(TRUE, verdict.reason, verdict.message)
    return Verdict(FALSE, Reason.Settled, "Nothing is under way.")


def degraded(facts: Facts, parts: Mapping[str, Verdict]) -> Verdict:
    """True when something is wrong, with a word on whether questions are still answered."""
    wrong = [part for part in parts.values() if part.status != TRUE and _rank(part) == 0]
    if facts.suspended or not wrong:
        return Verdict(FALSE, Reason.NotDegraded, "Nothing is wrong.")
    now, answering = facts.plan.serving, any(pod.ready for pod in facts.api_pods)
    still = f" Revision {now.number} goes on serving." if now and answering else " No questions are answered."
    return Verdict(TRUE, wrong[0].reason, wrong[0].message + still)
