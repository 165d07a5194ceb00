"""Rows about going back: `spec.rollback`, a revert of the spec, and what happens meanwhile."""

from typing import Any

import pytest
from rag_contract.reports import ReadyCheck
from rag_operator import names
from rag_operator.api import RagService

from .world import NAME, World, service

V1 = {"version": "answer-v1", "system": "Answer from the sources."}
V2 = {"version": "answer-v2", "system": "Be brief."}


def served(world: World) -> tuple[int, str, str]:
    """Number, prompt and index of the table's only revision."""
    (revision,) = world.table.revisions
    return revision.number, revision.prompt.version, revision.index.version


async def settle(world: World) -> None:
    """The pods load what is in the table and say so."""
    await world.run()
    world.pods_report()
    await world.run()


async def with_two_prompts() -> World:
    """Ready with answer-v2 as revision 2; answer-v1 was revision 1."""
    world = World()
    await world.until_ready()
    world.edit(prompt=V2)
    await settle(world)
    assert served(world) == (2, "answer-v2", "docs-1")
    return world


async def with_two_indexes() -> World:
    """Ready with docs-2 as revision 2; docs-1 was revision 1."""
    world = World()
    await world.until_ready()
    world.edit(index={"version": "docs-2"})
    await world.run()
    await world.run()
    world.job_ends(chunks=7)
    await settle(world)
    assert served(world) == (2, "answer-v1", "docs-2")
    return world


async def first_is_served_after_one_pass(world: World) -> None:
    """One write does it, and the service is ready as soon as its pods say so."""
    await world.run()
    assert [write for write in world.writes if write[0] == "apply"] == [("apply", "ConfigMap", "handbook-releases")]
    assert served(world) == (1, "answer-v1", "docs-1")
    world.pods_report()
    await world.run()
    assert world.reason() == ("True", "AllChecksPassed")


async def test_prompt_goes_back_in_one_pass_and_forward_again() -> None:
    world = await with_two_prompts()
    world.edit(rollback={"prompt": "answer-v1"})
    await first_is_served_after_one_pass(world)
    assert world.reason("ReleaseSettled") == ("True", "RolledBack")
    world.edit(rollback=None)
    await settle(world)
    assert served(world) == (2, "answer-v2", "docs-1")
    assert world.reason("ReleaseSettled") == ("True", "Settled")


async def test_revert_of_the_spec_does_the_same() -> None:
    world = await with_two_prompts()
    world.edit(prompt=V1)
    await world.run()
    assert served(world) == (1, "answer-v1", "docs-1")


async def test_prompt_that_the_spec_no_longer_holds_is_served_in_a_new_combination() -> None:
    world = await with_two_prompts()
    world.edit(prompt={"version": "answer-v3", "system": "Be long."}, retrieval={"topK": 3})
    await settle(world)
    world.edit(rollback={"prompt": "answer-v1"})
    await world.run()
    assert served(world) == (4, "answer-v1", "docs-1")
    assert world.table.revisions[0].prompt.system == V1["system"]
    assert world.table.revisions[0].retrieval.top_k == 3


async def test_index_goes_back_in_one_pass_and_its_job_is_not_needed() -> None:
    world = await with_two_indexes()
    world.edit(rollback={"index": "docs-1"})
    await first_is_served_after_one_pass(world)


async def test_revision_goes_back_as_a_whole() -> None:
    world = await with_two_indexes()
    world.edit(prompt=V2, retrieval={"topK": 3})
    await settle(world)
    world.edit(rollback={"revision": 1})
    await settle(world)
    assert served(world) == (1, "answer-v1", "docs-1")
    assert world.table.revisions[0].retrieval.top_k == 6
    assert world.reason() == ("True", "AllChecksPassed")


async def test_going_back_waits_for_no_index_that_is_being_built() -> None:
    world = await with_two_prompts()
    world.edit(index={"version": "docs-2"}, rollback={"prompt": "answer-v1"})
    await world.run()
    assert served(world) == (1, "answer-v1", "docs-1")
    assert world.reason("ReleaseSettled") == ("False", "WaitingForIndex")
    await world.run()
    world.job_ends()
    await settle(world)
    assert served(world) == (3, "answer-v1", "docs-2")


async def test_revert_waits_for_no_index_that_is_being_built() -> None:
    world = await with_two_prompts()
    world.edit(index={"version": "docs-2"})
    await world.run()
    world.edit(prompt=V1)
    await world.run()
    assert served(world) == (1, "answer-v1", "docs-1")


async def test_new_prompt_waits_for_the_index_that_it_was_released_with() -> None:
    world = await with_two_prompts()
    world.edit(index={"version": "docs-2"}, prompt={"version": "answer-v3", "system": "New."})
    await world.run()
    assert served(world) == (2, "answer-v2", "docs-1")


async def test_index_goes_back_although_the_declared_one_fails() -> None:
    world = await with_two_indexes()
    world.edit(index={"version": "docs-3"})
    await world.run()
    await world.run()
    world.job_ends("Failed", reason="NoDocuments")
    await world.run()
    assert world.reason() == ("False", "NoDocuments")
    world.edit(rollback={"index": "docs-1"})
    await settle(world)
    assert served(world) == (1, "answer-v1", "docs-1")
    assert world.reason() == ("True", "AllChecksPassed")


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"prompt": "answer-v9"},
        'spec.rollback.prompt names "answer-v9", which is not kept; kept are answer-v2, answer-v1',
    ),
    ({"index": "docs-9"}, 'spec.rollback.index names "docs-9", which is not kept; kept are docs-1'),
    ({"model": "other"}, 'spec.rollback.model names "other", which is not kept; kept are extractive'),
    ({"revision": 9}, "spec.rollback.revision names 9, which is not kept; kept are 2, 1"),
]


