"""Rows about old collections and the alias of outside readers: when a sweep is made, what it keeps, and what it waits for."""

import copy
from typing import Any

import pytest
from rag_contract.reports import SweepResult
from rag_operator import names
from rag_operator.observed import component_of, variables
from rag_operator.releases import sweep as requests
from rag_operator.runtime.errors import ApiError

from .world import NAME, NAMESPACE, World, running_pod, service

Json = dict[str, Any]


def sweeps(world: World) -> list[Json]:
    return [o for o in world.objects.values() if component_of(o) == names.COMPONENT_SWEEP]


def sweep(world: World) -> Json:
    (found,) = sweeps(world)
    return found


def asks(world: World) -> tuple[str, list[str]]:
    """Versions of what the alias is to name and of what is kept."""
    wish = requests.asked(sweep(world))
    return version(wish.target), [version(name) for name in wish.keep]


def version(collection: str) -> str:
    return collection.removeprefix(f"{NAMESPACE}.{NAME}.").rpartition(".")[0]


def starts(world: World) -> str:
    """The sweep's pod runs."""
    name = sweep(world)["metadata"]["name"]
    pod = running_pod(f"{name}-x", names.COMPONENT_SWEEP)
    pod["metadata"]["labels"]["job-name"] = name
    world.pods[f"{name}-x"] = pod
    return f"{name}-x"


