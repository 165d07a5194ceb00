"""Rows about the records of releases while something is gone back to: written first, told only when confirmed, kept while served."""

from typing import Any

import pytest
from rag_operator.runtime.errors import ApiError

from .world import World, service

Json = dict[str, Any]
V2 = {"version": "answer-v2", "system": "Be brief."}


async def settle(world: World) -> None:
    """The pods load what is in the table and say so."""
    await world.run()
    world.pods_report()
    await world.run()


async def two_of_everything(**spec: Any) -> World:
    """Ready with answer-v2 and docs-2 as revision 2; both others were revision 1."""
    world = World(service(**spec))
    await world.until_ready()
    world.edit(prompt=V2, index={"version": "docs-2"})
    await world.run()
    await world.run()
    world.job_ends(chunks=7)
    await settle(world)
    assert serving(world) == 2
    return world


def serving(world: World) -> int:
    (revision,) = world.table.revisions
    return revision.number


def states(world: World) -> dict[int, str | None]:
    """What became of each recorded revision, by number."""
    bodies = [body for key, body in world.objects.items() if key.kind == "RagRevision"]
    return {body["spec"]["number"]: body.get("status", {}).get("state") for body in bodies}


def refused(verb: str, kind: str, name: str) -> ApiError | None:
    """Records are not taken."""
    return ApiError(403, "Forbidden", "no") if (verb, kind) == ("apply", "RagRevision") else None


def documents_change(world: World) -> None:
    """Under the name of the index, which is refused: only what was released before is served then."""
    world.config_maps["documents"] = {"data": {"a.md": "Other."}}


async def test_going_back_is_told_only_when_the_pods_have_confirmed_it() -> None:
    world = await two_of_everything()
    world.edit(rollback={"prompt": "answer-v1"})
    await world.run()
    assert serving(world) == 3
    assert world.reason("ReleaseSettled") == ("False", "TableRefreshing")
    assert states(world) == {1: "Superseded", 2: "Serving", 3: None}
    assert world.body["status"]["revision"] == 2
    world.pods_report()
    await world.run()
    assert world.reason("ReleaseSettled") == ("True", "RolledBack")
    assert states(world) == {1: "Superseded", 2: "RolledBack", 3: "Serving"}
    assert world.body["status"]["revision"] == 3


@pytest.mark.parametrize("held", [False, True], ids=["spec taken", "spec refused"])
async def test_new_combination_is_recorded_before_it_is_served(held: bool) -> None:
    world = await two_of_everything()
    if held:
        documents_change(world)
    world.edit(rollback={"prompt": "answer-v1"})
    await world.run()
    assert (world.reason("SpecValid")[0] == "False") == held
    written = [write[1:] for write in world.writes if write[0] == "apply"]
    assert written == [("RagRevision", "handbook-r3"), ("ConfigMap", "handbook-releases")]


@pytest.mark.parametrize("held", [False, True], ids=["spec taken", "spec refused"])
async def test_new_combination_without_a_record_is_not_served(held: bool) -> None:
    world = await two_of_everything()
    if held:
        documents_change(world)
    world.edit(rollback={"prompt": "answer-v1"})
    world.refuse = refused
    await world.run()
    assert serving(world) == 2
    world.refuse = lambda *_: None
    await world.run()
    assert serving(world) == 3


@pytest.mark.parametrize("history", [1, 2])
async def test_what_serves_and_what_is_gone_back_to_are_kept_however_few_are_asked_for(history: int) -> None:
    world = await two_of_everything()
    world.edit(release={"history": history}, rollback={"revision": 1})
    await settle(world)
    assert serving(world) == 1
    assert states(world)[1] == "Serving"
    assert world.reason("ReleaseSettled") == ("True", "RolledBack")


async def test_what_the_pods_still_serve_is_kept_until_they_have_left_it() -> None:
    world = await two_of_everything(release={"history": 1})
    world.later(10)
    world.edit(prompt={"version": "answer-v3", "system": "Third."})
    await world.run()
    assert states(world) == {2: "Serving", 3: None}
    world.pods_report()
    again = await world.run()
    assert again is not None
    await world.run()
    assert states(world) == {3: "Serving"}
    assert await world.run() is None


async def test_those_that_were_left_last_are_kept() -> None:
    world = await two_of_everything(release={"history": 3})
    edits: list[Json] = [
        {"prompt": {"version": "answer-v3", "system": "Third."}},
        {"rollback": {"revision": 1}},
        {"rollback": None, "prompt": {"version": "answer-v4", "system": "Fourth."}},
        {"prompt": {"version": "answer-v5", "system": "Fifth."}},
    ]
    for edit in edits:
        world.later(10)
        world.edit(**edit)
        await settle(world)
    assert serving(world) == 5
    assert sorted(states(world)) == [1, 4, 5]