@pytest.mark.parametrize(("rollback", "words"), REFUSED)
async def test_unknown_target_is_refused_with_the_choice_and_serves_on(rollback: dict[str, Any], words: str) -> None:
    world = await with_two_prompts()
    before = world.table
    world.edit(rollback=rollback, prompt={"version": "answer-v3", "system": "New."})
    await world.run()
    assert world.writes == [("status", "RagService", NAME)]
    assert world.reason() == ("False", "RollbackTargetUnknown")
    assert words in world.condition("Ready")["message"]
    assert world.table == before


async def test_one_unknown_target_of_two_moves_nothing() -> None:
    world = await with_two_prompts()
    before = world.table
    world.edit(rollback={"prompt": "answer-v1", "index": "docs-9"})
    await world.run()
    assert world.table == before


async def test_expired_target_is_refused() -> None:
    world = World(service(release={"history": 2}))
    await world.until_ready()
    for number in range(2, 5):
        world.edit(prompt={"version": f"answer-v{number}", "system": f"Words {number}."})
        await settle(world)
    world.edit(rollback={"prompt": "answer-v1"})
    await world.run()
    assert world.reason() == ("False", "RollbackTargetUnknown")
    assert "answer-v4, answer-v3:" in world.condition("Ready")["message"]


async def test_going_back_works_while_the_spec_is_refused_for_another_part() -> None:
    world = await with_two_prompts()
    world.config_maps["documents"] = {"data": {"a.md": "Other."}}
    world.edit(rollback={"prompt": "answer-v1"}, api={"replicas": 3})
    await world.run()
    assert world.reason("SpecValid") == ("False", "IndexVersionReused")
    assert served(world) == (1, "answer-v1", "docs-1")
    assert world.only("Deployment")["spec"]["replicas"] == 1
    world.edit(rollback=None)
    await world.run()
    assert served(world) == (2, "answer-v2", "docs-1")


async def test_reused_version_is_no_matter_while_another_is_gone_back_to() -> None:
    world = await with_two_prompts()
    world.edit(prompt={"system": "Changed under its name."}, rollback={"prompt": "answer-v1"})
    await settle(world)
    assert world.reason() == ("True", "AllChecksPassed")
    world.edit(rollback=None)
    await world.run()
    assert world.reason() == ("False", "PromptVersionReused")
    assert served(world) == (1, "answer-v1", "docs-1")


async def test_twice_in_a_row() -> None:
    world = await with_two_prompts()
    world.edit(prompt={"version": "answer-v3", "system": "Third."})
    await settle(world)
    for version, number in (("answer-v2", 2), ("answer-v1", 1), ("answer-v2", 2)):
        world.edit(rollback={"prompt": version})
        await settle(world)
        assert served(world) == (number, version, "docs-1")
        assert world.reason() == ("True", "AllChecksPassed")


async def test_what_was_left_last_is_kept_longest() -> None:
    world = World(service(release={"history": 2}))
    await world.until_ready()
    for version in ("answer-v2", "answer-v3"):
        world.later(10)
        world.edit(prompt={"version": version, "system": version})
        await settle(world)
    world.later(10)
    world.edit(rollback={"prompt": "answer-v2"})
    await settle(world)
    world.later(10)
    world.edit(rollback=None, prompt={"version": "answer-v4", "system": "answer-v4"})
    await settle(world)
    kept = sorted(key.name for key in world.objects if key.kind == "RagRevision")
    assert kept == ["handbook-r2", "handbook-r4"]


async def test_lost_collection_of_an_index_that_is_not_declared_runs_no_job() -> None:
    world = await with_two_indexes()
    world.edit(rollback={"index": "docs-1"})
    await settle(world)
    world.later(120)
    world.pods_report(checks=(ReadyCheck(name="collections", ok=False, message="it is not there."),))
    again = await world.run()
    assert [write for write in world.writes if write[0] == "delete"] == []
    assert again is not None
    assert again >= 1
    assert world.reason("IndexReady") == ("False", "CollectionLost")
    assert "spec.rollback.index" in world.condition("IndexReady")["message"]


def test_revision_excludes_the_others() -> None:
    with pytest.raises(ValueError, match="goes back as a whole"):
        RagService.model_validate(service(rollback={"revision": 1, "prompt": "answer-v1"}))


async def images(world: World, default: str) -> str:
    """The image of the API pods after a pass of an operator with this default."""
    world.settings = world.settings.model_copy(update={"api_image": default})
    await settle(world)
    deployment = next(
        body for key, body in world.objects.items() if (key.kind, key.name) == ("Deployment", names.api(NAME))
    )
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


async def test_another_operator_restarts_nothing_until_something_is_released() -> None:
    world = await with_two_prompts()
    first = world.settings.api_image
    assert await images(world, "api:new") == first
    world.edit(rollback={"prompt": "answer-v1"})
    assert await images(world, "api:new") == first
    assert served(world)[0] == 1
    world.edit(rollback=None, prompt={"version": "answer-v3", "system": "Be long."})
    assert await images(world, "api:new") == "api:new"
    assert await images(world, "api:newer") == "api:new"
    world.edit(rollback={"revision": 1})
    assert await images(world, "api:newer") == "api:new"


async def test_an_image_that_the_user_names_is_a_release_and_is_left_again() -> None:
    world = await with_two_prompts()
    first = world.settings.api_image
    world.edit(api={"image": "mine:1"})
    assert await images(world, first) == "mine:1"
    assert served(world)[0] == 3
    world.edit(api={"image": None})
    assert await images(world, first) == first
    assert served(world)[0] == 2