def ends(world: World) -> None:
    """The sweep has succeeded."""
    job, pod = sweep(world), world.pods[starts(world)]
    result = SweepResult(outcome="Succeeded", alias=requests.asked(job).target, dropped=1)
    time = world.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    job["status"] = {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": time}]}
    pod["status"] = {
        "phase": "Succeeded",
        "containerStatuses": [{"state": {"terminated": {"exitCode": 0, "message": result.to_json()}}}],
    }


async def release(world: World, index: str, **more: Any) -> None:
    """Another index is built, switched to and confirmed."""
    world.edit(index={"version": index}, **more)
    await world.run()
    await world.run()
    world.job_ends(chunks=7)
    await world.run()
    world.pods_report()
    await world.run()
    assert world.reason()[0] == "True"


async def ready(**spec: Any) -> World:
    """Serves docs-1."""
    world = World(service(**spec))
    await world.until_ready()
    return world


async def test_the_first_index_names_itself_and_nothing_is_swept() -> None:
    world = World()
    await world.run()
    (job,) = [o for o in world.objects.values() if component_of(o) == names.COMPONENT_INDEX]
    variables = {one["name"]: one.get("value") for one in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert variables["RAG_INDEXER_ALIAS"] == f"{NAMESPACE}.{NAME}"
    world = await ready()
    assert await world.run() is None
    assert (world.writes, sweeps(world)) == ([], [])


async def test_a_new_prompt_is_no_reason_to_sweep() -> None:
    world = await ready()
    world.edit(prompt={"version": "answer-v2", "system": "Be brief."})
    await world.run()
    world.pods_report()
    await world.run()
    await world.run()
    assert sweeps(world) == []


async def test_the_alias_follows_when_every_pod_has_confirmed_the_switch() -> None:
    world = await ready()
    world.edit(index={"version": "docs-2"})
    await world.run()
    await world.run()
    world.job_ends(chunks=7)
    await world.run()
    assert world.table.revisions[0].index.version == "docs-2"
    assert sweeps(world) == []
    world.pods_report()
    assert await world.run() == pytest.approx(0.2)
    await world.run()
    assert [write for write in world.writes if write[0] != "status"] == [
        ("apply", "Job", sweep(world)["metadata"]["name"])
    ]
    assert asks(world) == ("docs-2", ["docs-1", "docs-2"])
    assert sweep(world)["spec"]["suspend"] is False
    starts(world)
    await world.run()
    ends(world)
    await world.run()
    await world.run()
    assert world.writes == []
    assert sweep(world)["spec"]["suspend"] is False


async def test_the_alias_follows_back() -> None:
    world = await ready()
    await release(world, "docs-2")
    await world.run()
    ends(world)
    first = sweep(world)["metadata"]["name"]
    world.edit(rollback={"index": "docs-1"})
    await world.run()
    assert sweep(world)["metadata"]["name"] == first
    world.pods_report()
    await world.run()
    await world.run()
    assert asks(world) == ("docs-1", ["docs-1", "docs-2"])
    assert sweep(world)["metadata"]["name"] != first


async def test_the_record_goes_before_its_collection() -> None:
    world = await ready(release={"history": 1})
    await release(world, "docs-2")
    await world.run()
    assert ("delete", "RagRevision", "handbook-r1") in world.writes
    assert asks(world) == ("docs-2", ["docs-2"])
    assert sweep(world)["spec"]["suspend"] is True
    await world.run()
    assert sweep(world)["spec"]["suspend"] is False
    ends(world)
    await world.run()
    await world.run()
    assert world.writes == []


async def test_what_an_earlier_sweep_kept_needs_no_second_memory() -> None:
    world = await ready(release={"history": 2})
    await release(world, "docs-2")
    await world.run()
    ends(world)
    await release(world, "docs-3")
    assert not [key for key in world.objects if key.name == "handbook-r1"]
    assert asks(world) == ("docs-2", ["docs-1", "docs-2"])
    await world.run()
    assert asks(world) == ("docs-3", ["docs-2", "docs-3"])
    assert sweep(world)["spec"]["suspend"] is False


async def test_what_is_gone_back_to_is_kept_beyond_the_window() -> None:
    world = await ready(release={"history": 1})
    world.edit(rollback={"revision": 1})
    world.edit(index={"version": "docs-2"})
    await world.run()
    await world.run()
    world.job_ends(chunks=7)
    await world.run()
    await world.run()
    assert world.table.revisions[0].index.version == "docs-1"
    assert sweeps(world) == []
    world.edit(index={"version": "docs-3"})
    await world.run()
    assert asks(world) == ("docs-1", ["docs-1", "docs-3"])


async def test_an_abandoned_build_is_swept_when_its_pod_is_gone() -> None:
    world = await ready()
    world.edit(index={"version": "docs-2"})
    await world.run()
    await world.run()
    (job,) = [o for o in world.objects.values() if component_of(o) == names.COMPONENT_INDEX]
    pod = running_pod(f"{job['metadata']['name']}-x", names.COMPONENT_INDEX)
    pod["metadata"]["labels"]["job-name"] = job["metadata"]["name"]
    world.pods["builder"] = pod
    world.lingering = {"builder"}
    world.edit(index={"version": "docs-3"})
    await world.run()
    assert ("delete", "Job", job["metadata"]["name"]) in world.writes
    assert asks(world) == ("docs-1", ["docs-1", "docs-3"])
    for _ in range(2):
        await world.run()
        assert sweep(world)["spec"]["suspend"] is True
    del world.pods["builder"]
    await world.run()
    assert sweep(world)["spec"]["suspend"] is False


def recorded(world: World) -> list[int]:
    """Numbers of the RagRevisions."""
    return sorted(body["spec"]["number"] for key, body in world.objects.items() if key.kind == "RagRevision")


async def without_documents(history: int, *, swept: bool) -> World:
    """Back on docs-1 from docs-2, whose documents are gone; then three other prompts. `swept`: a sweep remembers both indexes."""
    world = await ready(release={"history": history})
    await release(world, "docs-2")
    if swept:
        await world.run()
        ends(world)
    world.edit(rollback={"index": "docs-1"})
    del world.config_maps["documents"]
    for number in range(2, 5):
        world.later(10)
        world.edit(prompt={"version": f"answer-v{number}", "system": f"Words {number}."})
        for _ in range(3):
            await world.run()
            world.pods_report()
        if not swept:
            for key in [key for key, body in world.objects.items() if component_of(body) == names.COMPONENT_SWEEP]:
                del world.objects[key]
    assert world.reason() == ("True", "AllChecksPassed")
    return world


async def test_records_go_also_while_nobody_knows_which_index_is_declared() -> None:
    """What the last sweep kept, and what another record names, is not forgotten with them."""
    world = await without_documents(2, swept=True)
    assert len(recorded(world)) == 2, recorded(world)
    assert asks(world) == ("docs-2", ["docs-1", "docs-2"])
    world.config_maps["documents"] = {"data": {"a.md": "# A\n\nText."}}
    world.edit(rollback=None, index={"version": "docs-3"})
    await world.run()
    await world.run()
    world.job_ends()
    for _ in range(4):
        await world.run()
        world.pods_report()
    assert "docs-2" not in asks(world)[1]


async def test_the_only_word_of_a_collection_stays_while_nobody_knows_which_index_is_declared() -> None:
    world = await without_documents(2, swept=False)
    assert 2 in recorded(world)


async def test_an_index_that_a_running_sweep_would_drop_waits_for_its_end() -> None:
    world = await ready(release={"history": 1})
    await release(world, "docs-2")
    await world.run()
    await world.run()
    pod = starts(world)
    world.lingering = {pod}
    world.edit(index={"version": "docs-1"})

    async def builds() -> bool:
        await world.run()
        made = [version(variables(o)["RAG_INDEXER_COLLECTION"]) for o in index_jobs(world)]
        return "docs-1" in made

    assert not await builds()
    assert asks(world) == ("docs-2", ["docs-1", "docs-2"])
    assert sweep(world)["spec"]["suspend"] is True
    assert not await builds()
    assert sweep(world)["spec"]["suspend"] is True
    del world.pods[pod]
    assert await builds()
    assert sweep(world)["spec"]["suspend"] is False


def index_jobs(world: World) -> list[Json]:
    return [o for o in world.objects.values() if component_of(o) == names.COMPONENT_INDEX]


async def test_a_sweep_that_runs_goes_on_while_pods_load_another_prompt() -> None:
    world = await ready()
    await release(world, "docs-2")
    await world.run()
    starts(world)
    world.edit(prompt={"version": "answer-v2", "system": "Be brief."})
    await world.run()
    assert sweep(world)["spec"]["suspend"] is False


async def test_suspension_holds_a_sweep_and_forgets_nothing() -> None:
    world = await ready()
    await release(world, "docs-2")
    await world.run()
    name = sweep(world)["metadata"]["name"]
    world.edit(suspend=True)
    await world.run()
    assert (sweep(world)["metadata"]["name"], sweep(world)["spec"]["suspend"]) == (name, True)
    world.edit(suspend=False)
    await world.run()
    assert sweep(world)["spec"]["suspend"] is False


async def test_nothing_is_swept_while_the_declared_index_is_not_known() -> None:
    world = await ready(release={"history": 1})
    await release(world, "docs-2")
    documents = world.config_maps.pop("documents")
    for _ in range(3):
        await world.run()
    assert sweeps(world) == []
    assert [key for key in world.objects if key.name == "handbook-r1"]
    world.config_maps["documents"] = documents
    await world.run()
    assert asks(world)[0] == "docs-2"


async def test_another_image_replaces_a_sweep_that_has_not_ended() -> None:
    world = await ready()
    await release(world, "docs-2")
    await world.run()
    first = sweep(world)["metadata"]["name"]
    world.settings = world.settings.model_copy(update={"indexer_image": "indexer:2"})
    await world.run()
    assert sweep(world)["metadata"]["name"] != first
    ends(world)
    world.settings = world.settings.model_copy(update={"indexer_image": "indexer:3"})
    await world.run()
    await world.run()
    assert [write for write in world.writes if write[1] == "Job"] == []


async def test_a_refused_sweep_leaves_what_serves_ready() -> None:
    world = await ready()
    world.refuse = lambda verb, kind, name: (
        ApiError(403, "Forbidden", "quota") if "sweep" in name and verb == "apply" else None
    )
    await release(world, "docs-2")
    await world.run()
    assert world.reason()[0] == "True"
    world.refuse = lambda verb, kind, name: None
    await world.run()
    assert asks(world)[0] == "docs-2"


async def test_status_tells_what_is_kept_and_what_outside_readers_find() -> None:
    world = World()
    await world.run()
    world.controllers_finish()
    first = variables(index_jobs(world)[0])["RAG_INDEXER_COLLECTION"]
    world.job_ends(alias=first, disk_bytes=1000)
    await world.run()
    world.pods_report()
    await world.run()
    kept = {"name": first, "index": "docs-1", "documents": 2, "chunks": 5, "bytes": 1000}
    told = {"alias": f"{NAMESPACE}.{NAME}", "aliasNames": first, "kept": [kept]}
    assert world.body["status"]["collections"] == told
    for name in [name for name in world.pods if "-index-" in name]:
        del world.pods[name]
    await world.run()
    assert world.body["status"]["collections"] == told

    await release(world, "docs-2")
    await world.run()
    second = requests.asked(sweep(world)).target
    kept_now = [kept, {"name": second, "index": "docs-2", "documents": 2, "chunks": 7}]
    name = sweep(world)["metadata"]["name"]
    assert world.body["status"]["collections"] == {
        **told,
        "kept": kept_now,
        "sweep": f'Job {name} sets the alias to "{second}" and drops collections that are not kept.',
    }
    ends(world)
    await world.run()
    assert world.body["status"]["collections"] == {**told, "aliasNames": second, "kept": kept_now}
    world.config_maps.clear()
    await world.run()
    assert world.body["status"]["collections"] == {**told, "aliasNames": second, "kept": kept_now}


async def test_status_tells_why_a_sweep_fails() -> None:
    world = await ready()
    await release(world, "docs-2")
    await world.run()
    pod = world.pods[starts(world)]
    said = SweepResult(outcome="Failed", reason="AliasTaken", message="It is taken.")
    state = {"terminated": {"exitCode": 2, "message": said.to_json()}}
    pod["status"]["containerStatuses"] = [{"restartCount": 1, "lastState": state, "state": {"running": {}}}]
    await world.run()
    name = sweep(world)["metadata"]["name"]
    assert world.body["status"]["collections"]["sweep"] == f"It is taken. Job {name} tries again."
    assert world.reason()[0] == "True"


async def test_an_index_that_was_built_anew_has_its_alias_set_again() -> None:
    """A collection that is lost takes its alias with it."""
    world = await ready()
    await release(world, "docs-2")
    await world.run()
    ends(world)
    sweep(world)["metadata"]["creationTimestamp"] = "2026-11-21T08:00:10Z"
    (job,) = index_jobs(world)
    job["metadata"]["creationTimestamp"] = "2026-11-21T08:00:00Z"
    await world.run()
    await world.run()
    assert world.writes == []
    first = sweep(world)["metadata"]["name"]
    job["metadata"]["creationTimestamp"] = "2026-11-21T08:01:00Z"
    await world.run()
    assert sweep(world)["metadata"]["name"] != first
    assert asks(world) == ("docs-2", ["docs-1", "docs-2"])
    sweep(world)["metadata"]["creationTimestamp"] = "2026-11-21T08:01:01Z"
    ends(world)
    await world.run()
    await world.run()
    assert world.writes == []


async def test_a_first_index_job_that_was_deleted_is_followed_by_one_sweep() -> None:
    world = await ready()
    for name in [key for key, body in world.objects.items() if component_of(body) == names.COMPONENT_INDEX]:
        del world.objects[name]
    await world.run()
    await world.run()
    assert asks(world) == ("docs-1", ["docs-1"])
    ends(world)
    await world.run()
    await world.run()
    assert world.writes == []


async def test_the_first_index_job_stays_although_its_result_is_released_before_it_has_ended() -> None:
    world = World()
    await world.run()
    world.controllers_finish()
    world.job_ends()
    (job,) = index_jobs(world)
    ended = job.pop("status")
    await world.run()
    world.pods_report()
    await world.run()
    assert ("delete", "Job", job["metadata"]["name"]) not in world.writes
    job["status"] = ended
    await world.run()
    assert (index_jobs(world), sweeps(world)) == ([job], [])


async def test_a_former_sweep_goes_although_the_one_after_it_has_ended_meanwhile() -> None:
    """The operator was killed between making the next and deleting the former, and came back late."""
    world = await ready()
    await release(world, "docs-2")
    await world.run()
    ends(world)
    await world.run()
    last = sweep(world)
    key = next(key for key, body in world.objects.items() if body is last)
    former = copy.deepcopy(last)
    former["metadata"] |= {"name": f"{key.name}-former", "uid": "former", "creationTimestamp": "2026-01-01T00:00:00Z"}
    world.objects[key._replace(name=f"{key.name}-former")] = former
    await world.run()
    assert sweep(world)["metadata"]["name"] == key.name
