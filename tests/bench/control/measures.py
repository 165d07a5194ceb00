"""What is measured, and the table that is printed: figure, goal, and whether it was reached."""

import asyncio
import random
import signal
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rag_operator import names
from rag_operator.runtime import kinds
from rag_operator.runtime.client import Client
from rag_operator.runtime.errors import ApiError
from rag_operator.runtime.kinds import Kind

from tests.cluster.fixtures import Cluster

from .bare import Alone
from .nodes import NodesDouble
from .stage import SPACE, WRITES, Births, Calls, Operator, create_all, rag_service, running, writes

Json = dict[str, Any]
HARM = "edited-by-hand"
CHILDREN = 12
"""Of one service before its index is built: ten objects and two Secrets."""


STARTED = time.monotonic()


def progress(text: str) -> None:
    """How far it is, for who waits."""
    print(f"[{time.monotonic() - STARTED:5.0f} s] {text}", file=sys.stderr, flush=True)


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


@dataclass
class Run:
    """One convergence: children per second, and what the operator spent on it."""

    objects: int
    children: int
    rate: float
    writes: float
    reads: float
    cpu: float


class Figures:
    """The table."""

    def show(self, name: str, value: float, unit: str, goal: float | None = None, *, least: bool = False) -> None:
        """One line; `goal` is an upper bound, or a lower one (`least`)."""
        text = ""
        if goal is not None:
            reached = value >= goal if least else value <= goal
            text = f"{'>=' if least else '<='} {goal:g} {unit}  {'reached' if reached else 'NOT REACHED'}"
        print(f"{name:<62} {value:>9.1f} {unit:<11} {text}".rstrip(), flush=True)

    def rate(self, run: Run, objects: int, applied: float, created: float) -> None:
        """The convergence of many beside the bare client."""
        self.show("bare client: same children by server-side apply, 16 in flight", applied, "children/s")
        self.show("bare client: the same by create", created, "children/s")
        self.show(f"{objects} RagServices at once", run.rate, "children/s")
        self.show("  of the bare client's rate by server-side apply", run.rate / applied * 100, "%", 90, least=True)
        self.show("  of the bare client's rate by create", run.rate / created * 100, "%")
        self.show("  writes per RagService, all counted", run.writes, "", run.children + 2)
        self.show("  reads per RagService", run.reads, "")
        self.show("  CPU per RagService", run.cpu * 1000, "ms")

    def alone(self, seen: Alone) -> None:
        """What the API server itself takes, beside which the next figures stand."""
        self.show("bare client: all children of one service at once, p50", statistics.median(seen.service) * 1000, "ms")
        self.show("bare client: one child applied, p50", statistics.median(seen.child) * 1000, "ms")
        self.show("  p99", percentile(seen.child, 0.99) * 1000, "ms")

    def life(self, calls: Calls.Count, run: Run, objects: int) -> None:
        """What follows once pods run: index, first revision, release table, statuses, Events."""
        self.show(
            "  writes per RagService until it is Ready, Events included", run.writes + writes(calls) / objects, ""
        )
        self.detail(calls, objects)

    def spent(self, name: str, calls: Calls.Count, count: int, goal: float) -> None:
        """Writes for each of `count` changes, and what they were."""
        self.show(name, writes(calls) / count, "", goal)
        self.detail(calls, count)

    def detail(self, calls: Calls.Count, count: int) -> None:
        """The writes by verb and resource."""
        each = (f"{verb} {what} {n / count:.1f}" for (verb, what), n in sorted(calls.items()) if verb in WRITES)
        print(f"    ({', '.join(each)})", flush=True)


async def leading(operator: Operator) -> None:
    """Wait until it may write."""
    await until(lambda: _true(operator.leads))


async def _true(value: bool) -> bool:
    return value


async def until(what: Callable[[], Awaitable[bool]], seconds: float = 900, pause: float = 0.05) -> float:
    """Wait for something; the seconds that it took."""
    start = time.monotonic()
    while not await what():
        if time.monotonic() - start > seconds:
            raise TimeoutError(f"not within {seconds} s")
        await asyncio.sleep(pause)
    return time.monotonic() - start


async def converge(plane: Cluster, client: Client, operator: Operator, seen: Births, objects: int) -> Run:
    """Declare all at once; until the last child of the last one is there."""
    services = [f"load{number:05}" for number in range(objects)]
    calls, cpu, start = Calls(plane), operator.cpu, time.monotonic()
    await asyncio.gather(create_all(client, services), seen.until(set(services), CHILDREN))
    last = max(moment for service in services for moment in seen.at[service].values())
    count = calls.take()
    reads = sum(number for (verb, _), number in count.items() if verb in {"get", "list"})
    spent = (operator.cpu - cpu) / objects
    return Run(objects, CHILDREN, CHILDREN * objects / (last - start), writes(count) / objects, reads / objects, spent)


