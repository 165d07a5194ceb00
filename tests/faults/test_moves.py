"""SIGKILL at the writes of every way to go back and forward again: the same revision serves, the same ones are kept, none twice.

Services go through all moves beside each other, each with the operator killed once in each move. The selection that every run takes
has one service and some of the moves; `make faults` kills at every write of every move, in each of the three moments. Every write,
but without processes: `tests/unit/rag_operator/test_killed_moves.py`.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pytest
from rag_contract.release_table import FILE_NAME

from tests.control_plane.reconcile.harness import Json, rag_service, until

from .life import EVERYTHING, KILLED_SECONDS, Reference, World, same_end
from .plans import KILLS, Fault, Rule, Write

pytestmark = pytest.mark.control_plane
APART_SECONDS = 1.1
"""Between two moves: the times at which revisions are left, which decide what is kept, are in whole seconds."""
SERVING = ("True", "AllChecksPassed")
UNKNOWN = ("False", "RollbackTargetUnknown")
HISTORY = 3


@dataclass(frozen=True)
class Move:
    """An edit, and what is served and said after it. `number`: of the revision, when every move before was made."""

    name: str
    spec: Json
    number: int
    ready: tuple[str, str] = SERVING
    always: bool = True
    """It is in the selection that every run takes. Those that are not lead back to where they began."""


FORWARD: Json = {"rollback": None}
MOVES = (
    Move("a prompt, to a combination that never was", {"rollback": {"prompt": "answer-v1"}}, 3),
    Move("forward from the prompt", FORWARD, 2),
    Move("an index, and the oldest combination goes", {"rollback": {"index": "docs-1"}}, 4),
    Move("forward from the index", FORWARD, 2),
    Move("a revision as a whole", {"rollback": {"revision": 1}}, 1, always=False),
    Move("forward from the revision", FORWARD, 2, always=False),
    Move("what is not kept", {"rollback": {"prompt": "nowhere"}}, 2, UNKNOWN),
    Move("away from what is not kept", FORWARD, 2, always=False),
    Move(
        "a revert of the spec, to a combination that is kept no more",
        {"prompt": {"version": "answer-v1", "system": "Answer from the sources."}, **FORWARD},
        5,
    ),
)
CHOSEN = tuple(move for move in MOVES if EVERYTHING or move.always)


@dataclass
class Lanes:
    """Services that go through the same moves."""

    stage: World
    services: Sequence[str]

    def begin(self) -> None:
        """Two revisions each, that differ in prompt and index."""
        for service in self.services:
            self.stage.kube.create("RagService", rag_service(service, release={"history": HISTORY}))
        self.stage.served(self.services, 1, 120)
        self.stage.quiet(APART_SECONDS)
        for service in self.services:
            self.stage.change(service)
        self.stage.served(self.services, 2, 120)
        self.stage.quiet(APART_SECONDS)

    def arrived(self, move: Move) -> None:
        """Wait until all say what they are to say, and serve the revision."""
        kube = self.stage.kube
        for service in self.services:
            until(lambda service=service: kube.condition(service) == move.ready, 120)  # type: ignore[misc]
        if move.ready == SERVING:
            self.stage.served(self.services, move.number, 120)
        for service in self.services:
            assert [move.number] == table_numbers(kube.get("ConfigMap", f"{service}-releases") or {}), service


def table_numbers(body: Json) -> list[int]:
    """Revisions that a release table names."""
    return [revision["number"] for revision in json.loads(body["data"][FILE_NAME])["revisions"]]


def unrecorded(writes: Iterable[Write]) -> Iterator[int]:
    """Numbers that a stored release table named before their record was stored."""
    recorded = set()
    for write in writes:
        if write.status not in {200, 201}:
            continue
        if write.what.startswith("apply ragrevisions -r"):
            recorded.add(json.loads(write.body)["spec"]["number"])
        elif write.what == "apply configmaps -releases":
            yield from (number for number in table_numbers(json.loads(write.body)) if number not in recorded)


@pytest.fixture(scope="module")
def undisturbed(stage: World) -> Reference:
    """One service that goes through the moves with no fault: a step for each."""
    lanes, taken = Lanes(stage, ["calm"]), Reference()
    lanes.begin()
    taken.take(stage, "calm")
    for move in CHOSEN:
        stage.kube.patch("RagService", "calm", {"spec": move.spec})
        lanes.arrived(move)
        taken.take(stage, "calm")
    return taken


def kills(writes: Sequence[str], move: int) -> list[tuple[str, Fault]]:
    """Where to kill in a move: everywhere, or at one write that differs from move to move.

    An event is told once by each process and may be counted up later instead of written: it is no moment to wait for.
    """
    whats = [what for what in writes if not what.endswith("events")]
    if EVERYTHING:
        return [(what, fault) for what in whats for fault in KILLS]
    return [(whats[move % len(whats)], KILLS[move % len(KILLS)])]


def test_at_every_write_of_going_back_and_forward(stage: World, undisturbed: Reference) -> None:
    plans = [kills(writes, number) for number, writes in enumerate(undisturbed.writes[1:])]
    lanes = Lanes(stage, [f"moved{number:03}" for number in range(max(map(len, plans)))])
    lanes.begin()
    same_end(stage, lanes.services, undisturbed, 0)
    for step, (move, plan) in enumerate(zip(CHOSEN, plans, strict=True), start=1):
        for number, service in enumerate(lanes.services):
            if number < len(plan):
                stage.proxy.rules.append(rule := Rule(service, *plan[number]))
            stage.kube.patch("RagService", service, {"spec": move.spec})
            if number < len(plan):
                assert stage.process.killed.wait(KILLED_SECONDS), f"{service}, {move.name}: never wrote {rule.what!r}"
                stage.process.start()
        lanes.arrived(move)
        stage.quiet(APART_SECONDS)
        same_end(stage, lanes.services, undisturbed, step)
    for service in ("calm", *lanes.services):
        assert [] == list(unrecorded(stage.proxy.sent(service))), service
