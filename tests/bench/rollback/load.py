"""The clients: so many requests per second, each on a connection of its own, and so many streams that are always open.

Requests start on the clock, not after the one before, so that a pause of the service is seen as what it is. A stream that has
ended is opened anew at once. What went wrong is kept with the time, so that it can be laid beside a move.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from .facts import Told, told
from .model import SLOW_SECONDS, SLOWLY

QUESTION = "How many days of annual leave do employees get?"
PATIENCE = aiohttp.ClientTimeout(total=30)
SHOWN = 5


@dataclass
class Seen:
    """What the clients saw. `late` answers began when every pod had moved and came from another release all the same."""

    answers: Counter[Told] = field(default_factory=Counter)
    streams: Counter[Told] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    across: int = 0
    """Streams that were open while the service moved, and ended whole."""


class Load:
    """`settled` names the release that every pod has said it serves, None while the service moves; `moves` counts the moves."""

    def __init__(self, url: str, key: str) -> None:
        self.seen = Seen()
        self.settled: tuple[str, str, int] | None = None
        self.moves = 0
        self._url = url
        self._headers = {"authorization": f"Bearer {key}"}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop = False

    @asynccontextmanager
    async def running(self, rate: float, streams: int, spread: float = SLOW_SECONDS) -> AsyncIterator["Load"]:
        """All clients at work inside the block; at its end no new request begins, and those that have begun end.

        The first streams are opened one after another over `spread` seconds.
        """
        drivers = [asyncio.create_task(self._requests(rate))] if rate else []
        drivers += [asyncio.create_task(self._streams(spread * number / streams)) for number in range(streams)]
        try:
            yield self
        finally:
            self._stop = True
            await asyncio.gather(*drivers)
            await asyncio.gather(*self._tasks)

    async def _requests(self, rate: float) -> None:
        due = time.monotonic()
        while not self._stop:
            task = asyncio.create_task(self._request())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _request(self) -> None:
        seen, settled, moves, start = self.seen, self.settled, self.moves, time.monotonic()
        try:
            async with self.client(self._url) as client, client.post("/query", json={"question": QUESTION}) as response:
                text = await response.text()
                if response.status != 200:
                    seen.failed.append(f"{_clock()} {response.status} {text[:200]}")
                    return
                body = json.loads(text)
                answer = told(response.headers, body, body["answer"])
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            seen.failed.append(f"{_clock()} {type(error).__name__} {error}")
            return
        seen.times.append(time.monotonic() - start)
        seen.answers[answer] += 1
        self._judge(answer, settled, moves)

    def _judge(self, answer: Told, settled: tuple[str, str, int] | None, moves: int) -> None:
        if (
            settled is not None
            and moves == self.moves
            and settled != (answer.prompt_version, answer.index_version, answer.sources)
        ):
            self.seen.late.append(f"{_clock()} {settled} was asked for; {answer}")

    async def _streams(self, delay: float) -> None:
        await asyncio.sleep(delay)
        while not self._stop:
            await self._stream()

    async def _stream(self) -> None:
        seen, settled, moves = self.seen, self.settled, self.moves
        body = {"question": SLOWLY + QUESTION}
        try:
            async with self.client(self._url) as client, client.post("/query/stream", json=body) as response:
                text = await response.text()
                if response.status != 200:
                    seen.broken.append(f"{_clock()} {response.status} {text[:200]}")
                    await asyncio.sleep(0.2)
                    return
                headers = response.headers
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            seen.broken.append(f"{_clock()} {type(error).__name__} {error}")
            await asyncio.sleep(0.2)
            return
        events = _events(text)
        if not events or events[-1][0] != "done" or events[-1][1].get("finish_reason") != "stop":
            seen.broken.append(f"{_clock()} ended without its last event: {text[-200:]!r}")
            return
        said = "".join(str(data["text"]) for name, data in events if name == "token")
        answer = told(headers, events[0][1], said)
        seen.streams[answer] += 1
        seen.across += moves != self.moves
        self._judge(answer, settled, moves)

    def client(self, url: str) -> aiohttp.ClientSession:
        """A client with the key, whose every request has a connection of its own."""
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        return aiohttp.ClientSession(url, connector=connector, headers=self._headers, timeout=PATIENCE)


def _events(text: str) -> list[tuple[str, dict[str, object]]]:
    """(name, data) of each server-sent event."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def _clock() -> str:
    return time.strftime("%H:%M:%S")
