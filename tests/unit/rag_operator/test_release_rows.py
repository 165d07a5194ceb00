"""Rows about what is served: when an index counts as verified, what a refused or lost thing does, and whose word makes Ready."""

import pytest
from rag_contract.identity import ANALYZER
from rag_contract.reports import ModelsCurrent, ReadyCheck
from rag_operator import names
from rag_operator.observed import ChildKey, PodAnswer

from .test_reconcile import FIRST_PASS, shapes
from .world import NAME, World, merged, service


async def test_prompt_edit_changes_record_table_and_nothing_that_runs() -> None:
    world = World()
    await world.until_ready()
    world.edit(prompt={"version": "answer-v2", "system": "Be brief."})
    await world.run()
    assert shapes(world) == [
        ("apply", "ConfigMap", "handbook-prompt-"),
        ("apply", "RagRevision", "handbook-r2"),
        ("apply", "ConfigMap", "handbook-releases"),
        ("touch", "Pod", "handbook-api-0"),
        ("status", "RagService", "handbook"),
    ]
    assert world.body["status"]["prompt"] == "answer-v1"
    world.pods_report()
    await world.run()
    assert world.body["status"]["prompt"] == "answer-v2"
    assert world.events[-1][:2] == ("Normal", "Settled")


async def test_going_back_reuses_the_number_and_needs_no_job() -> None:
    world = World()
    await world.until_ready()
    world.edit(prompt={"version": "answer-v2", "system": "Be brief."})
    await world.run()
    world.edit(prompt={"version": "answer-v1", "system": "Answer from the sources."})
    await world.run()
    assert [revision.number for revision in world.table.revisions] == [1]


async def test_reused_version_applies_nothing_and_serves_on() -> None:
    world = World()
    await world.until_ready()
    before = world.table
    world.edit(prompt={"system": "Other words."}, api={"replicas": 3})
    await world.run()
    assert world.writes == [("status", "RagService", NAME)]
    assert world.reason("SpecValid") == ("False", "PromptVersionReused")
    assert world.reason() == ("False", "PromptVersionReused")
    assert world.reason("Degraded") == ("True", "PromptVersionReused")
    assert world.table == before


async def test_missing_documents_hold_back_the_job_alone_and_heal() -> None:
    world = World()
    maps, world.config_maps = world.config_maps, {}
    again = await world.run()
    assert shapes(world) == [write for write in FIRST_PASS if write[1] != "Job"]
    assert world.reason() == ("False", "ConfigMapMissing")
    assert 'ConfigMap "documents"' in world.condition("Ready")["message"]
    assert again is not None
    assert again <= 15
    world.config_maps = maps
    await world.run()
    assert ("apply", "Job", "handbook-index-") in shapes(world)


async def test_documents_that_vanish_later_stop_nothing() -> None:
    world = World()
    await world.until_ready()
    before = world.table
    world.config_maps = {}
    await world.run()
    assert [write for write in world.writes if write[0] != "status"] == []
    assert world.table == before
    assert world.reason("Degraded") == ("True", "ConfigMapMissing")
    assert "Revision 1 goes on serving." in world.condition("Degraded")["message"]


async def test_history_is_bounded_with_its_prompts() -> None:
    world = World(service(release={"history": 2}))
    await world.until_ready()
    for number in range(2, 5):
        world.edit(prompt={"version": f"answer-v{number}", "system": f"Words {number}."})
        await world.run()
        world.pods_report()
        await world.run()
    kinds = [key.name for key in world.objects if key.kind == "RagRevision"]
    assert sorted(kinds) == ["handbook-r3", "handbook-r4"]
    assert len([key for key in world.objects if key.name.startswith("handbook-prompt-")]) == 2


async def test_failed_index_is_shown_with_its_own_reason_and_tried_again_later() -> None:
    world = World()
    await world.run()
    world.controllers_finish()
    world.job_ends("Failed", reason="NoDocuments", message=None)
    again = await world.run()
    assert world.reason() == ("False", "NoDocuments")
    assert again is not None
    world.later(299)
    await world.run()
    assert [write for write in world.writes if write[0] == "delete"] == []
    world.later(2)
    await world.run()
    assert shapes(world)[0] == ("delete", "Job", "handbook-index-")
    await world.run()
    assert shapes(world)[0] == ("apply", "Job", "handbook-index-")


async def test_success_without_a_readable_result_runs_again() -> None:
    world = World()
    await world.run()
    world.controllers_finish()
    world.job_ends(message="torn {")
    again = await world.run()
    assert again is not None
    assert again < 11
    world.later(11)
    await world.run()
    assert ("delete", "Job", "handbook-index-") in shapes(world)


async def test_lost_collection_is_built_again() -> None:
    world = World()
    await world.until_ready()
    world.later(120)
    checks = (ReadyCheck(name="collections", ok=False, message="it is not there"),)
    world.pods_report(checks=checks)
    await world.run()
    assert ("delete", "Job", "handbook-index-") in shapes(world)
    assert world.reason("IndexReady") == ("False", "CollectionMissing")


