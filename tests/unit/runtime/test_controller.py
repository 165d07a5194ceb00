"""The wiring: what a second witness leads to, and what is told of a stuck loop."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from rag_operator.controller import STUCK_SECONDS, WITNESS_SECONDS, Controller
from rag_operator.runtime.client import Client
from rag_operator.runtime.login import Login, Token
from rag_operator.runtime.metrics import Metrics
from rag_operator.settings import Settings

KEY = ("team", "handbook")
SERVICE = {
    "apiVersion": "ragserving.dev/v1alpha1",
    "kind": "RagService",
    "metadata": {"namespace": "team", "name": "handbook", "uid": "u", "resourceVersion": "7"},
}


@pytest.fixture
async def controller() -> AsyncIterator[Controller]:
    """With caches that nobody fills: no informer runs."""
    login = Login(server="http://127.0.0.1:9", tls=None, token=Token(lambda: None))
    async with Client(login) as client:
        yield Controller(client, Settings(), Metrics("test"), lambda: datetime.now(UTC))


async def keys(controller: Controller) -> list[tuple[str, str]]:
    """What is in the queue now."""
    state = controller.queue.state()
    return [*state["ready"], *state["later"]]


async def test_a_change_of_a_parent_or_child_queues_the_service(controller: Controller) -> None:
    controller.services.absorb(SERVICE)
    assert [KEY] == await keys(controller)
    labels = {"ragserving.dev/service": "other"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**SERVICE["metadata"], "name": "p", "labels": labels}}  # type: ignore[dict-item]
    controller.informers["Pod"].absorb(pod)
    assert [KEY, ("team", "other")] == await keys(controller)


async def test_a_witness_that_the_cache_keeps_up_with_changes_nothing(controller: Controller) -> None:
    controller.witness(KEY, 9)
    controller.services._version = 9  # as when the event comes a moment later
    await asyncio.sleep(WITNESS_SECONDS + 0.1)
    assert [] == await keys(controller)
    assert not controller.services._relist.is_set()


async def test_a_witness_that_the_cache_stays_behind_leads_to_a_comparison(controller: Controller) -> None:
    controller.witness(KEY, 9)
    await asyncio.sleep(WITNESS_SECONDS + 0.1)
    assert [KEY] == await keys(controller)
    assert controller.services._relist.is_set()


async def test_the_state_names_what_is_cached_and_its_version_and_nothing_else(controller: Controller) -> None:
    controller.services.absorb(SERVICE)
    state = controller.state()
    assert {"team/handbook": "7"} == state["caches"]["RagService"]["versions"]
    assert {} == state["caches"]["Pod"]["versions"]
    assert "spec" not in json.dumps(state)


async def test_a_cache_that_does_nothing_is_a_fault(controller: Controller) -> None:
    assert [] == controller.faults()
    controller.services.last_activity -= STUCK_SECONDS + 1
    assert ["the cache of RagService does nothing"] == controller.faults()
