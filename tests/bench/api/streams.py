"""What the RAG API adds to a model's tokens: their age at the client, through the API and straight from the model server.

The model server is a double in a process of its own that stamps each token when it sends it; client, API and double share
the machine and its clock. So the figures hold the cost of the API, of the loopback and of the contention for the cores, and
nothing of a model. Both rows are measured under the same load, one after the other.
"""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp

from tests.bench.processes import cpu_seconds

STREAMS, TOKENS, MILLISECONDS = 50, 100, 20
_STAMP = re.compile(rb"(\d{9,}) ")


@dataclass(frozen=True)
class Ages:
    """Of all tokens of one run, in milliseconds, sorted; `cpu` is the API's time per token in microseconds."""

    sorted: list[float]
    cpu: float = 0.0

    def at(self, share: float) -> float:
        """A percentile."""
        return self.sorted[int(len(self.sorted) * share)]


@contextmanager
def token_server() -> Iterator[str]:
    """The double as a process: its address."""
    command = [sys.executable, "-m", "tests.bench.api.token_server", str(TOKENS), str(MILLISECONDS)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(20)


async def direct(url: str) -> Ages:
    """Straight from the double."""
    return Ages(await _all(url, "/v1/chat/completions", {"model": "rag", "messages": []}, {}))


async def through(url: str, pid: int, headers: dict[str, str], question: str) -> Ages:
    """Through `/query/stream`, with retrieval, prompt, checked markers, metrics and log line."""
    before = cpu_seconds([pid])
    ages = await _all(url, "/query/stream", {"question": question}, headers)
    return Ages(ages, (cpu_seconds([pid]) - before) / len(ages) * 1e6)


async def _all(url: str, path: str, body: dict[str, object], headers: dict[str, str]) -> list[float]:
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as client:

        async def one(number: int) -> list[float]:
            await asyncio.sleep(number * MILLISECONDS / 1000 / STREAMS)
            ages: list[float] = []
            async with client.post(path, json=body, headers=headers) as response:
                if response.status != 200:
                    raise RuntimeError(f"{path} answered {response.status}")
                rest = b""
                while part := await response.content.readany():
                    now = time.monotonic_ns() // 1000
                    *lines, rest = (rest + part).split(b"\n")
                    ages += [(now - int(stamp)) / 1000 for line in lines for stamp in _STAMP.findall(line)]
            return ages

        found = [age for ages in await asyncio.gather(*(one(n) for n in range(STREAMS))) for age in ages]
    if len(found) != STREAMS * TOKENS:
        raise RuntimeError(f"{len(found)} of {STREAMS * TOKENS} tokens arrived")
    return sorted(found)
