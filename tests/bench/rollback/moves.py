"""The moves: a patch as a user sends it, and how long until the last API pod answers from what it asks for."""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import aiohttp

from tests.e2e.kube import Kube

from .facts import Told, told
from .load import QUESTION, Load
from .stage import INDEXES, NAME, PROMPTS, TOP_K

Json = dict[str, Any]
POLL_SECONDS = 0.05
LONGEST_SECONDS = 120.0
PAUSE_SECONDS = 1.0
Wanted = tuple[str, str, int]
"""Prompt, index and number of sources of an answer."""
HOME: Wanted = (PROMPTS[1], INDEXES[1], TOP_K[1])


class Move(NamedTuple):
    """A merge patch of the spec and what the pods are to answer from afterwards."""

    kind: str
    spec: Json
    wanted: Wanted


CYCLE = (
    Move("prompt", {"rollback": {"prompt": PROMPTS[0]}}, (PROMPTS[0], INDEXES[1], TOP_K[1])),
    Move("prompt", {"rollback": {"prompt": None}}, HOME),
    Move("index", {"rollback": {"index": INDEXES[0]}}, (PROMPTS[1], INDEXES[0], TOP_K[1])),
    Move("index", {"rollback": {"index": None}}, HOME),
    Move("retrieval", {"retrieval": {"topK": TOP_K[0]}}, (PROMPTS[1], INDEXES[1], TOP_K[0])),
    Move("retrieval", {"retrieval": {"topK": TOP_K[1]}}, HOME),
)


@dataclass(frozen=True)
class Taken:
    """Seconds from the start of the patch: until kubectl ended, and until each pod answered, slowest last.

    `began` is the time of day, in seconds since 1970.
    """

    kind: str
    began: float
    patch: float
    pods: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Until the last pod."""
        return self.pods[-1]


def cycle(count: int) -> Iterator[Move]:
    """The first `count` moves, and as many more as it takes to end where it began."""
    for number in range(count + count % 2):
        yield CYCLE[number % len(CYCLE)]


async def make(move: Move, kube: Kube, pods: list[str], load: Load) -> Taken:
    """Make one move under the load. `pods` are the addresses of the API pods. Raises TimeoutError."""
    load.settled, load.moves = None, load.moves + 1
    began, start = time.time(), time.monotonic()
    asked = [asyncio.create_task(answers(url, load, move.wanted)) for url in pods]
    try:
        await patch(kube, {"spec": move.spec})
        patched = time.monotonic() - start
        async with asyncio.timeout(LONGEST_SECONDS):
            moved = [moment - start for moment in await asyncio.gather(*asked)]
    finally:
        for task in asked:
            task.cancel()
    load.settled = move.wanted
    await asyncio.sleep(PAUSE_SECONDS)
    return Taken(move.kind, began, patched, tuple(sorted(moved)))


async def answers(url: str, load: Load, wanted: Wanted) -> float:
    """Ask one pod at its own address until it answers from what is wanted: the moment of that answer."""
    due = time.monotonic()
    async with load.client(url) as client:
        while True:
            try:
                answer = await _ask(client)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                load.seen.failed.append(f"asked at its own address: {type(error).__name__} {error}")
            else:
                load.seen.answers[answer] += 1
                if (answer.prompt_version, answer.index_version, answer.sources) == wanted:
                    return time.monotonic()
            now = time.monotonic()
            due = max(due + POLL_SECONDS, now)
            await asyncio.sleep(due - now)


async def _ask(client: aiohttp.ClientSession) -> Told:
    """One question. Raises aiohttp.ClientError, OSError, ValueError for anything but a whole answer."""
    async with client.post("/query", json={"question": QUESTION}) as response:
        response.raise_for_status()
        body = await response.json()
        return told(response.headers, body, body["answer"])


async def patch(kube: Kube, change: Json, kind: str = "ragservice", name: str = NAME) -> None:
    """`kubectl patch`, as a process. Raises AssertionError with what it said."""
    command = [kube.kubectl_path, "--kubeconfig", kube.kubeconfig, "--namespace", kube.namespace]
    command += ["patch", kind, name, "--type=merge", "-p", json.dumps(change)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    _, error = await process.communicate()
    assert process.returncode == 0, error.decode()
