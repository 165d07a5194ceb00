"""Events for people: written once, counted when they repeat, and never in the way of a pass."""

from typing import Any

import pytest
from rag_operator.cluster.event_log import MAX_TRIES, EventLog
from rag_operator.runtime.errors import ApiError, RuntimeFault, Unreachable
from rag_operator.runtime.kinds import Kind

from .world import START, service

Json = dict[str, Any]


class Writer:
    """A double of the client."""

    def __init__(self) -> None:
        self.time = 0.0
        self.created: list[Json] = []
        self.patched: list[tuple[str, Json]] = []
        self.error: RuntimeFault | None = None
        self.carried_out = False
        self.log = EventLog(self, lambda: self.time)

    async def create(self, obj: Json) -> Json:
        if self.error is None or self.carried_out:
            self.created.append(obj)
            self.carried_out = False
        if self.error is not None:
            raise self.error
        return obj

    async def merge_patch(self, kind: Kind, namespace: str | None, name: str, patch: Json) -> Json:
        self.patched.append((name, patch))
        return {}

    async def tell(self, message: str = "a", uid: str = "u") -> None:
        body = service()
        body["metadata"]["uid"] = uid
        await self.log.tell(body, "Warning", "CrashLoop", message, START)


async def test_what_repeats_is_counted() -> None:
    writer = Writer()
    for writer.time in range(0, 100):
        await writer.tell()
    assert 1 == len(writer.created)
    assert [31, 61, 91] == [patch["series"]["count"] for _, patch in writer.patched]
    assert {writer.created[0]["metadata"]["name"]} == {name for name, _ in writer.patched}


async def test_other_words_another_object_and_another_hour_are_new() -> None:
    writer = Writer()
    await writer.tell()
    await writer.tell("b")
    await writer.tell(uid="v")
    writer.time = 601
    await writer.tell()
    assert 4 == len(writer.created)


async def test_a_refused_event_is_no_failure_and_is_let_go() -> None:
    writer = Writer()
    writer.error = ApiError(403, "Forbidden", "the namespace ends")
    await writer.tell()
    writer.error = None
    await writer.log.retell("u")
    assert [] == writer.created


BROKEN = [ApiError(500, "InternalError", "no"), ApiError(429, "TooManyRequests"), Unreachable("no answer")]


@pytest.mark.parametrize("error", BROKEN, ids=str)
async def test_what_a_broken_server_did_not_take_is_told_later(error: RuntimeFault) -> None:
    writer = Writer()
    writer.error = error
    for message in ("a", "b"):
        with pytest.raises(type(error)):
            await writer.tell(message)
    writer.error = None
    await writer.log.retell("another")
    assert [] == writer.created
    await writer.log.retell("u")
    await writer.log.retell("u")
    assert ["a", "b"] == [event["note"] for event in writer.created]


async def test_an_event_that_was_stored_unheard_is_not_told_twice() -> None:
    writer = Writer()
    writer.error = Unreachable("the connection broke")
    writer.carried_out = True
    with pytest.raises(Unreachable):
        await writer.tell()
    writer.error = ApiError(409, "AlreadyExists")
    await writer.log.retell("u")
    writer.error = None
    writer.time = 31
    await writer.tell()
    assert 1 == len(writer.created)
    assert [writer.created[0]["metadata"]["name"]] == [name for name, _ in writer.patched]


async def test_an_event_that_nobody_takes_is_let_go_after_some_tries() -> None:
    writer = Writer()
    writer.error = Unreachable("no answer")
    with pytest.raises(Unreachable):
        await writer.tell()
    for _ in range(MAX_TRIES - 1):
        with pytest.raises(Unreachable):
            await writer.log.retell("u")
    await writer.log.retell("u")
    writer.error = None
    await writer.log.retell("u")
    assert [] == writer.created