async def settled(plane: Cluster, seconds: float = 5.0) -> None:
    """Wait until the controllers have nothing more to do about what was written before."""
    calls, start = Calls(plane, everybody=True), time.monotonic()
    quiet_since = start
    while time.monotonic() - quiet_since < seconds and time.monotonic() - start < 300:
        await asyncio.sleep(0.5)
        if writes(calls.take()) > 0:
            quiet_since = time.monotonic()
        calls.reset()


async def remove(client: Client, bodies: list[Json]) -> None:
    """Delete what the bare client wrote, and wait until it is gone."""
    gate = asyncio.Semaphore(16)

    async def one(metadata: Json, kind: Kind) -> None:
        async with gate:
            await client.delete(kind, SPACE, metadata["name"], uid=metadata["uid"], resource_version=None)

    await asyncio.gather(*(one(body["metadata"], kinds.kind_of(body)) for body in bodies))


async def all_ready(client: Client, objects: int) -> None:
    """Until every service says Ready."""

    async def ready() -> bool:
        count = 0
        async for page in client.list_pages(kinds.RAG_SERVICE, SPACE):
            count += sum(_ready(item) for item in page["items"])
        return count >= objects

    await until(ready, pause=max(2.0, objects / 200))
    await asyncio.sleep(20)  # the last pods, their events and the looks again after them


