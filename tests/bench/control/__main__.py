"""Prints the figures of the control loop, and on stderr how far it is. `make bench-control`; less than half an hour.

    python -m tests.bench.control [--objects N] [--rest SECONDS]

A control plane of its own with controllers; pods are doubles, no container runs. The load, the doubles and the operator share
the machine's cores with the API server, in the runs with the operator as in those without it.
"""

import argparse
import asyncio
import os
import platform
import signal
import sys
import tempfile
from pathlib import Path

from rag_operator.runtime import login
from rag_operator.runtime.client import Client

from tests.cluster.fixtures import Cluster, new_control_plane
from tests.cluster.settings import from_environment

from . import bare, measures
from .measures import Figures, progress
from .nodes import nodes
from .stage import HOUR, ROOT, SPACE, USER, Calls, Operator, births, running

ALONE = 20


async def measure(plane: Cluster, folder: Path, objects: int, rest: float) -> None:
    """All figures, in the order in which they need each other."""
    figures = Figures()
    async with Client(login.load(str(plane.kubeconfig)), silence_seconds=HOUR, user_agent=USER) as client:
        await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
        document = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a.md": "# A\n\nText."}}
        await client.create({**document, "metadata": {"name": "documents", "namespace": SPACE}})
        progress(f"{objects} RagServices at once")
        with running(Operator(plane, folder, "first")) as operator:
            await measures.leading(operator)
            async with births(client) as seen:
                run = await measures.converge(plane, client, operator, seen, objects)
        rates, alone = await bare_rates(plane, client)
        figures.rate(run, objects, rates[True], rates[False])
        async with nodes(client) as pods:
            with running(Operator(plane, folder, "second", resync_seconds=str(max(10.0, rest * 0.8)))) as operator:
                await measures.leading(operator)
                progress("pods begin to run; until all are Ready")
                calls = Calls(plane)
                await measures.all_ready(client, objects)
                figures.life(calls.take(), run, objects)
                progress(f"{rest:.0f} s of rest")
                await measures.at_rest(plane, operator, figures, rest)
                async with births(client) as seen:
                    figures.alone(alone)
                    await measures.small(plane, client, seen, figures, run)
                    progress("100 at once")
                    await measures.batch(client, seen, pods, figures, rates[True])
            progress("restart and fail-over")
            await measures.restart(plane, folder, figures)
            await measures.fail_over(plane, client, folder, figures)
    progress("done")


async def bare_rates(plane: Cluster, client: Client) -> tuple[dict[bool, float], bare.Alone]:
    """Children per second that a client alone writes: by server-side apply (True), by create (False); and what it takes for
    the children of one service alone."""
    rates = dict[bool, float]()
    bodies = await bare.dump(client, "load", "bare")
    async with births(client):  # the same eyes are on both
        for apply in (False, True):
            await measures.settled(plane)
            progress(f"a bare client writes the same {len(bodies)} children by {'apply' if apply else 'create'}")
            made = await bare.write_back(client, bodies, apply=apply)
            rates[apply] = made.rate
            await measures.settled(plane)
            progress("and removes them")
            await measures.remove(client, made.bodies)
    await measures.settled(plane)
    progress("the children of one service, and one child, by a bare client")
    alone = await bare.alone(client, bodies, ALONE)
    await measures.remove(client, alone.bodies)
    await measures.settled(plane)
    return rates, alone


def main() -> int:
    """Run them; 0 when all could be taken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=1000, metavar="N", help="RagServices (1000)")
    parser.add_argument("--rest", type=float, default=600, metavar="SECONDS", help="how long to watch rest (600)")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends with it
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {args.objects} RagServices\n")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        with new_control_plane(from_environment(os.environ), path / "plane", controllers=True) as plane:
            plane.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
            plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
            asyncio.run(measure(plane, path, args.objects, args.rest))
    return 0


if __name__ == "__main__":
    sys.exit(main())
