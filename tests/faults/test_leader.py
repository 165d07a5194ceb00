"""Two operators and one Lease: whoever loses it writes no more and ends, even when it was frozen in the middle of a pass."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.fixtures import Cluster
from tests.control_plane.reconcile.harness import MERGE, Kube, new_kube, until

from .life import NodesDouble, Process, World
from .plans import Fault, Rule
from .proxy import FaultProxy

pytestmark = pytest.mark.control_plane
LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases/rag-operator"
FAILOVER_SECONDS = 20.0
LOSS_SECONDS = 4.0
"""Two seconds between renewals, then at most one until no worker writes, and one for a busy machine."""
END_SECONDS = 10.0


@pytest.fixture
def space(plane: Cluster) -> Iterator[Kube]:
    with new_kube(plane, "leader") as kube:
        yield kube


@pytest.fixture
def two(plane: Cluster, space: Kube, tmp_path: Path) -> Iterator[list[World]]:
    """Two operators for one namespace, each behind a proxy of its own; the first leads."""
    worlds: list[World] = []
    with NodesDouble(space) as nodes:
        for number in range(2):
            folder = tmp_path / str(number)
            folder.mkdir()
            proxy = FaultProxy(plane).start()
            process = Process(proxy, space.namespace, folder, leader_election="true", lease_namespace=space.namespace)
            worlds.append(World(space, proxy, process, nodes))
        worlds[0].process.start()
        until(lambda: holder(space))
        worlds[1].process.start()
        until(lambda: worlds[1].proxy.requests["get leases"], 30)
        try:
            yield worlds
        finally:
            for made in worlds:
                made.process.kill()
                made.proxy.stop()


def holder(kube: Kube) -> str:
    status, body = kube.send("GET", LEASES.format(kube.namespace))
    return str(body["spec"].get("holderIdentity") or "") if status == 200 else ""


def written(world: World) -> list[str]:
    """All writes but those about the Lease."""
    return [write.what for write in list(world.proxy.writes) if "leases" not in write.what]


def test_a_lease_taken_by_somebody_else_ends_the_process(two: list[World]) -> None:
    first, second = two
    first.create("led")
    first.served(["led"], 1)
    assert [] == written(second), "one leads, and only that one writes"
    later = {"spec": {"holderIdentity": "somebody-else", "leaseDurationSeconds": 15}}
    assert 200 == first.kube.send("PATCH", LEASES.format(first.kube.namespace), later, MERGE)[0]
    time.sleep(LOSS_SECONDS)
    before = written(first)
    first.change("led")
    assert 1 == first.process.ended(END_SECONDS)
    assert before == written(first)


def test_a_leader_that_was_killed_is_followed(two: list[World]) -> None:
    first, second = two
    name = holder(first.kube)
    first.create("followed")
    until(lambda: written(first))
    first.process.kill()
    assert until(lambda: holder(first.kube) not in {"", name}, 40) < FAILOVER_SECONDS
    second.served(["followed"], 1)
    assert {} == {what: n for what, n in both(two, "followed").items() if n > 1}


def both(two: list[World], service: str) -> Counter[str]:
    """What was made by either."""
    return two[0].proxy.made(service) + two[1].proxy.made(service)


def test_a_leader_that_was_frozen_writes_nothing_when_it_wakes(two: list[World]) -> None:
    """SIGSTOP in the middle of a pass, while it waits for the answer to a write; SIGCONT when the other one leads."""
    first, second = two
    name = holder(first.kube)
    rule = Rule("frozen", "create secrets -qdrant-key", Fault.OVERTAKEN, lambda: first.process.send(signal.SIGSTOP))
    first.proxy.rules.append(rule)
    first.create("frozen")
    until(lambda: rule.answer)
    until(lambda: holder(first.kube) not in {"", name}, 40)
    second.served(["frozen"], 1)
    before = written(first)
    first.process.send(signal.SIGCONT)
    assert 1 == first.process.ended(END_SECONDS)
    assert before == written(first)
    assert {} == {what: n for what, n in both(two, "frozen").items() if n > 1}
    second.quiet()