def _ready(service: Json) -> bool:
    conditions = (service.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


async def at_rest(plane: Cluster, operator: Operator, figures: Figures, rest: float) -> None:
    """Nothing changes for a while, one resync inside."""
    calls, cpu, start = Calls(plane), operator.cpu, time.monotonic()
    await asyncio.sleep(rest)
    count, seconds = calls.take(), time.monotonic() - start
    lists = {resource: number for (verb, resource), number in count.items() if verb == "list"}
    figures.show(f"settled for {seconds:.0f} s: writes", writes(count), "", 0)
    figures.show("  GETs", sum(number for (verb, _), number in count.items() if verb == "get"), "", 0)
    figures.show("  pages of LISTs, most of any kind (200 objects each)", max(lists.values(), default=0), "")
    figures.show("  CPU", (operator.cpu - cpu) / seconds * 100, "% of a core", 2)
    figures.show("  RSS", operator.memory, "MiB", 200)


async def small(plane: Cluster, client: Client, seen: Births, figures: Figures, run: Run) -> None:
    """One object among the settled ones: alone, one field, one fact, one child."""
    alone = []
    for number in range(20):
        service, start = f"solo{number:05}", time.monotonic()
        await client.create(rag_service(service), field_manager="user")
        await seen.until({service}, run.children)
        alone.append(max(seen.at[service].values()) - start)
        await asyncio.sleep(3)  # its pods and their controllers are done: the next one is alone
    figures.show("one alone: create to last child, p50", statistics.median(alone) * 1000, "ms", 80)
    await asyncio.sleep(15)
    await healing(client, seen, figures, run.objects)
    await edits(client, seen, figures, run.objects)
    await budget(plane, client, figures)


async def healing(client: Client, seen: Births, figures: Figures, objects: int) -> None:
    """A child deleted or edited by hand, a hundred times: seconds until it is as declared."""
    dice, took = random.Random(1), []
    cases: list[tuple[Kind, Callable[[str], str]]] = [
        (kinds.SERVICE, names.api),
        (kinds.SERVICE_ACCOUNT, names.api),
        (kinds.CONFIG_MAP, names.releases),
        (kinds.SERVICE, names.qdrant),
    ]
    harmed: dict[tuple[str, str], float] = {}
    healed: dict[tuple[str, str], asyncio.Future[float]] = {}

    def saw(change: str, obj: Json) -> None:
        """Both moments are those at which a watch tells of them."""
        place = obj["kind"], obj["metadata"]["name"]
        label = (obj["metadata"].get("labels") or {}).get(names.LABEL_COMPONENT)
        if place not in healed:
            return
        if change == "DELETED" or label == HARM:
            harmed[place] = time.monotonic()
        elif place in harmed and not healed[place].done():
            healed[place].set_result(time.monotonic() - harmed[place])

    seen.listeners.append(saw)
    for number in range(100):
        kind, name_of = cases[number % len(cases)]
        name = name_of(f"load{dice.randrange(objects):05}")
        future = healed[kind.kind, name] = asyncio.get_running_loop().create_future()
        if number // len(cases) % 2:
            stored = await client.get(kind.path(SPACE, name))
            await client.delete(kind, SPACE, name, uid=stored["metadata"]["uid"], resource_version=None)
        else:
            await client.merge_patch(kind, SPACE, name, {"metadata": {"labels": {names.LABEL_COMPONENT: HARM}}})
        took.append(await asyncio.wait_for(future, 30))
        healed.clear()
        harmed.clear()
        await asyncio.sleep(0.05)
    seen.listeners.remove(saw)
    figures.show("a deleted or edited child is back, p50", statistics.median(took) * 1000, "ms", 15)
    figures.show("  p99", percentile(took, 0.99) * 1000, "ms", 60)


async def edits(client: Client, seen: Births, figures: Figures, objects: int) -> None:
    """One field of the spec changed: until the child that shows it is written (here a new settings ConfigMap)."""
    took = []
    waiting: dict[str, asyncio.Future[float]] = {}

    def saw(change: str, obj: Json) -> None:
        service = (obj["metadata"].get("labels") or {}).get(names.LABEL_SERVICE)
        if change == "ADDED" and obj["kind"] == "ConfigMap" and service in waiting and not waiting[service].done():
            waiting[service].set_result(time.monotonic())

    seen.listeners.append(saw)
    for number in range(min(20, objects)):
        service = f"load{objects - 1 - number:05}"
        future = waiting[service] = asyncio.get_running_loop().create_future()
        edit = {"spec": {"api": {"limits": {"requestsPerMinute": 61 + number}}}}
        await client.merge_patch(kinds.RAG_SERVICE, SPACE, service, edit)
        start = time.monotonic()
        took.append(await asyncio.wait_for(future, 30) - start)
        await asyncio.sleep(3)  # its pods are exchanged: the next edit is alone
    seen.listeners.remove(saw)
    figures.show("one-field change to child written, p50", statistics.median(took) * 1000, "ms", 20)


async def budget(plane: Cluster, client: Client, figures: Figures) -> None:
    """Writes that one change costs, on settled services."""
    await asyncio.sleep(15)
    services = [f"load{number:05}" for number in range(20)]
    calls = Calls(plane)
    for service in services:
        await client.merge_patch(kinds.RAG_SERVICE, SPACE, service, {"spec": {"deletionPolicy": "Delete"}})
    await asyncio.sleep(4)
    figures.spent("one-field change: writes", calls.take(), len(services), 2)
    calls.reset()
    for service in services:
        patch = {
            "status": {"conditions": [{"type": "Available", "status": "False", "reason": "By", "message": "hand"}]}
        }
        await client.merge_patch(kinds.DEPLOYMENT, SPACE, names.api(service), patch, subresource="status")
    await asyncio.sleep(4)
    figures.spent("child status change: writes", calls.take(), len(services), 1)


async def batch(client: Client, seen: Births, pods: NodesDouble, figures: Figures, bare: float) -> None:
    """A hundred at once: when the last child of each is there, against the time that a bare client takes for all.

    As in the bare client's run, their pods begin to run afterwards.
    """
    services = [f"many{number:05}" for number in range(100)]
    pods.running.clear()
    start = time.monotonic()
    await asyncio.gather(create_all(client, services), seen.until(set(services), CHILDREN))
    pods.running.set()
    whole = 100 * CHILDREN / bare
    last = [max(seen.at[service].values()) - start for service in services]
    figures.show("100 at once: last child of each, p50", statistics.median(last), "s", round(whole / 2, 2))
    figures.show("  p99", percentile(last, 0.99), "s", round(whole, 2))
    await asyncio.sleep(30)


async def restart(plane: Cluster, folder: Path, figures: Figures) -> None:
    """A new process over settled objects: how long until it asks nothing more, and what it writes."""
    calls, start = Calls(plane), time.monotonic()
    with running(Operator(plane, folder, "third")) as operator:
        await leading(operator)
        count, quiet_since = 0, time.monotonic()
        while time.monotonic() - quiet_since < 5:
            now = sum(calls.take().values())
            if now != count:
                count, quiet_since = now, time.monotonic()
            await asyncio.sleep(0.25)
        figures.show("restart over settled objects: quiet after", quiet_since - start, "s", 10)
        figures.show("  writes", writes(calls.take()), "", 0)


async def fail_over(plane: Cluster, client: Client, folder: Path, figures: Figures) -> None:
    """Two operators; the leader ends. Until the other has healed a child that was deleted at that moment."""
    for number, name, goal in ((signal.SIGKILL, "SIGKILL", 20.0), (signal.SIGTERM, "SIGTERM", 3.0)):
        with running(Operator(plane, folder, f"leader-{name}")) as leader:
            await leading(leader)
            with running(Operator(plane, folder, f"next-{name}")):
                await asyncio.sleep(12)
                kind, child = kinds.SERVICE, names.api("load00007")
                old = (await client.get(kind.path(SPACE, child)))["metadata"]["uid"]
                start = time.monotonic()
                await asyncio.to_thread(leader.end, number)
                await client.delete(kind, SPACE, child, uid=old, resource_version=None)
                await until(partial(_other, client, kind.path(SPACE, child), old), 60)
                figures.show(f"fail-over after {name}: a child is healed after", time.monotonic() - start, "s", goal)


async def _other(client: Client, path: str, old: str) -> bool:
    try:
        return bool((await client.get(path))["metadata"]["uid"] != old)
    except ApiError as error:
        if error.is_not_found:
            return False
        raise
