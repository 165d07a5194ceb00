"""CPU per request, latency and memory of the RAG API on this machine.

    python -m tests.bench.api [--requests N] [--clients N] [--traces RATIO]

The API runs as its own process, as in its image. The vector store is the stand-in for Qdrant's server that the tests
use, on the same machine: its CPU is not counted, its time is part of the latency. The documents are the sample handbook.
"""

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from rag_contract.environment import ApiEnvironment
from rag_contract.release_table import Endpoint, ModelRelease

from tests.bench.api import streams
from tests.bench.api.spans import taker
from tests.bench.processes import cpu_seconds, resident_mebibytes
from tests.qdrant_standin.fixture import start_standin
from tests.unit.rag_api import corpus
from tests.unit.rag_api.harness import KEY, Folder, api_key, revision
from tests.unit.rag_api.questions import ANSWERED

RUNS = 3
HEADERS = {"x-api-key": KEY}


@contextmanager
def running(folder: Path, qdrant_url: str, **more: Any) -> Iterator[tuple[str, int]]:
    """The API as a process: its address and its process id."""
    environment = ApiEnvironment(
        service="handbook",
        qdrant_url=qdrant_url,
        releases_path=str(folder / "releases"),
        keys_path=str(folder / "keys"),
        host="127.0.0.1",
        port=0,
        requests_per_minute=0,
        max_concurrent_requests=256,
        drain_seconds=0,
        **more,
    )
    log = folder / "api.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "rag_api"], env=os.environ | environment.to_env(), stdout=output
        )
    try:
        for _ in range(1000):
            if found := re.search(r"running on (http://\S+)", log.read_text(encoding="utf-8")):
                yield found[1], process.pid
                return
            time.sleep(0.02)
        raise RuntimeError("the API did not start")
    finally:
        process.terminate()
        process.wait(20)


async def ask(client: aiohttp.ClientSession, path: str, question: str) -> float:
    """One request, read to its end; its time in milliseconds."""
    started = time.perf_counter()
    async with client.post(path, json={"question": question}, headers=HEADERS) as response:
        await response.read()
        if response.status != 200:
            raise RuntimeError(f"{path} answered {response.status}")
    return (time.perf_counter() - started) * 1000


async def load(client: aiohttp.ClientSession, path: str, requests: int, clients: int) -> list[float]:
    """All requests, some at a time; their times in milliseconds."""
    questions = iter([ANSWERED[n % len(ANSWERED)][0] for n in range(requests)])

    async def one() -> list[float]:
        return [await ask(client, path, question) for question in questions]

    return [took for taken in await asyncio.gather(*(one() for _ in range(clients))) for took in taken]


async def measure(url: str, pid: int, requests: int, clients: int) -> None:
    """Print the table."""
    _row("memory at rest", f"{resident_mebibytes([pid]):.0f} MiB", "90 MB")
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as client:
        _row("first /query after the start", f"{await ask(client, '/query', ANSWERED[0][0]):.1f} ms", "100 ms")
        for path in ("/query", "/query/stream", "/health"):
            cost, rate, slow = [], [], []
            for _ in range(RUNS):
                before, started = cpu_seconds([pid]), time.perf_counter()
                times = (
                    await load(client, path, requests, clients)
                    if path != "/health"
                    else await _health(client, requests)
                )
                cost.append((cpu_seconds([pid]) - before) / requests * 1000)
                rate.append(requests / (time.perf_counter() - started))
                slow.append(sorted(times)[int(len(times) * 0.99)])
            _row(
                f"{path}: CPU of the API per request",
                f"{statistics.median(cost):.2f} ms",
                "0.85 ms" if path != "/health" else "-",
            )
            _row(f"{path}: p99 with {clients} at a time", f"{statistics.median(slow):.1f} ms", "-")
            _row(f"{path}: requests per second", f"{statistics.median(rate):.0f}", "-")
        alone = [await ask(client, "/query", ANSWERED[n % len(ANSWERED)][0]) for n in range(200)]
        _row("/query: median, one at a time", f"{statistics.median(alone):.1f} ms", "-")
    _row("memory after it", f"{resident_mebibytes([pid]):.0f} MiB", "90 MB")


async def measure_streams(url: str, pid: int, files: Folder, chunks: int) -> None:
    """Print what the API adds to the tokens of a model server."""
    with streams.token_server() as server:
        model = ModelRelease(
            runtime="External", name="double", hash="0" * 16, endpoints=(Endpoint(url=server, model="rag"),)
        )
        files.serve(revision(number=2, chunks=chunks, model=model))
        await asyncio.sleep(1)
        runs = [
            (await streams.direct(server), await streams.through(url, pid, HEADERS, ANSWERED[0][0]))
            for _ in range(RUNS)
        ]
    load = f"{streams.STREAMS} streams, a token each {streams.MILLISECONDS} ms"
    print(f"Tokens of a double of a model server, {load}:")
    for name, share in (("median", 0.5), ("p99", 0.99)):
        straight = statistics.median(run.at(share) for run, _ in runs)
        passed = statistics.median(run.at(share) for _, run in runs)
        _row(f"age at the client, {name}: straight", f"{straight:.2f} ms", "-")
        _row(f"age at the client, {name}: through the API", f"{passed:.2f} ms", "-")
        _row(f"added by the API, {name}", f"{passed - straight:.2f} ms", "0.1 ms" if share == 0.5 else "1 ms")
    _row("CPU of the API per token", f"{statistics.median(run.cpu for _, run in runs):.0f} us", "33 us")


async def _health(client: aiohttp.ClientSession, requests: int) -> list[float]:
    times = []
    for _ in range(requests):
        started = time.perf_counter()
        async with client.get("/health") as response:
            await response.read()
        times.append((time.perf_counter() - started) * 1000)
    return times


def _tracing(collector: str, ratio: float | None) -> dict[str, Any]:
    if ratio is None:
        return {}
    return {
        "tracing_endpoint": collector,
        "tracing_namespace": "bench",
        "tracing_sample_ratio": ratio,
        "tracing_trust_parent": False,
    }


def _row(name: str, value: str, goal: str) -> None:
    print(f"{name:<50} {value:>12}   goal {goal}", flush=True)


def main() -> None:
    """Build, start, measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.api", description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, help="requests per run, of three runs each")
    parser.add_argument("--clients", type=int, default=16, help="requests at a time")
    parser.add_argument("--traces", type=float, help="share of the requests whose spans go to a double of a collector")
    arguments = parser.parse_args()
    print(f"The RAG API with a stand-in for Qdrant's server, {os.cpu_count()} cores, medians of {RUNS} runs.")
    with tempfile.TemporaryDirectory() as name, start_standin(Path(name) / "qdrant") as qdrant:
        folder = Path(name)
        documents = folder / "documents"
        documents.mkdir()
        points = corpus.handbook(documents)
        asyncio.run(corpus.build(qdrant.url, "handbook", points, corpus.stamp(points)))
        files = Folder(folder)
        files.allow(api_key("bench", KEY))
        files.serve(revision(chunks=len(points)))
        with taker() as collector, running(folder, qdrant.url, **_tracing(collector, arguments.traces)) as (url, pid):
            asyncio.run(measure(url, pid, arguments.requests, arguments.clients))
            asyncio.run(measure_streams(url, pid, files, len(points)))


if __name__ == "__main__":
    main()
