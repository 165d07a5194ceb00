"""The cache stays true whatever the server does, over real sockets."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from rag_operator.runtime.backoff import Backoff
from rag_operator.runtime.client import SILENCE_SECONDS, Client
from rag_operator.runtime.informer import Informer
from rag_operator.runtime.kinds import CONFIG_MAP

from .informer_stage import rewind, stage
from .server_double import ServerDouble, running, write
from .waiting import eventually


async def test_pages_are_joined_and_changes_follow() -> None:
    async with stage("a", "b", "c", "d", "e", page_size=2) as it:
        assert 3 == it.server.count("list")
        it.server.put("a", "new")
        it.server.remove("b")
        it.server.put("f", "new")
        await it.becomes(a="new", c="old", d="old", e="old", f="new")
        assert 1 == it.informer.lists


async def test_bodies_are_trimmed_typed_and_indexed() -> None:
    async with stage("a", "b") as it:
        it.server.put("a", "new")
        await eventually(["a"], lambda: [o["metadata"]["name"] for o in it.informer.by_owner_key("new")])
        assert ["b"] == [o["metadata"]["name"] for o in it.informer.by_owner_key("old")]
        for obj in it.informer.items():
            assert ("v1", "ConfigMap") == (obj["apiVersion"], obj["kind"])
            assert "managedFields" not in obj["metadata"]


async def test_a_list_of_many_pages_is_no_stuck_loop() -> None:
    async with stage("a", "b", "c", "d", page_size=1) as it:
        it.server.answers.extend([0.0, 0.0, 30.0])  # the third page does not come
        it.informer.last_activity = began = it.informer.last_contact
        it.informer.resync()
        await eventually(7, lambda: it.server.count("list"))
        second_page = it.server.seen[-2][0]
        assert it.informer.last_activity >= second_page > began
        assert 1 == it.informer.lists


@pytest.mark.parametrize("as_event", [False, True])
async def test_a_deletion_missed_behind_410_is_found(as_event: bool) -> None:
    async with stage("a", "b") as it:
        it.server.gone_as_event = as_event
        it.server.remove("a", silently=True)
        it.server.put("c", "new", silently=True)
        it.server.cut(forget=True)
        await it.becomes(b="old", c="new")
        assert 2 == it.informer.lists


async def torn(server: ServerDouble, response: web.StreamResponse) -> None:
    await response.write(b'{"type": "MODIFIED", "obj\n')


async def half(server: ServerDouble, response: web.StreamResponse) -> None:
    await response.write(b'{"type": "MODIFIED", "object": {"metadata": {')


async def not_an_event(server: ServerDouble, response: web.StreamResponse) -> None:
    await response.write(b'{"hello": 1}\n[]\n')


async def without_version(server: ServerDouble, response: web.StreamResponse) -> None:
    await write(response, {"type": "MODIFIED", "object": {"metadata": {"name": "a"}}})


async def broken_off(server: ServerDouble, response: web.StreamResponse) -> None:
    await response.write(b'{"ty')
    assert response._req is not None
    transport = response._req.transport
    assert transport is not None
    transport.abort()


async def empty(server: ServerDouble, response: web.StreamResponse) -> None:
    return


def error_event(code: int) -> Any:
    async def fault(server: ServerDouble, response: web.StreamResponse) -> None:
        await write(response, {"type": "ERROR", "object": {"kind": "Status", "code": code, "reason": "Fault"}})

    return fault


@pytest.mark.parametrize(
    "fault",
    [torn, half, not_an_event, without_version, broken_off, empty, 401, 403, 404, 410, 429, 500, 503, 504]
    + [error_event(code) for code in (403, 429, 500, 504)],
    ids=lambda fault: getattr(fault, "__name__", str(fault)),
)
async def test_a_broken_watch_loses_nothing(fault: Any) -> None:
    async with stage("a", "b") as it:
        it.server.watch_faults.append(fault)
        it.server.cut()
        await eventually(0, lambda: len(it.server.watch_faults))
        it.server.put("a", "new")
        it.server.remove("b")
        await it.becomes(a="new")


async def test_a_torn_line_is_resumed_without_a_list() -> None:
    async with stage("a") as it:
        it.server.watch_faults.append(torn)
        it.server.cut()
        await eventually(0, lambda: len(it.server.watch_faults))
        it.server.put("a", "new")
        await it.becomes(a="new")
        assert 1 == it.informer.lists


async def test_an_older_event_never_wins() -> None:
    async with stage("a") as it:
        older = it.server.history[-1][1]
        it.server.put("a", "new")
        await it.becomes(a="new")
        reported = len(it.changes)
        for _ in range(3):
            it.server.send(older)
        it.server.send({"type": "DELETED", "object": older["object"]})
        it.server.put("b", "after")
        await it.becomes(a="new", b="after")
        assert reported + 1 == len(it.changes)


async def test_a_replayed_event_does_not_raise_the_dead() -> None:
    async with stage("a") as it:
        born = it.server.history[-1][1]
        it.server.remove("a")
        it.server.send(born)
        it.server.put("b", "after")
        await it.becomes(b="after")


async def test_an_expired_continue_token_begins_the_list_anew() -> None:
    async with stage("a", "b", "c", page_size=2) as it:
        it.server.expire_continue = 2
        it.server.put("d", "new", silently=True)
        it.informer.resync()
        await it.becomes(a="old", b="old", c="old", d="new")
        assert "limit" not in [entry for entry in it.server.seen if entry[1] == "list"][-1][3]


async def test_a_silent_stream_is_noticed() -> None:
    async with stage("a", silence=0.3) as it:
        it.server._streams.clear()  # the connection stays open, and nothing comes any more
        it.server.put("a", "new")
        await it.becomes(a="new")
        assert it.server.count("watch") >= 2


async def test_a_rewound_server_is_noticed_by_its_bookmark() -> None:
    async with stage("a", "b") as it:
        await rewind(it)
        it.server.send({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(it.server.version)}}})
        await it.becomes(a="restored")


async def test_a_rewound_server_is_noticed_after_a_break() -> None:
    async with stage("a", "b") as it:
        await rewind(it)
        it.server.cut()
        await it.becomes(a="restored")


async def test_resync_finds_what_no_event_told() -> None:
    async with stage("a", "b") as it:
        it.server.put("a", "new", silently=True)
        it.server.remove("b", silently=True)
        it.server.put("c", "new", silently=True)
        it.informer.resync()
        await it.becomes(a="new", c="new")


async def test_our_own_write_is_in_the_cache_at_once_and_stays() -> None:
    async with stage("a") as it:
        before = it.server.put("a", "before", silently=True)
        ours = it.server.put("a", "ours", silently=True)
        it.informer.absorb(ours)
        assert {"a": "ours"} == it.values()
        it.server.send({"type": "MODIFIED", "object": before})
        it.server.put("b", "after")
        await it.becomes(a="ours", b="after")
        it.informer.absorb(before)
        assert "ours" == it.values()["a"]


async def test_a_write_answered_after_the_deletion_was_seen_is_not_cached() -> None:
    async with stage("a") as it:
        ours = it.server.put("a", "ours")
        it.server.remove("a")
        await it.becomes()
        it.informer.absorb(ours)
        await it.becomes()


async def test_a_quiet_answer_calls_nobody_and_its_event_is_a_replay() -> None:
    async with stage("a") as it:
        ours = it.server.put("b", "ours", silently=True)
        it.informer.absorb(ours, quiet=True)
        assert {"a": "old", "b": "ours"} == it.values()
        it.server.send({"type": "ADDED", "object": ours})
        it.server.put("c", "after")
        await eventually("after", lambda: it.values().get("c"))
        assert ["a", "c"] == [new["metadata"]["name"] for _, new in it.changes if new is not None]


async def test_the_deletion_of_an_earlier_object_spares_the_later_one() -> None:
    async with stage("a") as it:
        it.server.remove("a", silently=True)
        gone = {**it.server.put("a", "earlier", silently=True)}
        later = it.server.put("a", "later", silently=True, uid="another")
        it.informer.absorb(later)
        it.server.send({"type": "DELETED", "object": gone})
        it.server.put("b", "after")
        await it.becomes(a="later", b="after")


async def test_a_list_older_than_our_write_does_not_drop_it() -> None:
    async with stage("a") as it:
        ours = {**it.server.put("b", "ours", silently=True)}
        del it.server.objects["b"]
        it.server.version -= 1
        it.informer.absorb(ours)
        it.informer.resync()
        await eventually(2, lambda: it.informer.lists)
        assert {"a": "old", "b": "ours"} == it.values()


async def test_a_server_in_trouble_is_not_hammered() -> None:
    async with running() as (server, login), Client(login) as client:
        server.refuse_lists = True
        informer = Informer(client, CONFIG_MAP, namespace="team", backoff=Backoff(first=0.1, cap=5))
        task = asyncio.create_task(informer.run())
        await asyncio.sleep(1.0)
        assert 2 <= server.count("list") <= 6
        server.refuse_lists = False
        await asyncio.wait_for(informer.synced.wait(), 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_watches_that_end_at_once_are_not_hammered() -> None:
    async with stage("a") as it:
        it.server.watch_faults.extend([410] * 1000)
        it.server.cut()
        await asyncio.sleep(1.0)
        assert it.server.count("watch") < 40
        it.server.watch_faults.clear()
        it.server.put("a", "new")
        await it.becomes(a="new")


async def test_a_kind_that_is_silent_by_nature_is_no_broken_connection() -> None:
    """The server sends no bookmarks for a kind without any change: it ends the watch in order, which is a sign of life."""
    async with stage("a") as it:
        (watch,) = [entry for entry in it.server.seen if entry[1] == "watch"]
        assert int(watch[3]["timeoutSeconds"]) <= SILENCE_SECONDS - 10
        began = it.informer.last_contact
        it.server.cut()
        await eventually(True, lambda: it.informer.last_contact > began)
        assert it.informer.last_activity >= it.informer.last_contact
