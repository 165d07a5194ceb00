"""Our verdict and the real scheduler's agree on 1,000 random little clusters, the node included."""

import asyncio
import os
import random
import time
from collections import Counter

import pytest
from rag_operator.runtime import kinds
from rag_operator.runtime.client import Client
from rag_operator.scheduling import ClusterNodes, need_of

from tests.cluster.fixtures import Cluster

from .cases import CASE, NAMESPACE, Case, Json, case
from .stage import add_account, client_of, finish, for_all, nodes_of, remove

pytestmark = pytest.mark.control_plane
CASES = int(os.environ.get("GPU_CASES", "1000"))
SEED = int(os.environ.get("GPU_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)


async def test_the_scheduler_agrees_with_every_verdict(scheduler_plane: Cluster) -> None:
    print(f"\nGPU_SEED={SEED} GPU_CASES={CASES}")
    rng = random.Random(SEED)
    cases = [case(number, rng) for number in range(CASES)]
    async with client_of(scheduler_plane) as client:
        await add_account(client)
        await _place_nodes_and_users(client, cases)
        async with nodes_of(client) as watch:
            known = watch.snapshot()
            assert known is not None
            verdicts = await _scheduled(client, [each.probe for each in cases])
    wrong, seen = _differences(cases, known, verdicts)

    print(f"fits or why not: {dict(seen)}")
    assert [] == wrong
    assert {"fits": True, "not": True} == {"fits": seen["fits"] > CASES / 20, "not": CASES - seen["fits"] > CASES / 20}


async def _place_nodes_and_users(client: Client, cases: list[Case]) -> None:
    async def placed(user: Json) -> None:
        await client.create(user)
        match user["metadata"]["labels"]["fate"]:
            case "goes":
                await remove(client, user)
            case "finished":
                await finish(client, user)

    await for_all(client.create, [node for each in cases for node in each.nodes])
    await for_all(placed, [user for each in cases for user in each.users])


async def _scheduled(client: Client, probes: list[Json], seconds: float = 60) -> dict[str, str]:
    """By the probe's name: the node that the scheduler chose, or its reason with a "!" before."""
    await for_all(client.create, probes)
    deadline, found = time.monotonic() + seconds, dict[str, str]()
    while len(found) < len(probes):
        assert time.monotonic() < deadline, f"the scheduler has judged {len(found)} of {len(probes)} pods"
        await asyncio.sleep(1)
        async for page in client.list_pages(kinds.POD, NAMESPACE, "probe=true"):
            for pod in page["items"]:
                said = _said(pod)
                if said:
                    found[pod["metadata"]["name"]] = said
    return found


def _said(pod: Json) -> str:
    if pod["spec"].get("nodeName"):
        return str(pod["spec"]["nodeName"])
    for condition in pod["status"].get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"!{condition['message']}"
    return ""


def _differences(cases: list[Case], known: ClusterNodes, verdicts: dict[str, str]) -> tuple[list[str], Counter[str]]:
    wrong, seen = [], Counter[str]()
    spaces: dict[str, list[str]] = {}
    for node in known.nodes:
        spaces.setdefault(node.labels[CASE], []).append(node.name)
    by_name = {node.name: node for node in known.nodes}
    for number, each in enumerate(cases):
        # The nodes of a neighbour are looked at, too: they must be told apart by the case's label.
        near = [by_name[name] for n in (number, (number + 1) % len(cases)) for name in spaces[str(n)]]
        placement = ClusterNodes(tuple(near), known.use).explain(need_of(each.probe))
        seen["fits" if placement.fits else str(placement.reason)] += 1
        said = verdicts[each.probe["metadata"]["name"]]
        if said.startswith("!") if placement.fits else not said.startswith("!"):
            wrong.append(f"case {number}: we say {placement}, the scheduler {said}")
        elif placement.fits and said not in placement.nodes:
            wrong.append(f"case {number}: the scheduler took {said}, we know {placement.nodes}")
    return wrong, seen
