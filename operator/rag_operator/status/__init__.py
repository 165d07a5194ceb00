"""Status: one function for each condition, all of them on every pass, and `Ready` rolled up from the parts. Pure.

    Facts (observed, plan, problem, refusals, answers of the pods) --> conditions, columns, history, events, when to look again

A condition is never an input to a decision; earlier ones are read only to keep `lastTransitionTime` and to pace retries.
`Ready` is True only when every API pod itself reported what the spec declares, and Unknown when it could not be asked.
"""

from collections.abc import Mapping
from datetime import datetime

from ..api import Reason
from ..faults import short
from ..observed import Json, Unreadable
from .collections import collections_status, refresh_status
from .columns import columns
from .facts import FALSE, TRUE, UNKNOWN, Facts, Verdict
from .follow_up import eviction_hints, look_again, missing_collection, secret_reported_missing, touch_mark, transitions
from .model_fetch import fetch_status
from .revisions import revision_writes
from .rollup import OPTIONAL, PARTS, degraded, progressing, ready
from .stack import suspended

__all__ = [
    "Facts",
    "Verdict",
    "compute",
    "eviction_hints",
    "look_again",
    "missing_collection",
    "of_bug",
    "of_unreadable",
    "revision_writes",
    "secret_reported_missing",
    "touch_mark",
    "transitions",
]

ALWAYS = ("Ready", *(name for name, _ in PARTS if name not in OPTIONAL), "Progressing", "Degraded", "Suspended")
"""The conditions that every service has, in their order."""


def compute(facts: Facts) -> Json:
    """The whole status, as it is to be stored."""
    parts = {name: verdict for name, condition in PARTS if (verdict := condition(facts)) is not None}
    verdicts = {
        "Ready": ready(facts, parts),
        **parts,
        "Progressing": progressing(parts),
        "Degraded": degraded(facts, parts),
        "Suspended": suspended(facts),
    }
    body = facts.observed.body
    return {
        **columns(facts),
        **fetch_status(facts),
        **collections_status(facts),
        **refresh_status(facts),
        "observedGeneration": body["metadata"].get("generation", 0),
        "conditions": _stamped(verdicts, body, facts.now),
    }


def of_unreadable(unreadable: Unreadable, now: datetime) -> Json:
    """The status of an object that cannot be read: what runs is left as it is."""
    body = unreadable.body
    invalid = Verdict(FALSE, Reason.InvalidObject, short(unreadable.message))
    nothing = Verdict(UNKNOWN, Reason.InvalidObject, "The spec cannot be read.")
    verdicts = dict.fromkeys(ALWAYS, nothing) | {
        "Ready": invalid,
        "SpecValid": invalid,
        "Progressing": Verdict(FALSE, Reason.InvalidObject, "Waiting for an edit of the spec."),
        "Degraded": Verdict(TRUE, Reason.InvalidObject, "The spec cannot be read."),
    }
    kept = {key: value for key, value in (body.get("status") or {}).items() if key != "conditions"}
    return {
        **kept,
        "observedGeneration": body["metadata"].get("generation", 0),
        "conditions": _stamped(verdicts, body, now),
    }


def of_bug(body: Json, message: str, now: datetime) -> Json:
    """The stored status with `Ready` unknown: a pass failed in a way that nobody foresaw, so nothing is known. Of the other
    conditions the stored ones stay, with the generation that they are about."""
    stored = body.get("status") or {}
    generation = body["metadata"].get("generation", 0)
    before = {c["type"]: c for c in stored.get("conditions") or ()}
    missing = Verdict(UNKNOWN, Reason.InternalError, "Nothing is known yet: the condition Ready says why.")
    verdicts = {name: missing for name in ALWAYS if name not in before}
    verdicts["Ready"] = Verdict(UNKNOWN, Reason.InternalError, short(message))
    found = before | {c["type"]: c for c in _stamped(verdicts, body, now)}
    return {
        **stored,
        "observedGeneration": stored.get("observedGeneration", generation),
        "conditions": [*(found.pop(name) for name in ALWAYS), *found.values()],
    }


def _stamped(verdicts: Mapping[str, Verdict], body: Json, now: datetime) -> list[Json]:
    """Conditions with their times: the time of the last change of `status`, as the API conventions want it."""
    before = {c["type"]: c for c in (body.get("status") or {}).get("conditions") or ()}
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = []
    for name, verdict in verdicts.items():
        old = before.get(name, {})
        conditions.append(
            {
                "type": name,
                "status": verdict.status,
                "reason": str(verdict.reason),
                "message": verdict.message,
                "observedGeneration": body["metadata"].get("generation", 0),
                "lastTransitionTime": old["lastTransitionTime"] if old.get("status") == verdict.status else stamp,
            }
        )
    return conditions
