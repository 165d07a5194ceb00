"""Another build of the operator: nothing is restarted, nothing is released, and the status says what runs as it was."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from rag_operator import names
from rag_operator.observed import ChildKey
from rag_operator.resources import kept

from .test_model_deployment import declared
from .test_model_status import serving
from .test_rollback import V2, settle, with_two_prompts
from .world import NAME, World

Json = dict[str, Any]
API = ChildKey("Deployment", names.api(NAME))
QDRANT = ChildKey("StatefulSet", names.qdrant(NAME))
OTHER = {"api_image": "api:new", "qdrant_image": "qdrant:new", "model_image": "model-server:new"}


def another_operator(world: World) -> None:
    """It brings other images where nobody names one."""
    world.settings = world.settings.model_copy(update=OTHER)
    world.restart()


def rendered_before(world: World, key: ChildKey, change: Callable[[Json], None]) -> Json:
    """An earlier build rendered this child's template otherwise. The template as it was."""
    live = world.objects[key]
    note = kept.note_of(live)
    assert note is not None
    template = copy.deepcopy(note.template)
    change(template)
    live["spec"]["template"] = template
    live["metadata"]["annotations"][names.ANNOTATION_RENDERED] = kept.written(
        note._replace(template=template, build="earlier")
    )
    return template


def without_spread(template: Json) -> None:
    del template["spec"]["topologySpreadConstraints"]


def writes(world: World) -> list[tuple[str, str, str]]:
    """Everything but statuses."""
    return [write for write in world.writes if write[0] != "status"]


def template(world: World, key: ChildKey) -> Json:
    found: Json = world.objects[key]["spec"]["template"]
    return found


async def test_other_default_images_restart_nothing_and_release_nothing() -> None:
    world = await serving(declared())
    revisions = [key for key in world.objects if key.kind == "RagRevision"]
    another_operator(world)
    await world.run()

    assert writes(world) == []
    assert [key for key in world.objects if key.kind == "RagRevision"] == revisions
    assert world.body["status"]["release"]["outdated"] == ["api", "qdrant", "model"]
    assert world.reason() == ("True", "AllChecksPassed")
    await world.run()
    assert world.writes == []


async def test_a_template_that_is_rendered_anew_takes_the_image_that_knows_its_settings() -> None:
    world = await with_two_prompts()
    another_operator(world)
    await world.run()
    assert template(world, API)["spec"]["containers"][0]["image"] == "api:1"

    world.edit(api={"limits": {"maxConcurrentRequests": 8}})
    await settle(world)
    assert template(world, API)["spec"]["containers"][0]["image"] == "api:new"
    assert world.body["status"]["release"]["outdated"] == ["qdrant"]
    assert [revision.number for revision in world.table.revisions] == [2]


async def test_an_image_that_the_user_names_is_never_outdated() -> None:
    world = World()
    world.edit(api={"image": "mine:1"}, vectorStore={"qdrant": {"image": "mine:2"}})
    await world.until_ready()
    another_operator(world)
    await world.run()

    assert writes(world) == []
    assert "outdated" not in world.body["status"]["release"]


async def test_a_build_that_renders_otherwise_restarts_nothing_until_the_next_release() -> None:
    world = await with_two_prompts()
    before = rendered_before(world, API, without_spread)
    await world.run()

    assert writes(world) == []
    assert template(world, API) == before
    assert world.body["status"]["release"]["outdated"] == ["api"]

    world.edit(rollback={"prompt": "answer-v1"})
    await settle(world)
    assert template(world, API) == before, "going back restarts nothing"

    world.edit(rollback=None, prompt={"version": "answer-v3", "system": "New."})
    await settle(world)
    assert "topologySpreadConstraints" in template(world, API)["spec"]
    assert "outdated" not in world.body["status"]["release"]


async def test_an_edit_of_its_part_renders_a_component_anew_and_no_other() -> None:
    world = await with_two_prompts()
    rendered_before(world, API, without_spread)
    store = rendered_before(world, QDRANT, lambda it: it["spec"].pop("enableServiceLinks"))
    await world.run()
    assert world.body["status"]["release"]["outdated"] == ["api", "qdrant"]

    world.edit(api={"replicas": 3})
    await world.run()
    assert "topologySpreadConstraints" not in template(world, API)["spec"], "more pods of the same template"

    world.edit(api={"drainSeconds": 31})
    await world.run()
    assert "topologySpreadConstraints" in template(world, API)["spec"]
    assert template(world, QDRANT) == store
    assert world.body["status"]["release"]["outdated"] == ["qdrant"]

    world.edit(vectorStore={"qdrant": {"resources": {"limits": {"memory": "3Gi"}}}})
    await world.run()
    assert "enableServiceLinks" in template(world, QDRANT)["spec"]


