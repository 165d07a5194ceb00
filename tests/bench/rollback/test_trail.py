"""The steps of a move are found in the audit log and add up to its time."""

from datetime import UTC, datetime
from typing import Any

import pytest

from .moves import Taken
from .trail import Parts, parts

OPERATOR, SPACE, BEGAN = "operator", "space", 1_800_000_000.0


def written(kind: str, name: str, after: float, *, by: str = OPERATOR, **changes: Any) -> dict[str, Any]:
    """An event of the audit log, `after` seconds after the move began."""
    stamp = datetime.fromtimestamp(BEGAN + after, UTC).isoformat().replace("+00:00", "Z")
    where = {"resource": kind, "name": name, "namespace": SPACE}
    times = {"requestReceivedTimestamp": stamp, "stageTimestamp": stamp}
    return {"verb": "patch", "objectRef": where | changes, "user": {"username": by}, **times}


EVENTS = [
    {"verb": "get", "user": {"username": "probe"}, "stageTimestamp": "2026-01-01T00:00:00Z"},
    written("ragservices", "faq", 0.125, by="admin"),
    written("ragservices", "faq", 0.25, subresource="status"),
    written("configmaps", "faq-releases", 0.25, namespace="elsewhere"),
    written("configmaps", "faq-releases", 0.375),
    written("pods", "faq-api-1", 0.5),
    written("pods", "faq-api-2", 0.625),
    written("pods", "faq-api-2", 3.0),
]
MOVE = Taken("prompt", BEGAN, 0.25, (0.75, 1.0))


def test_the_steps_add_up_to_the_time_of_the_move() -> None:
    (found,) = parts([MOVE], EVENTS, SPACE, OPERATOR)
    assert Parts(0.125, 0.25, 0.25, 0.375) == pytest.approx(found)
    assert sum(found) == pytest.approx(MOVE.seconds)


def test_a_move_without_all_its_writes_is_left_out() -> None:
    assert [] == parts([MOVE], EVENTS[:5], SPACE, OPERATOR)
