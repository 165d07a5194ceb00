"""What all faults share: how one is said, and when something that merely takes its time becomes one."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ..api.reasons import Reason
from ..observed import Pod

Json = Mapping[str, Any]

MAX_MESSAGE = 512
GRACE = timedelta(seconds=3)
"""A volume is made, a pod placed, a probe answered within this time; until then waiting for it is no fault."""
SLOW_START = timedelta(seconds=8)
"""A container may take this long to answer for the first time."""
RESTARTED = timedelta(seconds=10)
"""A container that was started anew this recently has not outlived what ended the one before it."""


class Fault(NamedTuple):
    """A reason of the closed list, and what to do."""

    reason: Reason
    message: str


def short(text: str) -> str:
    """One line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 3] + "..."


_PORTS = re.compile(r"\b(read|write) (tcp|udp) \S+->(\S+)")


def said(text: str) -> str:
    """Words of a program for use inside a sentence: short, without its last stop and without ports that change each time."""
    return short(_PORTS.sub(r"\1 \2 \3", text)).rstrip(". ")


def age(time: str | None, now: datetime) -> timedelta | None:
    """How long ago that was; None when nothing is known."""
    return None if time is None else now - datetime.fromisoformat(time)


def recent(time: str | None, now: datetime, limit: timedelta = GRACE) -> bool:
    """It was less than `limit` ago."""
    known = age(time, now)
    return known is not None and known < limit


def ripe_in(pods: Iterable[Pod], claims: Iterable[Json], now: datetime) -> float | None:
    """Seconds until one of these has waited, or run, long enough for another verdict although no event will tell.

    None when no time is running.
    """
    ends = [_end(claim["metadata"].get("creationTimestamp"), GRACE) for claim in claims if _pending(claim)]
    for pod in pods:
        ends += _ends_of(pod)
    left = [(end - now).total_seconds() for end in ends if end is not None and end > now]
    return min(left) + 0.1 if left else None


def _pending(claim: Json) -> bool:
    phase: str = (claim.get("status") or {}).get("phase", "Pending")
    return phase == "Pending"


def _ends_of(pod: Pod) -> list[datetime | None]:
    status = pod.raw.get("status") or {}
    if pod.ready or pod.ended:
        return []
    ends = [_end(status.get("startTime"), GRACE)]
    ends += [
        _end(condition.get("lastTransitionTime"), GRACE)
        for condition in status.get("conditions") or ()
        if condition["type"] == "PodScheduled" and condition["status"] == "False"
    ]
    for container in status.get("containerStatuses") or ():
        started = ((container.get("state") or {}).get("running") or {}).get("startedAt")
        ends += [_end(started, limit) for limit in (GRACE, SLOW_START, RESTARTED)]
    return ends


def _end(time: str | None, limit: timedelta) -> datetime | None:
    return None if time is None else datetime.fromisoformat(time) + limit
