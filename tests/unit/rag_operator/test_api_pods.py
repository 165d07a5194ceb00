"""The API's pods: going back exchanges none of them, whatever was released, evicted or upgraded before."""

from typing import Any

import pytest
from rag_operator import names
from rag_operator.observed import ChildKey
from rag_operator.resources import model_keys
from rag_operator.resources.store import SecretKey

from .test_model_status import EXTERNAL
from .test_revision_upgrade import API, another_operator, rendered_before, template, without_spread
from .test_rollback import V1, V2, served, settle, with_two_prompts
from .world import NAME, World, service

Json = dict[str, Any]
LIMIT: Json = {"limits": {"maxConcurrentRequests": 8}}


def keys(world: World) -> tuple[SecretKey, ...]:
    """What the API pods mount of model servers' keys."""
    return model_keys.mounted(template(world, API))


def image(world: World) -> str:
    return str(template(world, API)["spec"]["containers"][0]["image"])


def recorded(world: World, number: int) -> Json:
    """What the record of that number holds."""
    return dict(world.objects[ChildKey("RagRevision", names.revision(NAME, number))]["spec"])


async def with_a_key_that_one_record_names() -> World:
    """Ready with the built-in model as revision 2; two are kept, and only the first names a key."""
    world = World(service(release={"history": 2}, model={"runtime": "External", "external": EXTERNAL}))
    await world.until_ready()
    world.edit(model={"runtime": "Extractive", "external": None})
    await settle(world)
    assert served(world)[0] == 2
    assert keys(world) == (SecretKey("llm", "k"),)
    return world


async def test_a_key_that_no_kept_revision_names_any_more_exchanges_no_pods() -> None:
    world = await with_a_key_that_one_record_names()
    before = template(world, API)
    world.edit(prompt=V2)
    for _ in range(3):
        await settle(world)
    assert served(world)[0] == 3
    assert ChildKey("RagRevision", names.revision(NAME, 1)) not in world.objects
    assert template(world, API) == before
    assert "outdated" not in world.body["status"]["release"]


async def test_a_key_that_nothing_names_goes_with_the_next_edit_of_the_api() -> None:
    world = await with_a_key_that_one_record_names()
    world.edit(prompt=V2)
    for _ in range(3):
        await settle(world)
    world.edit(api=LIMIT)
    await settle(world)
    assert keys(world) == ()
    edited = template(world, API)
    await settle(world)
    assert template(world, API) == edited


async def test_another_key_exchanges_the_pods_once_and_takes_what_nothing_names_with_it() -> None:
    world = await with_a_key_that_one_record_names()
    world.edit(prompt=V2)
    for _ in range(3):
        await settle(world)
    world.edit(model={"runtime": "External", "external": {**EXTERNAL, "apiKeySecretRef": {"name": "new", "key": "k"}}})
    await settle(world)
    assert keys(world) == (SecretKey("new", "k"),)


def test_keys_are_read_from_a_template_as_they_were_written_there() -> None:
    wanted = (SecretKey("a-b", "x"), SecretKey("a", "x"), SecretKey("a", "y"))
    made = {"spec": {"volumes": [{"name": "other", "configMap": {}}, model_keys.volume(wanted)]}}
    assert model_keys.mounted(made) == wanted
    assert model_keys.mounted({"spec": {}}) == ()


async def with_three_releases() -> World:
    """Ready with answer-v2 and three sources as revision 3; answer-v1 was only asked with six."""
    world = await with_two_prompts()
    world.edit(retrieval={"topK": 3})
    await settle(world)
    assert served(world)[0] == 3
    return world


BACK: list[Json] = [{"rollback": {"prompt": "answer-v1"}}, {"prompt": V1}]


@pytest.mark.parametrize("back", BACK, ids=["overlay", "revert"])
async def test_going_back_to_a_new_combination_after_an_upgrade_exchanges_no_pods(back: Json) -> None:
    world = await with_three_releases()
    rendered_before(world, API, without_spread)
    another_operator(world)
    await settle(world)
    before = template(world, API)
    world.edit(**back)
    for _ in range(2):
        await settle(world)
        assert served(world) == (4, "answer-v1", "docs-1")
        assert template(world, API) == before
    assert recorded(world, 4)["image"] == "api:1"

    world.edit(rollback=None, prompt={"version": "answer-v3", "system": "New."})
    await settle(world)
    assert served(world)[0] == 5
    assert image(world) == "api:new", "what is new takes the new template"


async def test_new_content_beside_what_is_gone_back_to_waits_with_the_new_template() -> None:
    world = await with_three_releases()
    another_operator(world)
    await settle(world)
    world.edit(rollback={"prompt": "answer-v1"}, retrieval={"topK": 4})
    for _ in range(2):
        await settle(world)
    assert served(world)[0] == 4
    assert image(world) == "api:1"


async def test_going_back_while_the_spec_is_refused_exchanges_no_pods_also_when_it_is_right_again() -> None:
    world = await with_three_releases()
    another_operator(world)
    await settle(world)
    world.edit(rollback={"prompt": "answer-v1"}, index={"chunking": {"maxCharacters": 500}})
    await settle(world)
    assert world.reason("SpecValid") == ("False", "IndexVersionReused")
    assert served(world) == (4, "answer-v1", "docs-1")
    assert recorded(world, 4)["image"] == "api:1"
    world.edit(index={"chunking": None})
    await settle(world)
    assert served(world)[0] == 4
    assert image(world) == "api:1"


NEW_TEMPLATE: list[Json] = [{"api": LIMIT}, {"prompt": {"version": "answer-v3", "system": "New."}}]


@pytest.mark.parametrize("edit", NEW_TEMPLATE, ids=["edit", "release"])
async def test_a_revision_by_a_former_default_image_is_served_by_the_pods_that_run(edit: Json) -> None:
    world = await with_two_prompts()
    another_operator(world)
    world.edit(**edit)
    await settle(world)
    before = template(world, API)
    assert image(world) == "api:new"
    world.edit(rollback={"revision": 1})
    await settle(world)
    assert served(world)[0] == 1
    assert template(world, API) == before


async def test_an_image_that_a_revision_names_comes_back_with_it() -> None:
    world = World(service(api={"image": "mine:1"}))
    await world.until_ready()
    world.edit(api={"image": None}, prompt=V2)
    await settle(world)
    assert (image(world), served(world)[0]) == ("api:1", 2)
    world.edit(rollback={"revision": 1})
    await settle(world)
    assert (image(world), served(world)[0]) == ("mine:1", 1)
