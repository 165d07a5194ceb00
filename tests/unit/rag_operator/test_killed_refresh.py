"""The operator dies after each write of a build by schedule, and another one starts, also after the next moment: the same end."""

import copy

import pytest
from rag_operator import names
from rag_operator.observed import ChildKey, component_of, finished

from .test_killed_moves import end, killed
from .test_refresh_schedule import HOUR, build, ready, served
from .world import NAME, World

DAY = 24 * HOUR


async def settle(world: World) -> int:
    """Passes, Jobs that end well, and pods that load what is stored, until nothing is written; the number of writes."""
    writes = 0
    for _ in range(9):
        await world.run()
        if not world.writes:
            return writes
        writes += len(world.writes)
        for key, job in list(world.objects.items()):
            if key.kind == "Job" and component_of(job) == names.COMPONENT_INDEX and finished(job) is None:
                world.job_ends()
        world.controllers_finish()
        world.pods_report()
    raise AssertionError(f"it does not settle: {world.writes}")


async def before() -> World:
    """Two builds were released, and the third is due; the older one goes with it."""
    world = await ready()
    world.edit(release={"history": 2})
    await build(world, HOUR)
    await settle(world)
    world.later(DAY)
    return world


@pytest.mark.parametrize(
    ("away", "moment"), [(5.0, "2026-11-22T09:00:00Z"), (DAY, "2026-11-23T09:00:00Z")], ids=["at once", "a day later"]
)
async def test_after_each_write(away: float, moment: str) -> None:
    start = await before()
    undisturbed = copy.deepcopy(start)
    writes = await settle(undisturbed)
    assert writes >= 4
    assert served(undisturbed) == (3, "docs-1.3")
    async for after, world in killed(start, writes, settle):
        world.later(away)
        await settle(world)
        number, _ = served(world)
        record = world.objects[ChildKey("RagRevision", names.revision(NAME, number))]
        assert record["spec"]["indexSlot"] == moment, f"killed after {after} of {writes} writes"
        assert world.reason() == ("True", "AllChecksPassed")
        if away < DAY:
            assert end(undisturbed) == end(world), f"killed after {after} of {writes} writes"
