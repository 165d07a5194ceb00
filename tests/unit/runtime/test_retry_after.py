"""A server that asks to be left alone is left alone by all of us, whoever heard it first."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from rag_operator.runtime.client import ApiError, Client
from rag_operator.runtime.kinds import CONFIG_MAP
from rag_operator.runtime.login import Login
from rag_operator.runtime.transport import AT_ONCE
from rag_operator.runtime.workers import Outcome, Workers
from rag_operator.runtime.workqueue import CAP_SECONDS, WorkQueue

from .server_double import COLLECTION, ServerDouble, running, status
from .waiting import eventually

ONE = f"{COLLECTION}/a"


@pytest.fixture
async def server() -> AsyncIterator[tuple[ServerDouble, Login]]:
    async with running() as (double, login):
        double.put("a", "stored")
        yield double, login


@pytest.fixture
async def client(server: tuple[ServerDouble, Login]) -> AsyncIterator[Client]:
    async with Client(server[1]) as made:
        yield made


@pytest.fixture
def double(server: tuple[ServerDouble, Login]) -> ServerDouble:
    return server[0]


async def next_one_waits(client: Client, double: ServerDouble) -> bool:
    """Whether a request of somebody else that is wanted now is sent a second later than the last one."""
    refused = double.seen[-1][0]
    await client.get(ONE)
    return double.seen[-1][0] - refused >= 1.0


async def test_a_request_that_waited_for_a_slot_looks_anew(client: Client, double: ServerDouble) -> None:
    double.answers.extend(status(429, "TooManyRequests", {"Retry-After": "1"}) for _ in range(AT_ONCE))
    await asyncio.gather(*(client.get(ONE) for _ in range(3 * AT_ONCE)))
    times = [entry[0] for entry in double.seen]
    assert 4 * AT_ONCE == len(times)
    assert AT_ONCE >= sum(time < times[0] + 1.0 for time in times)


async def test_the_last_refusal_of_a_request_is_heard_too(client: Client, double: ServerDouble) -> None:
    double.answers.extend(status(429, "TooManyRequests", {"Retry-After": wait}) for wait in "00001")
    with pytest.raises(ApiError):
        await client.get(ONE)
    assert await next_one_waits(client, double)


async def test_what_a_watch_is_told_is_heard_by_all(client: Client, double: ServerDouble) -> None:
    double.watch_faults.append(429)
    with pytest.raises(ApiError):
        await anext(client.watch(CONFIG_MAP, "team", resource_version="1"))
    assert await next_one_waits(client, double)


async def test_what_the_lease_is_told_is_heard_by_all(client: Client, double: ServerDouble) -> None:
    double.answers.append(status(429, "TooManyRequests", {"Retry-After": "1"}))
    with pytest.raises(ApiError):
        await client.get(ONE, urgent=True)
    assert await next_one_waits(client, double)


@pytest.mark.parametrize(("asked", "least"), [(100.0, 100.0), (1e9, CAP_SECONDS)])
async def test_a_key_comes_back_when_the_server_wants_it(asked: float, least: float) -> None:
    """A 503 says it for what was asked for, and not for all: its key waits, up to the cap."""
    now = 1000.0
    queue: WorkQueue[str] = WorkQueue(clock=lambda: now)
    told: list[Outcome] = []

    async def refused(key: str) -> float | None:
        raise ApiError(503, "ServiceUnavailable", retry_after=asked)

    run = asyncio.create_task(Workers(queue, refused, on_outcome=lambda key, outcome: told.append(outcome)).run(1))
    queue.add("a")
    await eventually(1, lambda: len(told))
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    now += least - 0.1
    assert 0 == queue.depth
    now += least * 0.1 + 0.2
    assert 1 == queue.depth
