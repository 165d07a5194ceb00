"""The token: read anew before it is old, by one at a time, and kept when it cannot be read."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest
from rag_operator.runtime.errors import Unreachable
from rag_operator.runtime.login import TOKEN_FRESH_SECONDS, Token

from .waiting import eventually


class Plugin:
    """A source that takes until it is let go, and counts how often it was run."""

    def __init__(self) -> None:
        self.runs = 0
        self.go = threading.Event()

    def __call__(self) -> str:
        self.runs += 1
        self.go.wait(10)
        return f"Bearer {self.runs}"


@pytest.fixture
async def plugin() -> AsyncIterator[Plugin]:
    made = Plugin()
    yield made
    made.go.set()


async def test_a_token_is_read_again_after_five_seconds() -> None:
    now, reads = 1000.0, iter(["Bearer one", "Bearer two"])
    token = Token(lambda: next(reads), clock=lambda: now)
    assert "Bearer one" == await token.header()
    now += 4.9
    assert "Bearer one" == await token.header()
    now += 0.2
    assert "Bearer two" == await token.header()
    assert 5.0 == TOKEN_FRESH_SECONDS


async def test_a_slow_source_is_asked_once_for_all_who_wait(plugin: Plugin) -> None:
    token = Token(plugin, slow=True)
    waiting = [asyncio.create_task(token.header()) for _ in range(30)]
    await eventually(1, lambda: plugin.runs)
    await asyncio.sleep(0.05)
    plugin.go.set()
    assert {"Bearer 1"} == set(await asyncio.gather(*waiting))
    assert 1 == plugin.runs


async def test_who_gives_up_takes_the_answer_from_nobody(plugin: Plugin) -> None:
    token = Token(plugin, slow=True)
    first = asyncio.create_task(token.header())
    await eventually(1, lambda: plugin.runs)
    first.cancel()
    second = asyncio.create_task(token.header())
    await asyncio.gather(first, return_exceptions=True)
    plugin.go.set()
    assert "Bearer 1" == await second
    assert 1 == plugin.runs


async def test_two_event_loops_ask_a_slow_source_once(plugin: Plugin) -> None:
    """kopf has a loop of its own."""
    token, found = Token(plugin, slow=True), list[str | None]()
    other = threading.Thread(target=lambda: found.append(asyncio.run(token.header())))
    here = asyncio.create_task(token.header())
    other.start()
    await eventually(1, lambda: plugin.runs)
    await asyncio.sleep(0.1)
    plugin.go.set()
    found.append(await here)
    await asyncio.to_thread(other.join, 5)
    assert ["Bearer 1", "Bearer 1"] == found


async def test_many_refusals_of_one_token_are_one_reason_to_read_it() -> None:
    values = iter(["Bearer old", "Bearer new", "Bearer newer"])
    token = Token(lambda: next(values))
    sent = await token.header()
    for _ in range(3):  # as three requests that carried the same one are refused, one after the other
        token.expire(sent)
        assert "Bearer new" == await token.header()


@pytest.mark.parametrize("slow", [False, True])
async def test_a_token_that_cannot_be_read_stays(slow: bool) -> None:
    now = time.monotonic()
    answers = iter(["Bearer one", None, "Bearer two"])

    def read() -> str:
        answer = next(answers)
        if answer is None:
            raise FileNotFoundError("token")
        return answer

    token = Token(read, slow=slow, clock=lambda: now)
    found = []
    for _ in range(3):
        found.append(await token.header())
        now += 6
    assert ["Bearer one", "Bearer one", "Bearer two"] == found


@pytest.mark.parametrize("slow", [False, True])
async def test_without_any_token_nothing_is_sent(slow: bool) -> None:
    def read() -> str:
        raise FileNotFoundError("token")

    with pytest.raises(Unreachable, match="token"):
        await Token(read, slow=slow).header()
