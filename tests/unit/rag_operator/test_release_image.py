"""API pods that do not become ready: the former ones serve, and after its deadline the roll-out is taken back."""

from typing import Any

import pytest
from rag_contract.reports import ReadyCheck
from rag_operator import names
from rag_operator.observed import ChildKey, PodAnswer

from .test_rollback import V2, served, settle
from .world import NAME, World, report, running_pod

Json = dict[str, Any]
API = ChildKey("Deployment", names.api(NAME))
LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}


def image(world: World) -> str:
    return str(world.objects[API]["spec"]["template"]["spec"]["containers"][0]["image"])


def rolling(world: World, *, available: int = 1, late: bool = False) -> None:
    """One new pod was made beside the former one, and is not ready."""
    body = world.objects[API]
    counts = {"replicas": 2, "updatedReplicas": 1, "readyReplicas": available, "availableReplicas": available}
    conditions = [LATE] if late else []
    body["status"] = {"observedGeneration": body["metadata"]["generation"], **counts, "conditions": conditions}


async def with_new_image() -> World:
    """Ready with mine:1; then mine:2 was asked for."""
    world = World()
    world.edit(api={"image": "mine:1"})
    await world.until_ready()
    world.edit(api={"image": "mine:2"})
    await world.run()
    assert image(world) == "mine:2"
    return world


async def test_image_that_does_not_start_in_time_is_taken_back_and_stays_so() -> None:
    world = await with_new_image()
    rolling(world)
    await world.run()
    assert image(world) == "mine:2"

    rolling(world, late=True)
    await world.run()
    assert image(world) == "mine:1"
    assert world.reason("ApiReady") == ("False", "ApiReturned")
    assert "mine:2" in world.condition("ApiReady")["message"]

    world.controllers_finish()
    world.pods_report()
    await world.run()
    await world.run()
    assert [write for write in world.writes if write[0] != "status"] == []
    assert image(world) == "mine:1"
    assert world.reason() == ("False", "ApiReturned")
    assert "goes on serving" in world.condition("Degraded")["message"]
    assert any(reason == "ApiReturned" for _, reason, _ in world.events)


EDITS: list[Json] = [{"api": {"image": "mine:3"}}, {"api": {"drainSeconds": 31}}, {"prompt": V2}]


@pytest.mark.parametrize("edit", EDITS, ids=["another image", "placement", "another release"])
async def test_the_next_edit_tries_again(edit: Json) -> None:
    world = await with_new_image()
    rolling(world, late=True)
    await world.run()
    world.controllers_finish()
    world.edit(**edit)
    await world.run()
    assert image(world) == edit.get("api", {}).get("image", "mine:2")
    world.controllers_finish()
    world.pods_report()
    await world.run()
    await world.run()
    assert world.reason() == ("True", "AllChecksPassed")


async def test_an_image_that_fails_twice_goes_back_to_the_one_that_was_good() -> None:
    world = await with_new_image()
    rolling(world)
    await world.run()
    world.edit(api={"image": "mine:3"})
    await world.run()
    rolling(world, late=True)
    await world.run()
    assert image(world) == "mine:1"


@pytest.mark.parametrize("back", [{"rollback": {"revision": 1}}, {"api": {"image": "mine:1"}}])
async def test_going_back_by_hand_ends_it(back: Json) -> None:
    world = await with_new_image()
    rolling(world, late=True)
    await world.run()
    world.controllers_finish()
    world.edit(**back)
    await settle(world)
    await settle(world)
    assert served(world)[0] == 1
    assert world.reason() == ("True", "AllChecksPassed")


async def test_the_deadline_of_an_earlier_edit_takes_nothing_back() -> None:
    world = await with_new_image()
    rolling(world, late=True)
    world.edit(api={"image": "mine:3"})
    for _ in range(2):
        await world.run()
        assert image(world) == "mine:3", "its controller has not seen it yet"


async def test_nothing_is_taken_back_while_the_former_pods_are_down_too() -> None:
    world = await with_new_image()
    rolling(world, available=0, late=True)
    await world.run()
    assert image(world) == "mine:2"


async def test_a_first_roll_out_has_nothing_to_go_back_to() -> None:
    world = World()
    await world.run()
    rolling(world, late=True)
    await world.run()
    assert image(world) == "api:1"
    assert world.reason("ApiReady") != ("False", "ApiReturned")


async def test_new_pod_that_cannot_answer_its_own_question_is_quoted_while_the_former_one_serves() -> None:
    world = await with_new_image()
    rolling(world)
    pod = running_pod("handbook-api-new", names.COMPONENT_API)
    pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    world.pods["handbook-api-new"] = pod
    check = ReadyCheck(name="smoke", ok=False, message="A question in words of the collection finds nothing in it.")
    world.answers["handbook-api-new"] = PodAnswer(models=report(world.table), checks=(check,))
    await world.run()

    assert world.reason("ApiReady") == ("False", "ApiStarting")
    assert "Pod handbook-api-new: A question in words" in world.condition("ApiReady")["message"]
