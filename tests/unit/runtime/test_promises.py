"""Figures that are promised, as they are when nobody sets anything, and what keeps them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from rag_operator.controller import LONGEST_PASS_SECONDS, Controller
from rag_operator.runtime.client import SILENCE_SECONDS, WATCH_SECONDS, Client
from rag_operator.runtime.informer import Informer
from rag_operator.runtime.kinds import CONFIG_MAP
from rag_operator.runtime.lease import LeaderElection, LeaseTimes
from rag_operator.runtime.login import Login, Token
from rag_operator.runtime.metrics import Metrics
from rag_operator.runtime.workqueue import Level, WorkQueue
from rag_operator.settings import Settings

from .waiting import eventually

KEYS = [("team", "a"), ("team", "b")]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """Of a server that is not there."""
    async with Client(Login(server="http://127.0.0.1:9", tls=None, token=Token(lambda: None))) as made:
        yield made


def controller_with(client: Client, settings: Settings) -> Controller:
    """With caches that nobody fills, but for two RagServices; the queue is empty."""
    made = Controller(client, settings, Metrics("test"), lambda: datetime.now(UTC))
    for number, (namespace, name) in enumerate(KEYS, 7):
        metadata = {"namespace": namespace, "name": name, "uid": name, "resourceVersion": str(number)}
        made.services.absorb({"apiVersion": "v1", "kind": "RagService", "metadata": metadata}, quiet=True)
    for informer in made.informers.values():
        informer.synced.set()
    return made


async def test_a_silent_watch_is_begun_anew_within_75_seconds(client: Client) -> None:
    informer = Informer(client, CONFIG_MAP)
    assert SILENCE_SECONDS + informer._backoff.next() <= 75
    assert client._transport._watch_timeout.sock_read == SILENCE_SECONDS
    assert WATCH_SECONDS < SILENCE_SECONDS, "the server ends a watch in order before"


async def test_the_times_of_the_lease_are_those_of_kubernetes(client: Client) -> None:
    """15, 10 and 2 s, as client-go's. The call in which a renewal hangs leaves time for another one."""
    election = LeaderElection(client, "team", "a", "one", now=lambda: datetime.now(UTC), lost=lambda: None)
    assert LeaseTimes(duration=15.0, renew=10.0, retry=2.0, call=3.0) == election.times


async def test_a_resync_keeps_nobody_waiting(client: Client) -> None:
    controller = controller_with(client, Settings(resync_seconds=1))
    task = asyncio.create_task(controller.resync())
    await eventually(2, lambda: controller.queue.depth)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    follows, wanted = ("team", "follows"), ("team", "wanted")
    controller.queue.add(follows, level=Level.FOLLOW)
    controller.queue.add(wanted)
    assert [wanted, follows, *KEYS] == [(await controller.queue.take()).key for _ in range(4)]


async def test_a_pass_that_does_not_end_is_a_fault(client: Client) -> None:
    controller, now = controller_with(client, Settings()), 1000.0
    controller.queue = WorkQueue(clock=lambda: now)
    controller.queue.add(KEYS[0])
    await controller.queue.take()
    now += LONGEST_PASS_SECONDS - 1
    assert [] == controller.faults()
    now += 2
    assert ["a pass does not end"] == controller.faults()
    controller.queue.done(KEYS[0])
    assert [] == controller.faults()
