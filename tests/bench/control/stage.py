"""Where the figures are taken: a control plane with controllers of its own, KWOK for the pods, the operator as a process.

The load comes from an asynchronous client of this process; no container runs.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from rag_operator import names
from rag_operator.runtime import kinds
from rag_operator.runtime.client import Client
from rag_operator.runtime.kinds import Kind

from tests.bench.processes import cpu_seconds, resident_mebibytes
from tests.cluster.fixtures import Cluster, _free_ports

Json = dict[str, Any]
ROOT = Path(__file__).parents[3]
SPACE = "bench-control"
AGENT = "rag-operator"
USER = "bench-control"
"""How this program calls itself: what it writes as a user, and as a pod's double, is no write of the operator's."""
HOUR = 3600
WRITES = {"create", "update", "patch", "delete", "deletecollection"}
MADE: tuple[Kind, ...] = (
    kinds.CONFIG_MAP,
    kinds.SERVICE,
    kinds.SERVICE_ACCOUNT,
    kinds.DEPLOYMENT,
    kinds.STATEFUL_SET,
    kinds.JOB,
)
"""Kinds of children that can be listed. Secrets (two of each service) are counted by name."""


class Operator:
    """One `rag-operator run` of this checkout, with the settings that users get."""

    def __init__(self, plane: Cluster, folder: Path, name: str = "one", **settings: str) -> None:
        self.log = folder / f"{name}.log"
        self.metrics, self.health = _free_ports(2)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("RAG_OPERATOR_")}
        self._environment = environment | {
            "KUBECONFIG": str(plane.kubeconfig),
            "RAG_OPERATOR_LEASE_NAMESPACE": SPACE,
            "RAG_OPERATOR_LISTEN_ADDRESS": "127.0.0.1",
            "RAG_OPERATOR_METRICS_PORT": str(self.metrics),
            "RAG_OPERATOR_HEALTH_PORT": str(self.health),
            **{f"RAG_OPERATOR_{key.upper()}": value for key, value in settings.items()},
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Operator":
        """Start it."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "rag_operator", "run"]
            self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log, cwd=ROOT)
        return self

    def end(self, number: int = signal.SIGTERM) -> None:
        """Signal it and wait for its end."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=30)
            self.process = None

    @property
    def leads(self) -> bool:
        """It holds the Lease, as its own metrics tell."""
        with contextlib.suppress(OSError):
            url = f"http://127.0.0.1:{self.metrics}/metrics"
            with urllib.request.urlopen(url, timeout=2) as answer:
                return b"rag_operator_leader 1.0" in answer.read()
        return False

    @property
    def cpu(self) -> float:
        """CPU seconds so far."""
        assert self.process is not None
        return cpu_seconds([self.process.pid])

    @property
    def memory(self) -> float:
        """Resident MiB."""
        assert self.process is not None
        return resident_mebibytes([self.process.pid])


@contextlib.contextmanager
def running(operator: Operator) -> Iterator[Operator]:
    """Started, and ended afterwards."""
    try:
        yield operator.start()
    finally:
        operator.end()


class Calls:
    """What the operator (or `everybody`) asked of the API server since the last `reset`, from its audit log."""

    Count = Counter[tuple[str, str]]

    def __init__(self, plane: Cluster, *, everybody: bool = False) -> None:
        self._plane = plane
        self._everybody = everybody
        self.reset()

    def reset(self) -> None:
        """Begin to count here."""
        self._offset = self._plane.audit_log.stat().st_size

    def take(self) -> Count:
        """Answered requests by (verb, resource), Leases and streams apart."""
        found: Calls.Count = Counter()
        for event in self._plane.audit(self._offset):
            about = event.get("objectRef") or {}
            agent = event.get("userAgent", "")
            ours = self._everybody or agent == AGENT
            if ours and event["verb"] != "watch" and about.get("resource") != "leases":
                found[event["verb"], about.get("resource", "")] += 1
        return found


def writes(calls: Calls.Count) -> int:
    """How many of the calls are writes."""
    return sum(count for (verb, _), count in calls.items() if verb in WRITES)


def rag_service(name: str, **spec: Any) -> Json:
    """A service whose pods ask for next to nothing, so that made nodes take thousands."""
    small = {"requests": {"cpu": "1m", "memory": "16Mi"}, "limits": {"cpu": "1", "memory": "64Mi"}}
    return {
        "apiVersion": names.API_VERSION,
        "kind": "RagService",
        "metadata": {"name": name, "namespace": SPACE},
        "spec": {
            "prompt": {"version": "answer-v1", "system": "Answer from the sources."},
            "index": {
                "version": "docs-1",
                "documents": {"configMapRef": {"name": "documents"}},
                "resources": small,
            },
            "api": {"resources": small},
            "vectorStore": {"qdrant": {"resources": small}},
            **spec,
        },
    }


async def create_all(client: Client, services: list[str], at_once: int = 16) -> None:
    """Declare these services, as fast as the server takes them."""
    gate = asyncio.Semaphore(at_once)

    async def one(name: str) -> None:
        async with gate:
            await client.create(rag_service(name), field_manager="user")

    await asyncio.gather(*(one(name) for name in services))


class Births:
    """When each child was seen to be made, by a watch on each kind; the clock is this process' own."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.at: dict[str, dict[str, float]] = {}
        """service -> "Kind name" -> seconds of the monotonic clock."""
        self.tasks: list[asyncio.Task[None]] = []
        self.listeners: list[Callable[[str, Json], None]] = []

    async def start(self) -> None:
        """Watch from now on."""
        for kind in (*MADE, kinds.SECRET):
            async for page in self._client.list_pages(kind, SPACE, page_size=1):
                version = page["metadata"]["resourceVersion"]
                break
            self.tasks.append(asyncio.create_task(self._follow(kind, version)))

    async def _follow(self, kind: Kind, version: str) -> None:
        async for event in self._client.watch(kind, SPACE, resource_version=version, seconds=HOUR):
            obj = event["object"]
            for listener in self.listeners:
                listener(event["type"], obj)
            if event["type"] == "ADDED":
                self._note(kind, obj)

    def _note(self, kind: Kind, obj: Json) -> None:
        labels = obj["metadata"].get("labels") or {}
        service = labels.get(names.LABEL_SERVICE)
        if service:
            self.at.setdefault(service, {})[f"{kind.kind} {obj['metadata']['name']}"] = time.monotonic()

    def count(self, services: set[str]) -> int:
        """Children seen of these services."""
        return sum(len(self.at.get(service, ())) for service in services)

    async def until(self, services: set[str], each: int, seconds: float = 1200) -> None:
        """Wait until each service has that many children."""
        deadline = time.monotonic() + seconds
        while any(len(self.at.get(service, ())) < each for service in services):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.count(services)} children of {each * len(services)}")
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """End the watches."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def births(client: Client) -> AsyncIterator[Births]:
    """Watching, until the end."""
    made = Births(client)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