async def test_collection_of_changed_documents_is_not_built_again_for_ever() -> None:
    world = World()
    await world.until_ready()
    world.job_ends(chunks=6)
    world.later(120)
    world.pods_report(checks=(ReadyCheck(name="collections", ok=False, message="was built with 6 chunks"),))
    await world.run()
    assert [write for write in world.writes if write[0] == "delete"] == []
    assert world.reason("IndexReady") == ("False", "IndexVersionReused")


async def test_lost_store_is_no_lost_collection() -> None:
    world = World()
    await world.until_ready()
    world.later(120)
    wrong = ("vector_store", "collections")
    world.pods_report(checks=tuple(ReadyCheck(name=name, ok=False, message="down") for name in wrong))  # type: ignore[arg-type]
    await world.run()
    assert ("delete", "Job", "handbook-index-") not in shapes(world)


@pytest.mark.parametrize("loss", ["deleted", "broken", "forged"])
async def test_table_comes_back_while_another_index_is_built(loss: str) -> None:
    world = World()
    await world.until_ready()
    before = world.table
    world.edit(index={"version": "docs-2"})
    await world.run()
    assert world.table == before
    key = ChildKey("ConfigMap", names.releases(NAME))
    if loss == "deleted":
        del world.objects[key]
    elif loss == "broken":
        world.objects[key]["data"] = {"releases.json": "{"}
    else:
        world.objects[key]["data"] = {"releases.json": before.to_json().replace("Answer from", "Obey")}
    await world.run()
    assert world.table == before


async def test_index_version_with_other_documents_is_refused_and_the_old_index_serves() -> None:
    world = World()
    await world.until_ready()
    before = world.table
    world.config_maps["documents"] = {"data": {"a.md": "Other."}}
    await world.run()
    assert world.writes == [("status", "RagService", NAME)]
    assert world.reason("SpecValid") == ("False", "IndexVersionReused")
    assert world.table == before


async def test_index_that_the_operator_itself_would_analyse_otherwise_is_rebuilt_under_its_name() -> None:
    world = World()
    await world.until_ready()
    index = world.only("RagRevision")["spec"]["index"]
    table = world.objects[ChildKey("ConfigMap", names.releases(NAME))]["data"]
    table["releases.json"] = table["releases.json"].replace(ANALYZER, "older-analysis").replace(index["hash"], "older")
    index["identity"]["model"], index["hash"] = "older-analysis", "older"
    await world.run()
    assert world.reason("SpecValid") == ("True", "Valid")
    (revision,) = world.table.revisions
    assert (revision.number, revision.index.identity.model) == (2, ANALYZER)


async def test_lost_table_after_going_back_serves_what_was_served() -> None:
    world = World()
    await world.until_ready()
    for version, system in (("answer-v2", "Be brief."), ("answer-v1", "Answer from the sources.")):
        world.edit(prompt={"version": version, "system": system})
        await world.run()
        world.pods_report()
        await world.run()
    world.edit(index={"version": "docs-2"})
    del world.objects[ChildKey("ConfigMap", names.releases(NAME))]
    await world.run()
    assert [revision.number for revision in world.table.revisions] == [1]


async def test_result_about_other_content_is_not_believed() -> None:
    world = World()
    await world.run()
    world.controllers_finish()
    world.job_ends(content_hash="other")
    await world.run()
    assert world.table.revisions == ()


UNSETTLED = [
    ("Deployment", {"observedGeneration": 0}, "ApiReady"),
    ("Deployment", {"readyReplicas": 0}, "ApiReady"),
    ("Deployment", {"updatedReplicas": 0}, "ApiReady"),
    ("Deployment", {"replicas": 2}, "ApiReady"),
    ("StatefulSet", {"observedGeneration": 0}, "VectorStoreReady"),
    ("StatefulSet", {"readyReplicas": 0}, "VectorStoreReady"),
    ("StatefulSet", {"updateRevision": "2"}, "VectorStoreReady"),
]


@pytest.mark.parametrize(("kind", "change", "part"), UNSETTLED)
async def test_unfinished_roll_out_is_not_ready(kind: str, change: dict[str, object], part: str) -> None:
    world = World()
    await world.until_ready()
    world.only(kind)["status"] |= change
    again = await world.run()
    assert world.reason(part)[0] == "False"
    assert world.reason()[0] == "False"
    assert world.reason("Progressing")[0] == "True"
    assert again is not None


WRONG_REPORTS = [
    ({"number": 2}, "revision"),
    ({"weight": 50}, "revision"),
    ({"prompt": {"version": "answer-v1", "hash": "other"}}, "prompt"),
    ({"index": {"collection": "other"}}, "index"),
    ({"index": {"identity": {"model": "other"}}}, "index"),
    ({"model": {"name": "other"}}, "model"),
]


@pytest.mark.parametrize(("change", "word"), WRONG_REPORTS)
async def test_pod_that_reports_something_else_is_not_ready(change: dict[str, object], word: str) -> None:
    world = World()
    await world.until_ready()
    answer = world.answers["handbook-api-0"].models
    assert answer is not None
    said = answer.model_dump(mode="json", by_alias=True)
    said["revisions"] = [merged(said["revisions"][0], change)]
    world.answers["handbook-api-0"] = PodAnswer(models=ModelsCurrent.model_validate(said))
    await world.run()
    assert world.reason() == ("False", "RevisionMismatch")
    assert f"another {word}" in world.condition("Ready")["message"]
