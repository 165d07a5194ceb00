"""Rows about `spec.index.refresh.schedule`: documents on a volume become numbered builds of the same version, at set times."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError
from rag_operator import names
from rag_operator.api.content import Refresh
from rag_operator.observed import ChildKey, component_of
from rag_operator.releases.schedule import following, last

from .world import World, merged, running_pod, service

VOLUME = {"documents": {"configMapRef": None, "persistentVolumeClaim": {"claimName": "manuals"}}}
DAILY: dict[str, Any] = {**VOLUME, "refresh": {"schedule": "0 9 * * *"}}
HOUR = 3600.0


def on_volume(**index: Any) -> World:
    """It is 8:00 (`world.START`)."""
    return World(service(index=merged(DAILY, index)))


async def ready(**index: Any) -> World:
    world = on_volume(**index)
    await world.until_ready()
    assert served(world) == (1, "docs-1")
    return world


def served(world: World) -> tuple[int, str]:
    (revision,) = world.table.revisions
    return revision.number, revision.index.version


def index_jobs(world: World) -> list[str]:
    """Slots of the index Jobs."""
    return [
        (job["metadata"].get("annotations") or {}).get(names.ANNOTATION_SLOT, "")
        for key, job in sorted(world.objects.items())
        if key.kind == "Job" and component_of(job) == names.COMPONENT_INDEX
    ]


async def end(world: World) -> None:
    """The index Job ends well and the pods load what it built."""
    world.job_ends()
    await world.run()
    world.pods_report()
    await world.run()


async def build(world: World, seconds: float) -> None:
    """Time goes by, a build is due, and it is released."""
    world.later(seconds)
    await world.run()
    await world.run()
    await end(world)


async def settle(world: World) -> list[tuple[str, str, str]]:
    """Writes of a pass after nothing happened any more."""
    await world.run()
    await world.run()
    return list(world.writes)


async def test_at_the_set_time_a_numbered_build_is_made_beside_and_released() -> None:
    world = await ready()
    world.later(HOUR - 1)
    await world.run()
    assert index_jobs(world) == [""]
    world.later(1)
    await world.run()
    await world.run()
    assert index_jobs(world) == ["2026-11-21T09:00:00Z"]
    assert served(world) == (1, "docs-1")
    assert world.reason() == ("True", "AllChecksPassed")
    assert 'builds the index "docs-1.2"' in world.condition("IndexReady")["message"]
    await end(world)
    assert served(world) == (2, "docs-1.2")
    assert world.reason() == ("True", "AllChecksPassed")
    await build(world, 24 * HOUR)
    assert served(world) == (3, "docs-1.3")
    assert await settle(world) == []


async def test_the_next_look_is_at_the_next_set_time_and_the_status_tells_it() -> None:
    world = await ready()
    again = await world.run()
    assert again is not None
    assert HOUR <= again <= HOUR + 1
    told = world.body["status"]["indexRefresh"]
    assert told == {"schedule": "0 9 * * *", "since": "2026-11-21T08:00:00Z", "next": "2026-11-21T09:00:00Z"}
    world.later(60)
    await world.run()
    assert world.writes == []


async def test_without_it_a_volume_is_built_once_and_its_hash_is_what_it_was() -> None:
    world = await ready(refresh=None)
    plain = world.table.revisions[0].index
    world.later(72 * HOUR)
    assert await settle(world) == []
    assert "indexRefresh" not in world.body["status"]
    world.edit(index=DAILY)
    await world.run()
    assert world.table.revisions[0].index == plain
    assert index_jobs(world) == [""]


async def test_a_time_before_the_schedule_was_set_or_before_the_release_builds_nothing() -> None:
    world = await ready(refresh=None)
    world.later(2 * HOUR)
    world.edit(index=DAILY)
    await world.run()
    await world.run()
    assert index_jobs(world) == [""]
    world.later(2 * HOUR)
    world.edit(index={"refresh": {"schedule": "0 11 * * *"}})
    await world.run()
    await world.run()
    assert index_jobs(world) == [""]
    world.later(10 * HOUR)
    world.edit(index={"version": "docs-2"})
    await world.run()
    await world.run()
    world.later(13 * HOUR)
    await world.run()
    await end(world)
    assert served(world) == (2, "docs-2")
    await world.run()
    assert index_jobs(world) == [""]
    await build(world, 24 * HOUR)
    assert served(world) == (3, "docs-2.2")


async def test_times_that_were_missed_become_one_build() -> None:
    world = await ready()
    world.edit(suspend=True)
    await world.run()
    world.later(72 * HOUR + HOUR)
    await world.run()
    assert "next" not in world.body["status"]["indexRefresh"]
    world.restart()
    world.edit(suspend=None)
    await world.run()
    await world.run()
    assert index_jobs(world) == ["2026-11-24T09:00:00Z"]
    world.controllers_finish()
    await end(world)
    assert served(world) == (2, "docs-1.2")
    await world.run()
    assert index_jobs(world) == ["2026-11-24T09:00:00Z"]


async def test_a_build_that_is_under_way_at_the_next_time_is_finished_first() -> None:
    world = await ready()
    world.later(HOUR)
    await world.run()
    await world.run()
    world.later(25 * HOUR)
    world.restart()
    await world.run()
    await world.run()
    assert index_jobs(world) == ["2026-11-21T09:00:00Z"]
    await end(world)
    assert served(world) == (2, "docs-1.2")
    await world.run()
    await world.run()
    assert index_jobs(world) == ["2026-11-22T09:00:00Z"]
    await end(world)
    assert served(world) == (3, "docs-1.3")


async def test_a_failed_build_is_told_what_serves_goes_on_and_the_next_time_tries_anew() -> None:
    world = await ready()
    world.later(HOUR)
    await world.run()
    await world.run()
    world.job_ends("Failed")
    await world.run()
    assert world.reason("IndexReady")[0] == "False"
    assert world.reason()[0] == "False"
    assert world.reason("ReleaseSettled")[0] == "True"
    assert "goes on serving" in world.condition("Degraded")["message"]
    assert served(world) == (1, "docs-1")
    world.later(24 * HOUR)
    await world.run()
    assert index_jobs(world) == ["2026-11-22T09:00:00Z"]
    await end(world)
    assert served(world) == (2, "docs-1.2")
    assert world.reason() == ("True", "AllChecksPassed")


async def test_a_new_prompt_does_not_wait_for_a_build_by_schedule_and_its_record_tells_which_build_it_has() -> None:
    world = await ready()
    await build(world, HOUR)
    world.later(24 * HOUR)
    await world.run()
    await world.run()
    world.edit(prompt={"version": "answer-v2", "system": "Answer in one sentence."})
    await world.run()
    assert (served(world), world.table.revisions[0].prompt.version) == ((3, "docs-1.2"), "answer-v2")
    record = world.objects[ChildKey("RagRevision", "handbook-r3")]
    assert record["spec"]["indexSlot"] == "2026-11-21T09:00:00Z"


async def test_a_build_that_finds_no_node_is_told_without_an_event() -> None:
    world = await ready()
    world.later(HOUR)
    await world.run()
    await world.run()
    (job,) = [obj for key, obj in world.objects.items() if key.kind == "Job"]
    pod = running_pod("waiting", names.COMPONENT_INDEX)
    pod["metadata"]["labels"]["job-name"] = job["metadata"]["name"]
    refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes fit"}
    stamp = world.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    pod["status"] = {"phase": "Pending", "conditions": [{**refused, "lastTransitionTime": stamp}]}
    world.pods["waiting"] = pod
    again = await world.run()
    assert again is not None
    assert world.reason() == ("True", "AllChecksPassed")
    world.later(again)
    await world.run()
    assert world.reason("IndexReady") == ("False", "Unschedulable")
    assert again < 60


async def test_nothing_is_built_while_the_index_is_gone_back_to_and_going_forward_is_at_once() -> None:
    world = await ready()
    await build(world, HOUR)
    world.edit(rollback={"index": "docs-1"})
    await world.run()
    world.pods_report()
    world.later(48 * HOUR)
    await world.run()
    await world.run()
    assert served(world) == (1, "docs-1")
    assert index_jobs(world) == ["2026-11-21T09:00:00Z"]
    assert "next" not in world.body["status"]["indexRefresh"]
    world.edit(rollback=None)
    await world.run()
    assert served(world) == (2, "docs-1.2")
    await world.run()
    await world.run()
    assert index_jobs(world) == ["2026-11-23T09:00:00Z"]
    await end(world)
    assert served(world) == (3, "docs-1.3")


async def test_going_back_in_the_prompt_keeps_the_newest_build_and_the_schedule() -> None:
    world = await ready()
    world.edit(prompt={"version": "answer-v2", "system": "Answer in one sentence."})
    await world.run()
    await build(world, HOUR)
    assert served(world) == (3, "docs-1.2")
    world.edit(rollback={"prompt": "answer-v1"})
    await world.run()
    assert served(world) == (4, "docs-1.2")
    await build(world, 24 * HOUR)
    assert served(world) == (5, "docs-1.3")


async def test_without_the_schedule_again_the_newest_build_stays() -> None:
    world = await ready()
    await build(world, HOUR)
    world.edit(index={"refresh": None})
    assert await settle(world) == []
    assert served(world) == (2, "docs-1.2")


async def test_other_settings_under_the_same_version_are_its_next_build_and_putting_them_back_finds_the_former_one() -> (
    None
):
    world = await ready()
    await build(world, HOUR)
    world.edit(index={"chunking": {"maxCharacters": 900}})
    await world.run()
    assert world.reason("IndexReady") == ("False", "IndexBuilding")
    await build(world, 60)
    assert served(world) == (3, "docs-1.3")
    world.edit(index={"chunking": None})
    await world.run()
    assert served(world) == (2, "docs-1.2")
    world.pods_report()
    world.edit(index={"chunking": {"maxCharacters": 900}})
    await build(world, 24 * HOUR)
    assert served(world) == (4, "docs-1.4")


async def test_only_the_newest_builds_are_kept_and_the_schedule_goes_on_from_them() -> None:
    world = await ready()
    world.edit(release={"history": 2})
    for _ in range(4):
        await build(world, 24 * HOUR)
    assert served(world) == (5, "docs-1.5")
    assert [key.name for key in sorted(world.objects) if key.kind == "RagRevision"] == ["handbook-r4", "handbook-r5"]
    await world.run()
    assert served(world) == (5, "docs-1.5")


async def test_a_status_that_was_lost_builds_nothing_at_once() -> None:
    world = await ready()
    await build(world, HOUR)
    world.later(HOUR)
    world.body["status"] = {}
    await world.run()
    await world.run()
    assert (served(world), index_jobs(world)) == ((2, "docs-1.2"), ["2026-11-21T09:00:00Z"])


async def test_a_schedule_that_never_comes_is_refused_and_what_serves_goes_on() -> None:
    world = await ready()
    await build(world, HOUR)
    world.edit(index={"refresh": {"schedule": "0 9 31 2 *"}})
    await world.run()
    assert world.reason("SpecValid") == ("False", "RefreshScheduleImpossible")
    assert served(world) == (2, "docs-1.2")


@pytest.mark.parametrize(
    ("schedule", "before", "after"),
    [
        ("0 9 * * *", "2026-11-21T09:00:00Z", "2026-11-22T09:00:00Z"),
        ("*/15 * * * *", "2026-11-21T12:30:00Z", "2026-11-21T12:45:00Z"),
        ("0 3 1 * *", "2026-11-01T03:00:00Z", "2026-12-01T03:00:00Z"),
        ("30 2 * * mon-fri", "2026-11-20T02:30:00Z", "2026-11-23T02:30:00Z"),
        ("0 0 29 2 *", "2024-02-29T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 3 1 * 0", "2026-11-15T03:00:00Z", "2026-11-22T03:00:00Z"),
    ],
)
def test_times_of_schedules(schedule: str, before: str, after: str) -> None:
    now = datetime(2026, 11, 21, 12, 30, 59, 999999, tzinfo=UTC)
    assert last(schedule, now) == datetime.fromisoformat(before)
    assert following(schedule, now) == datetime.fromisoformat(after)


@pytest.mark.parametrize("schedule", ["0 9 * * *", "*/5 0-6,22 * JAN-mar 1,3,5", "59 23 31 12 7", "0  0 1-15/2 * Sun"])
def test_good_schedules(schedule: str) -> None:
    assert Refresh(schedule=schedule).schedule == schedule


@pytest.mark.parametrize(
    "schedule",
    [
        *("@daily", "0 9 * *", "0 9 * * * *", "TZ=UTC 0 9 * * *", "0 9 * * *\n", "0,, 9 * * *"),
        *("60 9 * * *", "0 24 * * *", "0 9 0 * *", "0 9 * 13 *", "0 9 * * 8", "*/0 9 * * *"),
        *("0 9 L * *", "0 9 * * 1#2", "0 9 ? * *"),
    ],
)
def test_bad_schedules(schedule: str) -> None:
    with pytest.raises(ValidationError):
        Refresh(schedule=schedule)
