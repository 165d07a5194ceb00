"""SIGKILL at the writes of every way to go back and forward again: the same revision serves, the same ones are kept, none twice.

Services go through all moves beside each other, each with the operator killed once in each move. The selection that every run takes
has one service and some of the moves; `make faults` kills at every write of every move, in each of the three moments. Every write,
but without processes: `tests/unit/rag_operator/test_killed_moves.py`.
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pytest
from rag_contract.release_table import FILE_NAME

from tests.control_plane.reconcile.harness import Json, Kube, config_map, rag_service, until

from .life import EVERYTHING, KILLED_SECONDS, Reference, World, same_end
from .plans import KILLS, Fault, Rule, Write

pytestmark = pytest.mark.control_plane
APART_SECONDS = 1.1
"""Between two moves: the times at which revisions are left, which decide what is kept, are in whole seconds."""
SERVING = ("True", "AllChecksPassed")
UNKNOWN = ("False", "RollbackTargetUnknown")
REUSED = ("False", "IndexVersionReused")
HISTORY = 3
CALM, FIRST, EARLY, DENIED = "calm", "moved000", "early", "denied"
WORKLOADS = ("apply deployments ", "apply statefulsets ")


OTHERS: Json = {"documents": {"configMapRef": {"name": "others"}}}
"""Other content under the name of the index that serves, which is refused."""
AS_BEFORE: Json = {"documents": {"configMapRef": {"name": "documents"}}}
ON_THE_CPU: Json = {"cache": {"type": "Ephemeral", "size": "1Gi"}, "gpu": {"count": 0}}
HOSTED: Json = {"runtime": "VLLM", "name": "example/small", "vllm": ON_THE_CPU}


@dataclass(frozen=True)
class Move:
    """An edit, and what is served and said after it. `number`: of the revision, when every move before was made."""

    name: str
    spec: Json
    number: int
    ready: tuple[str, str] = SERVING
    says: str = ""
    """Is in the message of Ready."""
    kept: tuple[int, ...] = ()
    """Revisions that are kept after it, where they are looked at."""
    starts: frozenset[str] = frozenset()
    """Workloads whose template it changes: no others start a pod anew."""
    always: bool = True
    """It is in the selection that every run takes. Those that are not lead back to where they began."""


FORWARD: Json = {"rollback": None}
V1: Json = {"version": "answer-v1", "system": "Answer from the sources."}
MOVES = (
    Move(
        "a prompt, to a combination that never was, while the spec is refused for another part",
        {"rollback": {"prompt": "answer-v1"}, "index": OTHERS},
        3,
        REUSED,
    ),
    Move(
        "an index instead, with the spec put right, and a combination goes",
        {"rollback": {"prompt": None, "index": "docs-1"}, "index": AS_BEFORE},
        4,
        kept=(1, 3, 4),
    ),
    Move(
        "what is kept no more",
        {"rollback": {"index": None, "revision": 2}},
        4,
        UNKNOWN,
        "spec.rollback.revision names 2, which is not kept; kept are 4, 3, 1: name one of them",
    ),
    Move("away from it", {"rollback": {"index": "docs-1", "revision": None}}, 4, always=False),
    Move("forward, and a revert of the spec", {"prompt": V1, **FORWARD}, 3),
    Move("an index", {"rollback": {"index": "docs-1"}}, 1, always=False),
    Move("forward from the index", FORWARD, 3, always=False),
    Move("a revision as a whole", {"rollback": {"revision": 4}}, 4, always=False),
    Move("forward from the revision", FORWARD, 3, always=False),
    Move("other retrieval", {"retrieval": {"topK": 9}}, 5),
    Move(
        "another API image, and what was left last stays",
        {"api": {"image": "example.com/api:1"}},
        6,
        kept=(3, 5, 6),
        starts=frozenset({"-api"}),
    ),
    Move("back from the image, as a whole", {"rollback": {"revision": 5}}, 5, starts=frozenset({"-api"}), always=False),
    Move("forward to the image", FORWARD, 6, starts=frozenset({"-api"}), always=False),
    Move("another model", {"model": HOSTED}, 7, starts=frozenset({"-model-HASH"})),
    Move("back from the model", {"rollback": {"model": "extractive"}}, 6, always=False),
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
        """Wait until all say what they are to say, and every pod has said that it serves the revision."""
        kube, seconds = self.stage.kube, 60.0 + 5 * len(self.services)
        for service in self.services:
            until(lambda service=service: kube.condition(service) == move.ready, seconds)  # type: ignore[misc]
            until(lambda service=service: confirmed(kube, service) == (move.number, [move.number]), seconds)  # type: ignore[misc]
            assert move.says in message(kube, service), service
        if move.ready == SERVING:
            self.stage.served(self.services, move.number, seconds)
        for service in self.services:
            assert [move.number] == table_numbers(kube.get("ConfigMap", f"{service}-releases") or {}), service
            if move.kept:
                until(lambda service=service: move.kept == tuple(sorted(states(kube, service))))  # type: ignore[misc]


def states(kube: Kube, service: str) -> dict[int, str | None]:
    """What became of each recorded revision, by number."""
    return {r["spec"]["number"]: r.get("status", {}).get("state") for r in kube.list("RagRevision", service)}


def status(kube: Kube, service: str) -> Json:
    """The status of a service."""
    return dict((kube.get("RagService", service) or {}).get("status") or {})


def confirmed(kube: Kube, service: str) -> tuple[int | None, list[int]]:
    """The revision that the pods have confirmed, by the service's status and by the records'."""
    serving = [number for number, state in states(kube, service).items() if state == "Serving"]
    return status(kube, service).get("revision"), serving


def message(kube: Kube, service: str) -> str:
    """Of Ready."""
    return next(str(c["message"]) for c in status(kube, service)["conditions"] if c["type"] == "Ready")


def started(writes: Sequence[str]) -> set[str]:
    """Workloads that were written."""
    return {what.partition(" ")[2].partition(" ")[2] for what in writes if what.startswith(WORKLOADS)}


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
def begun(stage: World) -> None:
    """Services that the tests here share are made at the same time."""
    stage.kube.create("ConfigMap", config_map("others", **{"a.md": "Others."}))
    Lanes(stage, [CALM, FIRST, EARLY, DENIED]).begin()


@pytest.fixture(scope="module")
def undisturbed(stage: World, begun: None) -> Reference:
    """One service that goes through the moves with no fault: a step for each."""
    lanes, taken = Lanes(stage, [CALM]), Reference()
    taken.take(stage, CALM)
    for move in CHOSEN:
        stage.kube.patch("RagService", CALM, {"spec": move.spec})
        lanes.arrived(move)
        taken.take(stage, CALM)
        assert move.starts == started(taken.writes[-1]), move.name
    return taken


def kills(writes: Sequence[str], move: int) -> list[tuple[str, Fault]]:
    """Where to kill in a move: everywhere, or at one write that differs from move to move.

    An event is told once by each process and may be counted up later instead of written: it is no moment to wait for. Nor is the
    hint on a pod that loads a model, which is not written when it was ready at once.
    """
    whats = [what for what in writes if not what.endswith("events") and not what.startswith("patch pods -model")]
    if EVERYTHING:
        return [(what, fault) for what in whats for fault in KILLS]
    return [(whats[move % len(whats)], KILLS[move % len(KILLS)])]


def test_at_every_write_of_going_back_and_forward(stage: World, undisturbed: Reference) -> None:
    plans = [kills(writes, number) for number, writes in enumerate(undisturbed.writes[1:])]
    more = [f"moved{number:03}" for number in range(1, max(map(len, plans)))]
    if more:
        Lanes(stage, more).begin()
    lanes = Lanes(stage, [FIRST, *more])
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
    for service in (CALM, *lanes.services):
        assert [] == list(unrecorded(stage.proxy.sent(service))), service


def test_going_back_is_told_when_the_pods_have_confirmed_it(stage: World, begun: None) -> None:
    """Until then the record of what they serve stays too, however few are kept."""
    kube, service = stage.kube, EARLY
    stage.nodes.slow.add(service)
    back = {"release": {"history": 2}, "rollback": {"prompt": "answer-v1"}}
    kube.patch("RagService", service, {"spec": back})
    until(lambda: kube.condition(service, "ReleaseSettled") == ("False", "TableRefreshing"))
    assert [3] == table_numbers(kube.get("ConfigMap", f"{service}-releases") or {})
    assert {1: "Superseded", 2: "Serving", 3: None} == states(kube, service)
    assert (2, 3) == (status(kube, service)["revision"], status(kube, service)["release"]["movingTo"])
    stage.nodes.slow.discard(service)
    stage.served([service], 3)
    assert ("True", "RolledBack") == kube.condition(service, "ReleaseSettled")
    until(lambda: {1: "Superseded", 3: "Serving"} == states(kube, service))


def test_without_its_record_nothing_is_gone_back_to_while_the_spec_is_refused(stage: World, begun: None) -> None:
    def served() -> list[int]:
        return table_numbers(stage.kube.get("ConfigMap", f"{DENIED}-releases") or {})

    stage.proxy.rules.append(rule := Rule(DENIED, "apply ragrevisions -r*", Fault.FORBIDDEN, times=1_000))
    stage.kube.patch("RagService", DENIED, {"spec": {"index": OTHERS, "rollback": {"prompt": "answer-v1"}}})
    until(lambda: rule.taken)
    time.sleep(1)
    assert [2] == served()
    rule.times = 0
    until(lambda: [3] == served())
