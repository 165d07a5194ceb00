"""Events and figures of moves: which part moved, from what to what, how it ended, and in what time."""

from typing import Any

import pytest
from rag_operator.cluster.move_log import MoveLog
from rag_operator.observed import Json
from rag_operator.status.moves import Move, move

from .test_rollback import V2, settle, with_two_indexes, with_two_prompts
from .world import World


def told(world: World) -> list[str]:
    """Messages of the events about moves."""
    return [message for _, reason, message in world.events if reason in {"Settled", "RolledBack"}]


async def test_first_release_and_each_move_have_one_event_that_names_what_changed() -> None:
    world = await with_two_prompts()
    world.edit(rollback={"prompt": "answer-v1"})
    await settle(world)
    await settle(world)

    assert told(world) == [
        "Revision 1 is served by every API pod.",
        "Revision 2 is served by every API pod, instead of revision 1; prompt answer-v2 instead of answer-v1.",
        "Revision 1 is served by every API pod, instead of revision 2; prompt answer-v1 instead of answer-v2."
        " It was asked for by spec.rollback: prompt answer-v1.",
    ]


async def test_a_move_is_told_when_the_pods_confirm_it_and_not_before() -> None:
    world = await with_two_prompts()
    world.edit(rollback={"prompt": "answer-v1"})
    await world.run()
    assert len(told(world)) == 2
    world.pods_report()
    await world.run()
    assert len(told(world)) == 3


async def ended(world: World, **spec: Any) -> Move | None:
    """How the move that this edit asks for ends."""
    before = dict(world.body["status"])
    world.edit(**spec)
    await settle(world)
    return move(before, world.body["status"])


MOVES: list[tuple[dict[str, Any], str, str]] = [
    ({"prompt": {"version": "answer-v3", "system": "New."}}, "prompt", "confirmed"),
    ({"rollback": {"prompt": "answer-v1"}}, "prompt", "confirmed"),
    ({"rollback": {"revision": 1}}, "revision", "confirmed"),
    ({"retrieval": {"topK": 3}}, "revision", "confirmed"),
    ({"rollback": {"revision": 9}}, "revision", "refused"),
    ({"prompt": {"system": "Other."}}, "prompt", "refused"),
]


@pytest.mark.parametrize(("edit", "kind", "result"), MOVES)
async def test_kind_and_result_of_a_move(edit: Json, kind: str, result: str) -> None:
    found = await ended(await with_two_prompts(), **edit)
    assert found is not None
    assert (found.kind, found.result) == (kind, result)


async def test_an_index_that_is_gone_back_to_is_a_move_of_the_index() -> None:
    found = await ended(await with_two_indexes(), rollback={"index": "docs-1"})
    assert found is not None
    assert (found.kind, found.result) == ("index", "confirmed")


async def test_an_edit_that_releases_nothing_is_no_move() -> None:
    world = await with_two_prompts()
    assert await ended(world, release={"history": 5}) is None
    world.edit(prompt={**V2, "system": "Other."})
    await settle(world)
    assert await ended(world, release={"history": 6}) is None, "a refusal is told once"


class Watched:
    """A log of moves and its clock. What is stored is what was written last, as on a server."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str, float]] = []
        self.at = 100.0
        self.status: Json = {"observedGeneration": 1, "revision": 1, "prompt": "one", "release": {}}
        self.log = MoveLog(lambda: self.at, lambda *what: self.found.append(what))

    def looks(self, generation: int, **status: Any) -> None:
        """A pass, and the status that it writes."""
        body = {"metadata": {"uid": "u", "generation": generation}, "status": self.status}
        self.log.seen(body)
        after = {**self.status, "observedGeneration": generation, "release": {}, **status}
        if after != self.status:
            self.log.ended(body, after)
            self.status = after

    def restarts(self) -> None:
        self.log = MoveLog(lambda: self.at, lambda *what: self.found.append(what))


MOVING = {"release": {"movingTo": 2}}
WAITING = {"release": {"waitingFor": "its index"}}
MOVED = {"revision": 2, "prompt": "two"}


def test_time_counts_from_the_first_look_at_the_edit() -> None:
    world = Watched()
    world.looks(1)
    world.at = 150.0
    world.looks(2, **WAITING)
    world.at = 150.5
    world.looks(2, **MOVING)
    world.at = 151.25
    world.looks(2, **MOVED)
    assert world.found == [("prompt", "confirmed", 1.25)]


def test_a_move_that_no_edit_asked_for_counts_from_when_it_began() -> None:
    """A build by schedule is released days after the last edit, whether that released something or not."""
    world = Watched()
    world.looks(1)
    world.looks(2)
    for world.at in (90_000.0, 180_000.0):
        world.looks(2)
    world.looks(2, **MOVING)
    world.at += 0.5
    world.looks(2, **MOVED)
    assert world.found == [("prompt", "confirmed", 0.5)]


def test_what_the_move_still_waits_for_counts_from_the_edit_too() -> None:
    """Going back in the prompt while an index is built: two moves, both asked for by one edit."""
    world = Watched()
    world.looks(2, **WAITING)
    world.at += 1
    world.looks(2, **MOVED, **WAITING)
    world.at += 9
    world.looks(2, revision=3, index="other")
    assert world.found == [("prompt", "confirmed", 1.0), ("index", "confirmed", 10.0)]


def test_after_a_restart_time_counts_from_the_first_look_of_the_new_process() -> None:
    world = Watched()
    world.looks(2, **MOVING)
    world.at += 100
    world.restarts()
    world.looks(2, **MOVING)
    world.at += 2
    world.looks(2, **MOVED)
    assert world.found == [("prompt", "confirmed", 2.0)]
