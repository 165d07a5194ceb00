"""How long going back takes, on real containers under load. `make bench-rollback`; some minutes.

    python -m tests.bench.rollback [--moves N] [--rate N] [--streams N]

One RagService with three API pods on the bench's node, the operator installed as users install it. Moves by turns: rollback of
the prompt and forward again, of the index and forward again, an edit of retrieval and back. The time of a move is from the
start of `kubectl patch` until the last of the three pods, each asked at its own address every 50 ms, has answered from the new
release. Meanwhile clients ask through the Service, each request on a connection of its own, and streams are always open. The
model is a double that echoes what it was given, so that an answer out of two releases shows. The ordinary way, a Deployment
whose ConfigMap's name is changed, is measured under the same load after it.

Exit status: 0 when every goal was reached, else 1.
"""

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.__main__ import OPERATOR_USER, kube_in, operator_on_bench
from tests.cluster.fixtures import Cluster, new_namespace
from tests.cluster.settings import from_environment
from tests.e2e.kube import Kube

from . import facts, model, moves, ordinary, stage, trail
from .load import SHOWN, Load, Seen
from .moves import HOME, Taken

GOAL_SECONDS = 2.0
ROLLS = 3


class Table:
    """Prints figure, goal and whether it was reached, and counts the goals that were missed."""

    def __init__(self) -> None:
        self.missed = 0

    def show(self, name: str, value: str, goal: str = "", *, reached: bool = True) -> None:
        """One line."""
        self.missed += not reached
        verdict = f"   goal {goal}  {'reached' if reached else 'NOT REACHED'}" if goal else ""
        print(f"{name:<58} {value:>20}{verdict}".rstrip(), flush=True)

    def none(self, name: str, found: Sequence[object]) -> None:
        """A line whose goal is that there are none; the first ones are shown."""
        self.show(name, str(len(found)), "0", reached=not found)
        for each in found[:SHOWN]:
            print(f"    {each}")

    def seconds(self, name: str, values: Sequence[float], goal: float | None = None) -> None:
        """p50, p95 and the longest of some times; the goal is for p95."""
        p50, p95, longest = percentile(values, 0.5), percentile(values, 0.95), max(values)
        text = f"{p50:.2f} / {p95:.2f} / {longest:.2f} s"
        self.show(name, text, f"p95 <= {goal:g} s" if goal else "", reached=goal is None or p95 <= goal)


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank, in favour of the larger."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True)
class Clients:
    """How many requests per second, and how many streams are always open."""

    rate: float
    streams: int


async def measure(cluster: Cluster, kube: Kube, count: int, clients: Clients, table: Table) -> None:
    """Everything, in one namespace that is made for it."""
    async with model.serving(from_environment(os.environ).host_address) as url:
        await asyncio.to_thread(stage.build, kube, url)
        key = await asyncio.to_thread(kube.secret, f"{stage.NAME}-client-key", "api-key")
        before = await asyncio.to_thread(stage.pods, kube)
        offset = cluster.audit_log.stat().st_size
        addresses = [f"http://{pod['status']['podIP']}:8000" for pod in before]
        load = Load(kube.service_address(f"{stage.NAME}-api"), key)
        async with load.running(clients.rate, clients.streams):
            await asyncio.sleep(model.SLOW_SECONDS)  # until all streams are open
            taken = []
            for number, move in enumerate(moves.cycle(count), 1):
                taken.append(await moves.make(move, kube, addresses, load))
                print(
                    f"\r  move {number}: {move.kind}, {taken[-1].seconds:.2f} s ", end="", file=sys.stderr, flush=True
                )
        print(file=sys.stderr)
        after = await asyncio.to_thread(stage.pods, kube)
        _moves(table, taken)
        _trail(table, trail.parts(taken, cluster.audit(offset), kube.namespace, OPERATOR_USER))
        _clients(table, load.seen, clients, kube)
        same = stage.restarts(before) == stage.restarts(after)
        table.show("API pods made anew, containers started anew", "none" if same else "SOME", "none", reached=same)
        await _ordinary(kube, key, clients, table, taken)


def _moves(table: Table, taken: Sequence[Taken]) -> None:
    print("\nfrom `kubectl patch` to the last of 3 API pods answering         p50 / p95 / longest")
    for kind in ("prompt", "index", "retrieval"):
        values = [each.seconds for each in taken if each.kind == kind]
        if values:
            table.seconds(f"{kind}, {len(values)} moves", values, GOAL_SECONDS)
    table.seconds(f"all {len(taken)} moves", [each.seconds for each in taken], GOAL_SECONDS)
    table.seconds("  the first pod of three", [each.pods[0] for each in taken])


def _trail(table: Table, found: Sequence[trail.Parts]) -> None:
    """The steps of a move, each by itself: their percentiles do not add up."""
    for name, values in zip(trail.NAMES, zip(*found, strict=True), strict=False):
        table.seconds(f"  {name}", values)


def _clients(table: Table, seen: Seen, clients: Clients, kube: Kube) -> None:
    print(f"\nclients meanwhile: {clients.rate:g} requests/s, {clients.streams} open streams")
    revisions = stage.revisions(kube)
    table.show("answers", str(seen.answers.total()))
    table.none("  failed", seen.failed)
    table.none("  mixed (of more than one release)", list(facts.mixed(seen.answers, revisions).elements()))
    table.none("  late (of the former release after all pods moved)", seen.late)
    if seen.times:
        table.seconds("  time of a request: p50 / p95 / longest", seen.times)
    table.show("streams of 6 s that ended", str(seen.streams.total()))
    table.show("  of them open across a move", str(seen.across))
    table.none("  broken off or refused", seen.broken)
    table.none("  not whole of the release that they began with", list(facts.mixed(seen.streams, revisions).elements()))


async def _ordinary(kube: Kube, key: str, clients: Clients, table: Table, taken: Sequence[Taken]) -> None:
    tables = (HOME, moves.CYCLE[0].wanted)
    load = Load(await asyncio.to_thread(ordinary.build, kube, tables), key)
    async with load.running(clients.rate, clients.streams):
        await asyncio.sleep(model.SLOW_SECONDS)
        times = [await ordinary.roll(kube, tables[(number + 1) % 2], load) for number in range(ROLLS)]
    print("\nthe ordinary way: a Deployment's ConfigMap gets another name    p50 / p95 / longest")
    table.seconds(f"roll-out of 3 pods, {ROLLS} times", times)
    table.show("  requests that failed", str(len(load.seen.failed)))
    table.show("  streams that broke off", str(len(load.seen.broken)))
    table.show("  pods made anew each time", str(stage.PODS))
    ratio = percentile(times, 0.5) / percentile([each.seconds for each in taken], 0.5)
    table.show("  times as long as a move (medians)", f"{ratio:.0f}")


def main() -> int:
    """Run it; 0 when every goal was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=50, metavar="N", help="moves (50; made even)")
    parser.add_argument("--rate", type=float, default=50, metavar="N", help="requests per second (50)")
    parser.add_argument("--streams", type=int, default=100, metavar="N", help="streams that are always open (100)")
    args = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}; the vector store and the model are doubles")
    table = Table()
    with operator_on_bench() as (cluster, _), new_namespace(cluster, "bench-rollback") as namespace:
        kube = kube_in(cluster, namespace)
        asyncio.run(measure(cluster, kube, args.moves, Clients(args.rate, args.streams), table))
    print(f"\n{'every goal was reached' if not table.missed else f'{table.missed} goals were NOT REACHED'}")
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
