"""Events for people: written once, counted when they repeat, and never in the way of a pass."""

from typing import Any

import pytest
from rag_operator.cluster.event_log import EventLog
from rag_operator.runtime.errors import ApiError
from rag_operator.runtime.kinds import Kind

from .world import START, service

Json = dict[str, Any]


class Writer:
    """A double of the client."""

    def __init__(self) -> None:
        self.time = 0.0
        self.created: list[Json] = []
        self.patched: list[tuple[str, Json]] = []
        self.error: ApiError | None = None
        self.log = EventLog(self, lambda: self.time)

    async def create(self, obj: Json) -> Json:
        if self.error is not None:
            raise self.error
        self.created.append(obj)
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


async def test_a_refused_event_is_no_failure_but_a_broken_server_is() -> None:
    writer = Writer()
    writer.error = ApiError(403, "Forbidden", "the namespace ends")
    await writer.tell()
    writer.error = ApiError(500, "InternalError", "no")
    with pytest.raises(ApiError):
        await writer.tell()
    writer.error = None
    await writer.tell()
    assert 1 == len(writer.created)
