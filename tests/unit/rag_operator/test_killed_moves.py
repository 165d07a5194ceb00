"""The operator dies after each write of each way to go back and forward again, and another one starts: the same end.

In memory, so that every write can be tried in every run; with processes and a real API server in `tests/faults/test_moves.py`.
"""

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from rag_operator.runtime.errors import ApiError

from .world import World, service

Json = dict[str, Any]
V1 = {"version": "answer-v1", "system": "Answer from the sources."}
V2 = {"version": "answer-v2", "system": "Be brief."}
HISTORY = 3
OTHERS, AS_BEFORE = ({"documents": {"configMapRef": {"name": name}}} for name in ("others", "documents"))
ON_THE_CPU = {"cache": {"type": "Ephemeral", "size": "1Gi"}, "gpu": {"count": 0}}
HOSTED: Json = {"runtime": "VLLM", "name": "example/small", "vllm": ON_THE_CPU}
MOVES: tuple[tuple[str, Json, int], ...] = (
    ("a prompt while the spec is refused", {"rollback": {"prompt": "answer-v1"}, "index": OTHERS}, 3),
    ("forward with the spec put right", {"rollback": None, "index": AS_BEFORE}, 2),
    ("a prompt", {"rollback": {"prompt": "answer-v1"}}, 3),
    ("forward from the prompt", {"rollback": None}, 2),
    ("an index, and a combination goes", {"rollback": {"index": "docs-1"}}, 4),
    ("forward from the index", {"rollback": None}, 2),
    ("a revision as a whole", {"rollback": {"revision": 1}}, 1),
    ("forward from the revision", {"rollback": None}, 2),
    ("what is not kept", {"rollback": {"prompt": "nowhere"}}, 2),
    ("away from what is not kept", {"rollback": None}, 2),
    ("a revert of the spec", {"prompt": V1}, 5),
    ("other retrieval", {"retrieval": {"topK": 9}}, 6),
    ("another API image", {"api": {"image": "mine:1"}}, 7),
    ("back from the image, as a whole", {"rollback": {"revision": 6}}, 6),
    ("another model", {"rollback": None, "api": {"image": None}, "model": HOSTED}, 8),
    ("back from the model", {"rollback": {"model": "extractive"}}, 6),
)
"""What it is, the edit, and the number that serves after it when all before it were made."""


class KilledError(Exception):
    """The process ends here."""


def dying(world: World, after: int) -> None:
    """Nothing is written any more after so many writes."""
    left = iter(range(after))

    def refuse(*_: str) -> ApiError | None:
        if next(left, None) is None:
            raise KilledError
        return None

    world.refuse = refuse


async def killed(
    start: World, writes: int, settle: Callable[[World], Awaitable[object]]
) -> AsyncIterator[tuple[int, World]]:
    """For each write of `settle`: how many were made, and the world as the next operator finds it."""
    for after in range(writes):
        world = copy.deepcopy(start)
        dying(world, after)
        with pytest.raises(KilledError):
            await settle(world)
        named_and_recorded(world)
        world.refuse = lambda *_: None
        world.restart()
        yield after, world


async def settle(world: World) -> list[tuple[str, str, str]]:
    """Passes, and pods that load what is stored, until nothing is written; the writes."""
    writes: list[tuple[str, str, str]] = []
    for _ in range(6):
        await world.run()
        if not world.writes:
            return writes
        writes += world.writes
        world.controllers_finish()
        world.pods_report()
    raise AssertionError(f"it does not settle: {world.writes}")


def end(world: World) -> Json:
    """Everything that is stored, without times and versions."""
    stored = {
        f"{key.kind} {key.name}": [body.get(part) for part in ("spec", "data", "status")]
        for key, body in world.objects.items()
    }
    return json.loads(json.dumps([stored, world.body["status"]]), object_hook=untimed)  # type: ignore[no-any-return]


def untimed(told: Json) -> Json:
    return {key: value for key, value in told.items() if key not in {"lastTransitionTime", "since", "left"}}


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    """The world before each move, and after the last one."""
    return asyncio.run(before_each())


async def before_each() -> list[World]:
    world = World(service(release={"history": HISTORY}))
    world.config_maps["others"] = {"data": {"a.md": "Other."}}
    await world.until_ready()
    world.later(10)
    world.edit(prompt=V2, index={"version": "docs-2"})
    await world.run()
    await world.run()
    world.job_ends(chunks=7)
    await settle(world)
    worlds = [copy.deepcopy(world)]
    for _, spec, _ in MOVES:
        world.later(10)
        world.edit(**spec)
        await settle(world)
        worlds.append(copy.deepcopy(world))
    return worlds


def number(world: World) -> int:
    (revision,) = world.table.revisions
    return revision.number


@pytest.mark.parametrize("move", range(len(MOVES)), ids=[move[0] for move in MOVES])
async def test_after_each_write_of_a_move(move: int, worlds: list[World]) -> None:
    start, undisturbed, (_, spec, serving) = copy.deepcopy(worlds[move]), worlds[move + 1], MOVES[move]
    assert serving == number(undisturbed)
    start.later(10)
    start.edit(**spec)
    writes = len(await settle(copy.deepcopy(start)))
    assert writes >= 1
    async for after, world in killed(start, writes, settle):
        await settle(world)
        assert end(undisturbed) == end(world), f"killed after {after} of {writes} writes"


def named_and_recorded(world: World) -> None:
    """What the table names has its record."""
    assert number(world) in {body["spec"]["number"] for key, body in world.objects.items() if key.kind == "RagRevision"}
