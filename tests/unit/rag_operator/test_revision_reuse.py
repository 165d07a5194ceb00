"""A version names one content for ever: inline, from a ConfigMap, and also when the old content stands in a RagRevision alone."""

from typing import Any

import pytest

from .test_rollback import settle, with_two_indexes, with_two_prompts
from .world import NAME, World, service

Json = dict[str, Any]


async def refused(world: World, reason: str) -> str:
    """Nothing but the status is written, what was served is served, and the message tells what to do."""
    before = world.table
    await world.run()
    assert world.writes == [("status", "RagService", NAME)]
    assert world.table == before
    assert world.reason("SpecValid") == ("False", reason)
    assert world.reason() == ("False", reason)
    assert "goes on serving" in world.condition("Degraded")["message"]
    return str(world.condition("SpecValid")["message"])


async def test_old_prompt_that_stands_in_a_revision_alone() -> None:
    world = await with_two_prompts()
    world.edit(prompt={"version": "answer-v1", "system": "Other words."})
    message = await refused(world, "PromptVersionReused")
    assert 'The prompt "answer-v1" of revision 1 has other content' in message
    assert "a new spec.prompt.version" in message
    assert "RagRevision handbook-r1 holds" in message


async def test_old_prompt_that_comes_back_by_its_name_alone() -> None:
    """Half a revert: the text is known, but under another name. To serve it would also take the right name from the old text."""
    world = await with_two_prompts()
    world.edit(prompt={"version": "answer-v1"})
    await refused(world, "PromptVersionReused")

    world.edit(prompt={"system": "Answer from the sources."})
    await settle(world)
    assert [revision.number for revision in world.table.revisions] == [1]
    assert world.reason() == ("True", "AllChecksPassed")


async def test_where_the_embedding_server_is_found_is_not_taken_from_a_refused_spec() -> None:
    """No pod mounts the key that it names: while the spec is refused no pod gets another one."""
    server = {"url": "http://embedder:8000", "model": "small", "dimension": 4}
    world = World(service(index={"embedding": {"provider": "External", "external": server}}))
    await world.until_ready()
    key = {"apiKeySecretRef": {"name": "embedder", "key": "token"}}
    world.edit(index={"embedding": {"external": key}}, prompt={"system": "Other words."})
    await refused(world, "PromptVersionReused")


async def test_where_the_key_of_a_model_lies_is_not_taken_from_a_refused_spec() -> None:
    external = {"url": "http://model:8000", "model": "small"}
    world = World(service(model={"runtime": "External", "external": external}))
    await world.until_ready()
    key = {"apiKeySecretRef": {"name": "model", "key": "token"}}
    world.edit(model={"external": key}, prompt={"system": "Other words."})
    await refused(world, "PromptVersionReused")


async def test_refusal_text_is_content_too() -> None:
    world = await with_two_prompts()
    world.edit(prompt={"refusal": "No."})
    await refused(world, "PromptVersionReused")


async def test_prompt_whose_config_map_changed() -> None:
    world = World(service(prompt={"system": None, "configMapRef": {"name": "prompts", "key": "answer"}}))
    world.config_maps["prompts"] = {"data": {"answer": "Answer."}}
    await world.until_ready()
    world.config_maps["prompts"] = {"data": {"answer": "Answer briefly."}}
    await refused(world, "PromptVersionReused")
    assert world.table.revisions[0].prompt.system == "Answer."

    world.edit(prompt={"version": "answer-v2"})
    await settle(world)
    assert world.table.revisions[0].prompt.system == "Answer briefly."
    assert world.reason() == ("True", "AllChecksPassed")


CHANGED: list[Json] = [
    {"version": "docs-1", "chunking": {"maxCharacters": 500}},
    {"version": "docs-1", "documents": {"tenant": "other"}},
]


@pytest.mark.parametrize("index", CHANGED, ids=["other chunks", "another tenant"])
async def test_old_index_that_stands_in_a_revision_alone(index: Json) -> None:
    world = await with_two_indexes()
    world.edit(index=index)
    message = await refused(world, "IndexVersionReused")
    assert 'The index "docs-1" of revision 1 has other documents or settings' in message
    assert "a new spec.index.version" in message
    assert 'spec.rollback.index "docs-1"' in message


async def test_old_index_whose_documents_have_changed_meanwhile_is_served_by_the_overlay() -> None:
    world = await with_two_indexes()
    world.config_maps["documents"] = {"data": {"a.md": "Other."}}
    world.edit(index={"version": "docs-1"})
    await refused(world, "IndexVersionReused")

    world.edit(rollback={"index": "docs-1"})
    await settle(world)
    assert world.table.revisions[0].index.version == "docs-1"
    assert world.reason() == ("True", "AllChecksPassed")


async def test_content_that_was_put_back_is_served_under_its_old_number() -> None:
    world = await with_two_prompts()
    world.edit(prompt={"version": "answer-v1", "system": "Other words."})
    await world.run()
    world.edit(prompt={"system": "Answer from the sources."})
    await settle(world)
    assert [revision.number for revision in world.table.revisions] == [1]
    assert world.reason() == ("True", "AllChecksPassed")


async def test_the_same_content_under_another_name_is_no_reuse() -> None:
    world = await with_two_prompts()
    world.edit(prompt={"version": "answer-v3", "system": "Be brief."})
    await settle(world)
    assert [(r.number, r.prompt.version) for r in world.table.revisions] == [(3, "answer-v3")]
