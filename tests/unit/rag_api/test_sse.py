"""The stream's writer: whatever is tried after the end, nothing more is written."""

import asyncio
from typing import Any

import pytest
from rag_api.errors import UpstreamError
from rag_api.schemas import TokenEvent
from rag_api.sse import EventStream, event

ERROR = UpstreamError("gone")


async def _opened(sent: list[Any]) -> EventStream:
    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        sent.append(message)

    stream = EventStream(send, lambda: 0.0)
    await stream.open({"trace_id": "t"})
    return stream


@pytest.mark.parametrize("end", ["done", "fail"])
async def test_nothing_follows_the_end(end: str) -> None:
    sent: list[Any] = []
    stream = await _opened(sent)
    await (stream.done((), {}) if end == "done" else stream.fail(ERROR, "t"))
    before = list(sent)
    await stream.write((b"late",))
    await stream.heartbeat()
    await stream.fail(ERROR, "t")
    await stream.done((), {})
    assert sent == before
    assert [True, False] == [message["more_body"] for message in sent if message["type"] == "http.response.body"]


async def test_ends_that_come_together_leave_one() -> None:
    sent: list[Any] = []
    stream = await _opened(sent)
    await asyncio.gather(stream.done((), {}), stream.fail(ERROR, "t"), stream.heartbeat(), stream.write((b"x",)))
    bodies = [message for message in sent if message["type"] == "http.response.body"]
    assert [False] == [message["more_body"] for message in bodies if not message["more_body"]]
    assert not bodies[-1]["more_body"]


async def test_a_client_that_takes_no_last_word_is_given_up() -> None:
    sent: list[Any] = []
    stream = await _opened(sent)

    async def blocked(_message: Any) -> None:
        await asyncio.Event().wait()

    stream._send = blocked
    async with asyncio.timeout(5):
        await stream.fail(ERROR, "t")
    assert stream.closed


def test_an_event_is_one_line_of_data() -> None:
    text = event(b"token", TokenEvent("a\nb\r\ndata: x\n\nevent: done\u2028ế")).decode()
    assert text == 'event: token\ndata: {"text":"a\\nb\\r\\ndata: x\\n\\nevent: done\u2028ế"}\n\n'