async def test_a_job_of_an_earlier_build_is_left_alone_and_its_result_is_used() -> None:
    world = await with_two_prompts()
    (job,) = [key for key in world.objects if key.kind == "Job" and "-index-" in key.name]
    spec = world.objects[job]["spec"]
    spec["template"]["spec"]["terminationGracePeriodSeconds"] = 99
    del spec["podFailurePolicy"]["rules"][0]
    await world.run()

    assert writes(world) == []
    assert world.reason() == ("True", "AllChecksPassed")


async def test_what_a_hand_changed_is_undone_to_what_was_rendered_before() -> None:
    world = await with_two_prompts()
    before = rendered_before(world, API, without_spread)
    world.objects[API]["spec"]["template"] = copy.deepcopy(before)
    world.objects[API]["spec"]["template"]["spec"]["containers"][0]["image"] = "evil:1"
    await world.run()

    assert template(world, API) == before


@pytest.mark.parametrize("note", ["", "nonsense", "a.b.!!", "a.b.eJw="])
async def test_a_note_that_cannot_be_read_counts_as_none(note: str) -> None:
    world = await with_two_prompts()
    good = world.objects[API]["metadata"]["annotations"][names.ANNOTATION_RENDERED]
    world.objects[API]["metadata"]["annotations"][names.ANNOTATION_RENDERED] = note
    await world.run()

    assert world.objects[API]["metadata"]["annotations"][names.ANNOTATION_RENDERED] == good


def with_other_settings(world: World) -> ChildKey:
    """An earlier build told the API pods less: settings of another name."""
    maps = [key for key in world.objects if key.name.startswith(f"{NAME}-api-") and key.kind == "ConfigMap"]
    (current,) = maps
    body = world.objects.pop(current)
    former = ChildKey("ConfigMap", f"{NAME}-api-0ld0ld00")
    body["metadata"] |= {
        "name": former.name,
        "labels": {**body["metadata"]["labels"], names.LABEL_SETTINGS: "0ld0ld00"},
    }
    world.objects[former] = body

    def change(made: Json) -> None:
        made["metadata"]["labels"][names.LABEL_SETTINGS] = "0ld0ld00"
        made["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"] = former.name

    rendered_before(world, API, change)
    for pod in world.pods.values():
        if pod["metadata"]["labels"].get(names.LABEL_SETTINGS):
            pod["metadata"]["labels"][names.LABEL_SETTINGS] = "0ld0ld00"
    return former


async def test_settings_of_an_earlier_build_stay_as_long_as_pods_may_need_them() -> None:
    world = await with_two_prompts()
    former = with_other_settings(world)
    await world.run()
    assert writes(world) == []

    world.edit(suspend=True)
    await world.run()
    world.controllers_finish()
    await world.run()
    assert former in world.objects, "the pods that come back are started with them"


async def test_lost_settings_of_an_earlier_build_cost_a_roll_out() -> None:
    world = await with_two_prompts()
    former = with_other_settings(world)
    del world.objects[former]
    await world.run()

    name = template(world, API)["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"]
    assert ChildKey("ConfigMap", name) in world.objects


async def test_records_of_an_earlier_build_are_served_under_their_numbers() -> None:
    world = await with_two_prompts()
    for key, body in world.objects.items():
        if key.kind == "RagRevision":
            body["spec"]["renderVersion"] = "0.0.1"
    await world.run()
    assert writes(world) == []
    world.edit(prompt={**V2, "version": "answer-v2"})
    await world.run()
    assert writes(world) == []
    assert [revision.number for revision in world.table.revisions] == [2]


async def test_a_model_that_is_gone_back_to_while_it_still_runs_is_not_restarted_by_another_build() -> None:
    world = await serving(declared())
    (key,) = [key for key in world.objects if key.name.startswith(f"{NAME}-model-") and key.kind == "Deployment"]
    before = rendered_before(world, key, without_spread)
    world.edit(model={"name": "Qwen/Qwen2.5-7B-Instruct"})
    await world.run()
    assert template(world, key) == before
    world.edit(model={"name": "Qwen/Qwen2.5-1.5B-Instruct"})
    await world.run()
    assert template(world, key) == before
    assert world.body["status"]["release"]["outdated"] == ["model"]
