"""Rows about `spec.index.refresh.onChange`: changed documents become numbered builds of the same version."""

import pytest
from rag_operator.releases.target import _build_number, numbered_version

from .world import World, service

REFRESH = {"refresh": {"onChange": True}}


def change(world: World, text: str) -> None:
    """The user edits the documents, not the RagService."""
    world.config_maps["documents"] = {"data": {"a.md": text}}


async def build(world: World) -> None:
    """The index Job of the documents as they are is made, ends well, and the pods load the release."""
    await world.run()
    await world.run()
    world.job_ends()
    await world.run()
    world.pods_report()
    await world.run()


def served(world: World) -> tuple[int, str]:
    (revision,) = world.table.revisions
    return revision.number, revision.index.version


async def ready(**index: object) -> World:
    world = World(service(index=index))
    await world.until_ready()
    assert served(world) == (1, "docs-1")
    return world


async def test_changed_documents_are_built_beside_and_served_as_a_numbered_build() -> None:
    world = await ready(**REFRESH)
    change(world, "Second.")
    await world.run()
    assert served(world) == (1, "docs-1")
    assert world.reason("SpecValid")[0] == "True"
    await build(world)
    assert served(world) == (2, "docs-1.2")
    assert world.reason() == ("True", "AllChecksPassed")
    change(world, "Third.")
    await build(world)
    assert served(world) == (3, "docs-1.3")
    await world.run()
    await world.run()
    assert [write for write in world.writes if write[0] != "status"] == []


async def test_documents_that_are_put_back_are_the_build_that_they_were() -> None:
    world = await ready(**REFRESH)
    first = world.config_maps["documents"]
    change(world, "Second.")
    await build(world)
    world.config_maps["documents"] = first
    await world.run()
    assert served(world) == (1, "docs-1")


async def test_a_build_is_gone_back_to_by_its_name() -> None:
    world = await ready(**REFRESH)
    for text in ("Second.", "Third."):
        change(world, text)
        await build(world)
    world.edit(rollback={"index": "docs-1.2"})
    await world.run()
    assert served(world) == (2, "docs-1.2")
    change(world, "Fourth.")
    await world.run()
    assert served(world) == (2, "docs-1.2")


async def test_a_change_during_a_build_abandons_it_and_takes_its_number() -> None:
    world = await ready(**REFRESH)
    change(world, "Second.")
    await world.run()
    change(world, "Third.")
    await build(world)
    assert served(world) == (2, "docs-1.2")


async def test_a_build_keeps_the_name_that_it_was_begun_with() -> None:
    """A record that goes while the build waits for its release frees a lower number, under which there is no collection."""
    world = await ready(**REFRESH)
    world.edit(release={"history": 2})
    change(world, "Second.")
    await build(world)
    world.edit(rollback={"index": "docs-1"})
    change(world, "Third.")
    await build(world)
    world.edit(prompt={"version": "answer-v2", "system": "Be brief."})
    for _ in range(3):
        world.later(10)
        await world.run()
        world.pods_report()
    assert "docs-1.2" not in {
        body["spec"]["index"]["version"] for key, body in world.objects.items() if key.kind == "RagRevision"
    }
    world.edit(rollback=None)
    await world.run()
    assert world.table.revisions[0].index.version == "docs-1.3"
    assert ".docs-1.3." in world.table.revisions[0].index.collection


async def test_a_result_of_another_collection_is_not_believed_and_the_job_runs_again() -> None:
    world = await ready(**REFRESH)
    change(world, "Second.")
    await world.run()
    await world.run()
    world.job_ends(collection="team-a.handbook.docs-1.9.0123456789abcdef")
    await world.run()
    assert served(world) == (1, "docs-1")
    world.later(11)
    await world.run()
    assert ("delete", "Job") in {write[:2] for write in world.writes}
    await build(world)
    assert served(world) == (2, "docs-1.2")


async def test_without_it_changed_documents_are_refused_also_after_numbered_builds() -> None:
    world = await ready(**REFRESH)
    change(world, "Second.")
    await build(world)
    world.edit(index={"refresh": {"onChange": False}})
    await world.run()
    world.pods_report()
    await world.run()
    assert served(world) == (2, "docs-1.2")
    assert world.reason() == ("True", "AllChecksPassed")
    change(world, "Third.")
    await world.run()
    assert world.reason("SpecValid") == ("False", "IndexVersionReused")
    assert served(world) == (2, "docs-1.2")


@pytest.mark.parametrize(
    ("version", "number", "name"),
    [
        ("docs-1", 1, "docs-1"),
        ("docs-1", 2, "docs-1.2"),
        ("d" * 63, 12, "d" * 60 + ".12"),
        ("d" * 60 + "-xy", 10, "d" * 60 + ".10"),
    ],
)
def test_numbers_are_read_back(version: str, number: int, name: str) -> None:
    assert numbered_version(version, number) == name
    assert len(name) <= 63
    assert _build_number(name, version) == number


@pytest.mark.parametrize("name", ["docs-2", "docs-1.0", "docs-1.1", "docs-1.x", "docs-1.02", "docs-1.999999999999"])
def test_other_names_are_no_builds(name: str) -> None:
    assert _build_number(name, "docs-1") == 0
