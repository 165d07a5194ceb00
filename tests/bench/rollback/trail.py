"""Where the time of a move goes, by the API server's own audit log.

kubectl starts -> patch received -> release table stored -> last pod told to look -> last pod answers
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from .moves import Taken
from .stage import NAME

Json = Mapping[str, Any]


class Parts(NamedTuple):
    """Seconds of one move. They add up to its time."""

    kubectl: float
    operator: float
    telling: float
    loading: float


NAMES = (
    "kubectl's start, until the API server has its patch",
    "the operator's pass, until the table is stored",
    "until the last pod is told to look at once",
    "kubelet and API process, until the last pod answers",
)


def parts(taken: Iterable[Taken], events: Sequence[Json], namespace: str, operator: str) -> list[Parts]:
    """Of every move of which all writes are found."""
    written = [event for event in events if event["verb"] == "patch" and "objectRef" in event]
    written = [event for event in written if event["objectRef"].get("namespace") == namespace]
    found = []
    for move in taken:
        begun, answered = move.began, move.began + move.seconds
        during = [event for event in written if begun <= _time(event, "stageTimestamp") <= answered]
        asked = _times(during, "ragservices", NAME, "requestReceivedTimestamp", other_than=operator)
        stored = _times(during, "configmaps", f"{NAME}-releases", "stageTimestamp")
        told = _times(during, "pods", "", "stageTimestamp")
        if asked and stored and told:
            steps = [begun, min(asked), min(stored), max(told), answered]
            found.append(Parts(*(after - before for before, after in pairwise(steps))))
    return found


def _times(events: Iterable[Json], kind: str, name: str, stamp: str, other_than: str = "") -> list[float]:
    """When objects of this kind were written, and no part of them such as a status. An empty name means any."""
    return [
        _time(event, stamp)
        for event in events
        if (event["objectRef"]["resource"], event["objectRef"].get("subresource")) == (kind, None)
        and name in {"", event["objectRef"].get("name")}
        and event["user"]["username"] != other_than
    ]


def _time(event: Json, stamp: str) -> float:
    return datetime.fromisoformat(event[stamp]).timestamp()
