"""A burst of changes is told in one status; a Ready that turns is told at once."""

from typing import Any

import pytest
from rag_operator.cluster import KubernetesCluster
from rag_operator.cluster.statuses import PACE_SECONDS
from rag_operator.paper import Paper, PaperClient
from rag_operator.settings import Settings

from .world import service

Json = dict[str, Any]


class CacheDouble:
    """Takes everything over."""

    def get(self, namespace: str, name: str) -> Json | None:
        return None

    def by_owner_key(self, owner: str) -> list[Json]:
        return []

    def absorb(self, obj: Json, *, quiet: bool = False) -> None:
        """Nobody asks for it."""


def status(ready: str, reason: str, generation: int = 1) -> Json:
    return {"observedGeneration": generation, "conditions": [{"type": "Ready", "status": ready, "reason": reason}]}


@pytest.mark.parametrize(
    ("wanted", "waits"),
    [
        (status("False", "Other"), True),
        (status("False", "First"), False),
        (status("True", "AllChecksPassed"), False),
    ],
    ids=["another reason", "no change", "Ready turns"],
)
async def test_a_status_after_a_status(wanted: Json, waits: bool) -> None:
    body = service()
    cluster = KubernetesCluster(PaperClient(Paper([body])), {"RagService": CacheDouble()}, Settings())
    first = status("False", "First")
    assert cluster.status_due(body, first) == 0
    assert await cluster.write_status(body, first)
    due = cluster.status_due({**body, "status": first}, wanted)
    assert (0 < due <= PACE_SECONDS) is waits
    assert due == 0 or waits


@pytest.mark.parametrize(("generation", "waits"), [(2, False), (1, True)], ids=["of this spec", "of an earlier spec"])
async def test_a_ready_that_turns_false_right_after_a_write(generation: int, waits: bool) -> None:
    """A status about an earlier spec claims nothing about this one, so the children's controllers get their moment."""
    body = service()
    cluster = KubernetesCluster(PaperClient(Paper([body])), {"RagService": CacheDouble()}, Settings())
    body["metadata"]["generation"] = 2
    assert await cluster.write_status(body, status("True", "Old", 1))
    body["status"] = status("True", "Old", generation)
    assert (cluster.status_due(body, status("False", "RollingOut", 2)) > 0) is waits
    assert 0 == cluster.status_due(body, status("True", "New", 2))
