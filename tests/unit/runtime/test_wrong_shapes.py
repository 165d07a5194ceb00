"""Good JSON with status 200 that is not what was asked for, as a proxy or another server gives it: it ends nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from rag_operator.runtime.client import Client, Unreachable
from rag_operator.runtime.errors import ApiError
from rag_operator.runtime.kinds import CONFIG_MAP
from rag_operator.runtime.lease import LeaderElection, LeaseTimes

from .informer_stage import stage
from .server_double import ServerDouble, running, write
from .waiting import eventually

VERSION = {"resourceVersion": "500"}
LISTS: list[Any] = [
    {"hello": 1},
    {"metadata": 3},
    {"metadata": {}},
    {"metadata": {"resourceVersion": "new"}},
    {"metadata": {"resourceVersion": 500}},
    {"metadata": {**VERSION, "continue": 7}, "items": []},
    {"metadata": VERSION, "items": {"a": 1}},
    {"metadata": VERSION, "items": ["a"]},
    {"metadata": VERSION, "items": [{"data": {}}]},
    {"metadata": VERSION, "items": [{"metadata": {"name": "a"}}]},
    {"metadata": VERSION, "items": [{"metadata": {"name": ["a"], **VERSION}}]},
]
EVENTS: list[Any] = [
    {"object": {"metadata": {"name": "a", **VERSION}}},
    {"type": ["MODIFIED"], "object": {"metadata": {"name": "a", **VERSION}}},
    {"type": "MODIFIED", "object": "a"},
    {"type": "MODIFIED", "object": {"metadata": "a"}},
    {"type": "MODIFIED", "object": {"metadata": VERSION}},
    {"type": "DELETED", "object": {"metadata": VERSION}},
    {"type": "BOOKMARK", "object": {"metadata": {}}},
    {"type": "ERROR", "object": "a"},
    {"type": "ERROR", "object": {"code": "x", "details": ["y"]}},
]
OBJECTS: list[Any] = [{"ok": True}, {"metadata": 3}, {"metadata": {"name": "a"}}, {"metadata": VERSION}]


@pytest.mark.parametrize("answer", LISTS, ids=str)
async def test_a_list_that_is_none_is_asked_for_again(answer: Any) -> None:
    async with stage("a", "b") as it:
        it.server.put("a", "new", silently=True)
        it.server.answers.append(web.json_response(answer))
        it.informer.resync()
        await it.becomes(a="new", b="old")


@pytest.mark.parametrize("event", EVENTS, ids=str)
async def test_an_event_that_is_none_breaks_the_watch_and_no_more(event: Any) -> None:
    async def send(_: ServerDouble, response: web.StreamResponse) -> None:
        await write(response, event)

    async with stage("a", "b") as it:
        it.server.watch_faults.append(send)
        it.server.cut()
        await eventually(0, lambda: len(it.server.watch_faults))
        it.server.put("a", "new")
        await it.becomes(a="new", b="old")


@pytest.mark.parametrize("answer", OBJECTS, ids=str)
async def test_an_object_that_is_none_is_no_answer(answer: Any) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "team", "name": "a"}}
    async with running() as (double, login), Client(login) as client:
        asked: list[Callable[[], Awaitable[Any]]] = [
            lambda: client.find(CONFIG_MAP, "team", "a"),
            lambda: client.apply(body),
            lambda: client.replace(body),
            lambda: client.merge_patch(CONFIG_MAP, "team", "a", {}),
        ]
        for ask in asked:
            double.answers.append(web.json_response(answer))
            with pytest.raises(Unreachable):
                await ask()


async def test_a_refusal_that_is_no_status_is_a_refusal() -> None:
    async with running() as (double, login), Client(login) as client:
        for details in (["x"], {"retryAfterSeconds": "soon"}):
            double.answers.append(web.json_response({"details": details}, status=503))
            with pytest.raises(ApiError) as caught:
                await client.find(CONFIG_MAP, "team", "a")
            assert (503, None) == (caught.value.status, caught.value.retry_after)


async def test_a_lease_that_is_none_ends_no_election() -> None:
    times = LeaseTimes(duration=5.0, renew=3.0, retry=0.05, call=1.0)
    async with running() as (double, login), Client(login) as client:
        losses: list[bool] = []
        double.answers.extend(web.json_response({"ok": True}) for _ in range(3))
        election = LeaderElection(
            client,
            "team",
            "operator",
            "one",
            now=lambda: datetime.now(UTC),
            lost=lambda: losses.append(True),
            times=times,
        )
        task = asyncio.create_task(election.run())
        await asyncio.wait_for(election.leading.wait(), 3)
        double.answers.extend(web.json_response({"ok": True}) for _ in range(3))
        await eventually(0, lambda: len(double.answers))
        await asyncio.sleep(0.2)
        assert election.held
        assert not losses
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
