"""One test for each broken state: said rightly, soon, and True again after the repair. All rows run once, beside each other."""

import contextlib
import sys
import time
from collections.abc import Iterator

import pytest

from tests.cluster.fixtures import Cluster, new_namespace

from ..kube import Kube
from .lanes import FIRST, LAST, ROWS
from .parts import documents, make
from .place import Place, Server
from .run import Healed, Lane, Outcome, Row, Runner

pytestmark = pytest.mark.node

LATEST = 8.0
"""Seconds; the promise is 5 on a machine that does nothing else."""
AT_ONCE = 5


@pytest.fixture(scope="module")
def outcomes(operator: Kube, node_cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[dict[str, Outcome]]:
    """What was seen of each row that is asked for."""
    asked = {
        item.callspec.params["row"].name
        for item in request.session.items
        if hasattr(item, "callspec") and "row" in item.callspec.params
    }
    server = Server(node_cluster)
    runner = Runner(server, make)
    started = time.monotonic()
    with contextlib.ExitStack() as spaces:
        common = spaces.enter_context(new_namespace(node_cluster, "states"))
        documents()(Place(server, common, ""))

        def placed(lanes: list[Lane]) -> list[tuple[Lane, str]]:
            return [
                (lane, spaces.enter_context(new_namespace(node_cluster, lane.name)) if lane.own_namespace else common)
                for lane in lanes
                if asked & {row.name for row in lane.rows}
            ]

        runner.run(placed(FIRST), AT_ONCE)
        runner.run(placed(LAST), 1)
    _print(runner.outcomes, time.monotonic() - started)
    yield runner.outcomes
    server.close()


def _print(outcomes: dict[str, Outcome], seconds: float) -> None:
    lines = [
        f"\n{len(outcomes)} states in {seconds:.0f} s; seconds from the fact to the status, from the repair to True:"
    ]
    for name, seen in outcomes.items():
        numbers = ["   -" if number is None else f"{number:4.1f}" for number in (seen.late, seen.back)]
        lines.append(f"  {name:42} {numbers[0]} {numbers[1]}  {seen.seen[:150]}")
    sys.stderr.write("\n".join(lines) + "\n")


@pytest.mark.parametrize("row", [row for row in ROWS if isinstance(row, Row)], ids=lambda row: row.name)
def test_a_broken_state_is_told_and_its_repair_is_enough(outcomes: dict[str, Outcome], row: Row) -> None:
    seen = outcomes[row.name]
    assert seen.late is not None, f"{seen.seen}; {seen.ready}"
    assert seen.late <= LATEST, seen.seen
    assert seen.back is not None, seen.seen


@pytest.mark.parametrize("row", [row for row in ROWS if isinstance(row, Healed)], ids=lambda row: row.name)
def test_a_hand_on_a_child_is_undone(outcomes: dict[str, Outcome], row: Healed) -> None:
    seen = outcomes[row.name]
    assert seen.late is not None, seen.seen
    assert seen.late <= LATEST
    assert seen.back is not None, seen.seen
