"""Moves: what was served, and what is now. Read from two statuses of one RagService, so that events and metrics tell the same.

    status before, status after --> Move(kind, result, words)

confirmed   every API pod has said that it serves another revision
refused     what was asked for cannot be served: a version name with other content, or a target that is not kept
"""

from typing import NamedTuple

from ..api import Reason
from ..observed import Json, condition_of
from .facts import FALSE

CONFIRMED, REFUSED = "confirmed", "refused"
FIRST, REVISION = "first", "revision"
PARTS = {"prompt": ("prompt", "promptHash"), "index": ("index", "collection"), "model": ("model",)}
"""By kind: fields of status that tell whether that part is another one; the first is the one for people."""
REFUSALS = {
    Reason.PromptVersionReused: "prompt",
    Reason.IndexVersionReused: "index",
    Reason.RollbackTargetUnknown: REVISION,
}


class Move(NamedTuple):
    """`kind` is the part that changed: prompt, index or model; revision for several or for none of them (retrieval, image), and
    first for the first release. `event` is reason and message for people, None where the conditions' own events tell it."""

    kind: str
    result: str
    event: tuple[str, str] | None = None


def move(before: Json, after: Json) -> Move | None:
    """What happened between two statuses; None for nothing."""
    number = after.get("revision")
    if number is not None and number != before.get("revision"):
        return _confirmed(number, before, after)
    return _refused(before, after)


def _confirmed(number: int, before: Json, after: Json) -> Move:
    asked = str((after.get("release") or {}).get("asked", ""))
    back = asked.startswith("rollback")
    words = f"Revision {number} is served by every API pod"
    changed = [kind for kind, fields in PARTS.items() if any(before.get(f) != after.get(f) for f in fields)]
    if before.get("revision") is None:
        kind, told = FIRST, ""
    else:
        whole = len(changed) != 1 or asked.startswith("rollback to revision")
        kind = REVISION if whole else changed[0]
        told = f", instead of revision {before['revision']}"
    for part in changed if told else ():
        told += f"; {part} {after.get(part)} instead of {before.get(part)}"
    why = f" It was asked for by spec.rollback: {asked.removeprefix('rollback to ')}." if back else ""
    reason = Reason.RolledBack if back else Reason.Settled
    return Move(kind, CONFIRMED, (str(reason), f"{words}{told}.{why}"))


def _refused(before: Json, after: Json) -> Move | None:
    """SpecValid has turned to one of the refusals, or from one to another."""
    was, now = condition_of(before, "SpecValid"), condition_of(after, "SpecValid")
    if now is None or now["status"] != FALSE or now["reason"] not in REFUSALS:
        return None
    if was is not None and (was["status"], was["reason"]) == (FALSE, now["reason"]):
        return None
    return Move(REFUSALS[Reason(now["reason"])], REFUSED)
