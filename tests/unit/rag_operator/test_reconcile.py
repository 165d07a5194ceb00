"""Rows: given this world, one pass makes exactly these writes."""

import pytest
from rag_contract.release_table import ReleaseTable
from rag_contract.reports import ModelsCurrent, ReadyCheck
from rag_operator import names
from rag_operator.observed import ChildKey, PodAnswer
from rag_operator.reconcile import report_bug
from rag_operator.runtime.errors import ApiError, fault_id

from .world import KEY, NAME, World, merged, running_pod, service

FIRST_PASS = [
    ("create", "Secret", "handbook-qdrant-key"),
    ("create", "Secret", "handbook-client-key"),
    ("apply", "ServiceAccount", "handbook-api"),
    ("apply", "ConfigMap", "handbook-api-"),
    ("apply", "ConfigMap", "handbook-prompt-"),
    ("apply", "Service", "handbook-qdrant-peers"),
    ("apply", "Service", "handbook-qdrant"),
    ("apply", "StatefulSet", "handbook-qdrant"),
    ("apply", "ConfigMap", "handbook-releases"),
    ("apply", "Service", "handbook-api"),
    ("apply", "Deployment", "handbook-api"),
    ("apply", "Job", "handbook-index-"),
    ("status", "RagService", "handbook"),
]


def shapes(world: World) -> list[tuple[str, str, str]]:
    """The writes with the hashes of names cut off."""
    hashed = ("handbook-prompt-", "handbook-index-", "handbook-api-")
    cut = []
    for verb, kind, name in world.writes:
        short = next((start for start in hashed if name.startswith(start) and kind in {"ConfigMap", "Job"}), name)
        cut.append((verb, kind, short))
    return cut


async def test_first_pass_makes_everything_at_once() -> None:
    world = World()
    await world.run()
    assert shapes(world) == FIRST_PASS
    assert world.table.revisions == ()


async def test_second_pass_writes_nothing() -> None:
    world = World()
    await world.run()
    await world.run()
    assert world.writes == []


async def test_ready_only_after_index_roll_out_and_the_pods_own_word() -> None:
    world = World()
    await world.run()
    world.controllers_finish()
    await world.run()
    assert world.reason()[0] == "False"
    world.job_ends()
    await world.run()
    assert world.reason() == ("Unknown", "ApiUnreachable")
    assert "revision" not in world.body["status"]
    world.pods_report(ReleaseTable(service=NAME))
    await world.run()
    assert world.reason() == ("False", "TableRefreshing")
    world.pods_report()
    await world.run()
    assert world.reason() == ("True", "AllChecksPassed")
    status = world.body["status"]
    assert (status["revision"], status["prompt"], status["index"]) == (1, "answer-v1", "docs-1")


async def test_settled_service_costs_nothing() -> None:
    world = World()
    await world.until_ready()
    assert await world.run() is None
    assert world.writes == []


async def test_index_result_makes_record_then_table() -> None:
    world = World()
    await world.run()
    world.controllers_finish()
    await world.run()
    world.job_ends()
    await world.run()
    assert shapes(world) == [
        ("apply", "RagRevision", "handbook-r1"),
        ("apply", "ConfigMap", "handbook-releases"),
        ("status", "RagService", "handbook"),
    ]


async def test_pod_with_another_table_is_touched_once() -> None:
    world = World()
    await world.until_ready()
    world.edit(prompt={"version": "answer-v2", "system": "Be brief."})
    world.answers["handbook-api-0"] = world.answers["handbook-api-0"]
    again = await world.run()
    assert ("touch", "Pod", "handbook-api-0") in world.writes
    assert again is not None
    assert again <= 2.0
    await world.run()
    assert ("touch", "Pod", "handbook-api-0") not in world.writes


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
    assert ("Normal", "Settled", "Revision 2 is served by every API pod.") in world.events


async def test_going_back_reuses_the_number_and_needs_no_job() -> None:
    world = World()
    await world.until_ready()
    world.edit(prompt={"version": "answer-v2", "system": "Be brief."})
    await world.run()
    world.edit(prompt={"version": "answer-v1", "system": "Answer from the sources."})
    await world.run()
    assert [revision.number for revision in world.table.revisions] == [1]


@pytest.mark.parametrize("number", range(10))
async def test_deleted_child_comes_back_alone(number: int) -> None:
    world = World()
    await world.until_ready()
    kept = sorted(world.objects)
    gone = kept[number]
    del world.objects[gone]
    await world.run()
    writes = [write for write in world.writes if write[0] != "status"]
    assert writes == [("apply", gone.kind, gone.name)]
    assert sorted(world.objects) == kept


def test_all_children_are_in_the_row_above() -> None:
    children = [write for write in FIRST_PASS if write[0] == "apply"]
    assert len(children) + 1 == 10 + 1  # the RagRevision comes later; ten are deleted above, one each


async def test_edited_child_is_put_right() -> None:
    world = World()
    await world.until_ready()
    body = world.objects[ChildKey("Deployment", "handbook-api")]
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "evil:1"
    body["metadata"]["labels"]["team"] = "theirs"
    await world.run()
    assert ("apply", "Deployment", "handbook-api") in world.writes
    body = world.objects[ChildKey("Deployment", "handbook-api")]
    assert body["spec"]["template"]["spec"]["containers"][0]["image"] == "api:1"
    assert body["metadata"]["labels"]["team"] == "theirs"


@pytest.mark.parametrize(("verb", "kind", "name"), [write for write in FIRST_PASS if write[0] != "status"])
async def test_one_refused_write_keeps_no_other_back_and_is_shown(verb: str, kind: str, name: str) -> None:
    world = World()
    quota = ApiError(403, "Forbidden", 'pods "x" is forbidden: exceeded quota: team, limited: pods=1')
    world.refuse = lambda v, k, n: quota if (v, k) == (verb, kind) and n.startswith(name) and v != "status" else None
    again = await world.run()
    assert [write for write in shapes(world) if write[1] != kind] == [w for w in FIRST_PASS if w[1] != kind]
    assert world.reason() == ("False", "QuotaExceeded")
    assert again is not None
    world.refuse = lambda v, k, n: None
    await world.run()
    await world.run()
    assert world.reason()[1] != "QuotaExceeded"


@pytest.mark.parametrize("status", [500, 503, 404])
async def test_trouble_of_the_server_ends_the_pass(status: int) -> None:
    world = World()
    world.refuse = lambda verb, kind, name: ApiError(status) if kind == "Deployment" else None
    with pytest.raises(ApiError):
        await world.run()


async def test_table_waits_for_its_record() -> None:
    world = World()
    await world.run()
    world.controllers_finish()
    world.job_ends()
    world.refuse = lambda verb, kind, name: ApiError(403, "Forbidden", "no") if kind == "RagRevision" else None
    await world.run()
    assert world.table.revisions == ()
    assert world.reason("ReleaseSettled") == ("False", "AdmissionRefused")


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


async def test_suspension_stops_pods_and_keeps_the_rest() -> None:
    world = World()
    await world.until_ready()
    world.edit(suspend=True)
    await world.run()
    assert {write[1] for write in world.writes} == {"Deployment", "StatefulSet", "RagService"}
    assert world.objects[ChildKey("Deployment", "handbook-api")]["spec"]["replicas"] == 0
    assert world.reason() == ("False", "Suspended")
    assert world.reason("Suspended") == ("True", "Suspended")
    assert world.body["status"]["revision"] == 1


async def test_suspension_ends_an_unfinished_index_job() -> None:
    world = World()
    await world.run()
    world.edit(suspend=True)
    await world.run()
    assert ("delete", "Job", "handbook-index-") in shapes(world)


async def test_old_settings_stay_until_the_roll_out_is_over() -> None:
    world = World()
    await world.until_ready()
    world.edit(api={"limits": {"maxConcurrentRequests": 7}})
    await world.run()
    assert [write for write in world.writes if write[0] == "delete"] == []
    world.controllers_finish()
    await world.run()
    assert [write[0] for write in shapes(world) if write[2] == "handbook-api-"] == ["delete"]


async def test_history_is_bounded_with_its_prompts() -> None:
    world = World(service(release={"history": 2}))
    await world.until_ready()
    for number in range(2, 5):
        world.edit(prompt={"version": f"answer-v{number}", "system": f"Words {number}."})
        await world.run()
    kinds = [key.name for key in world.objects if key.kind == "RagRevision"]
    assert sorted(kinds) == ["handbook-r3", "handbook-r4"]
    assert len([key for key in world.objects if key.name.startswith("handbook-prompt-")]) == 2


async def test_external_store_has_no_qdrant() -> None:
    world = World(service(vectorStore={"external": {"url": "http://store:6333"}}))
    await world.run()
    assert not [key for key in world.objects if key.kind == "StatefulSet"]
    assert "handbook-qdrant-key" not in world.secrets
    world.controllers_finish()
    world.job_ends()
    await world.run()
    world.pods_report()
    await world.run()
    assert world.reason() == ("True", "AllChecksPassed")
    assert world.body["status"]["qdrant"] == "-"


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


async def test_missing_secret_is_made_again_and_everybody_gets_the_new_key() -> None:
    world = World()
    await world.until_ready()
    del world.secrets["handbook-qdrant-key"]
    pod = running_pod("handbook-api-9", names.COMPONENT_API)
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "handbook-qdrant-key" not found'}
    pod["status"] = {"phase": "Pending", "containerStatuses": [{"state": {"waiting": waiting}}]}
    world.pods["handbook-api-9"] = pod
    again = await world.run()
    assert world.reason() == ("False", "SecretMissing")
    assert again is not None
    await world.run()
    assert ("create", "Secret", "handbook-qdrant-key") in world.writes
    assert ("apply", "StatefulSet", "handbook-qdrant") in world.writes
    assert ("apply", "Deployment", "handbook-api") in world.writes
    stamps = {
        world.objects[ChildKey(kind, name)]["spec"]["template"]["metadata"]["annotations"][names.ANNOTATION_KEY]
        for kind, name in (("StatefulSet", "handbook-qdrant"), ("Deployment", "handbook-api"))
    }
    assert len(stamps) == 1


async def test_more_replicas_get_a_budget_and_fewer_lose_it() -> None:
    world = World()
    await world.until_ready()
    world.edit(api={"replicas": 2})
    await world.run()
    assert ("apply", "PodDisruptionBudget", "handbook-api") in world.writes
    world.edit(api={"replicas": 1})
    await world.run()
    assert ("delete", "PodDisruptionBudget", "handbook-api") in world.writes


async def test_volume_grows_and_never_shrinks() -> None:
    world = World()
    await world.until_ready()
    world.edit(vectorStore={"qdrant": {"storage": {"size": "8Gi"}}})
    await world.run()
    assert ("apply", "PersistentVolumeClaim", "storage-handbook-qdrant-0") in world.writes
    assert ("apply", "StatefulSet", "handbook-qdrant") not in world.writes
    world.edit(vectorStore={"qdrant": {"storage": {"size": "6Gi"}}})
    await world.run()
    assert [write for write in world.writes if write[0] != "status"] == []


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


async def test_two_clocks_never_change_a_settled_status() -> None:
    world = World()
    await world.until_ready()
    world.later(3600)
    await world.run()
    assert world.writes == []


async def test_new_process_writes_nothing_to_a_settled_service() -> None:
    world = World()
    await world.until_ready()
    world.restart()
    await world.run()
    assert world.writes == []


async def test_secret_that_becomes_ours_is_made_although_the_deployment_exists() -> None:
    world = World(service(api={"auth": {"keysSecretRef": {"name": "mine"}}}))
    await world.until_ready()
    assert "handbook-client-key" not in world.secrets
    world.edit(api={"auth": {"keysSecretRef": None}})
    await world.run()
    assert ("create", "Secret", "handbook-client-key") in world.writes


async def test_bug_makes_ready_unknown_and_the_next_pass_puts_it_right() -> None:
    world = World()
    await world.until_ready()
    await report_bug(KEY, world, ZeroDivisionError("secret words"), lambda: world.now)
    assert world.reason() == ("Unknown", "InternalError")
    message = world.condition("Ready")["message"]
    assert "secret words" not in message
    assert fault_id(ZeroDivisionError()) in message
    assert len(world.body["status"]["conditions"]) == 10
    await world.run()
    assert world.reason() == ("True", "AllChecksPassed")


async def test_object_that_todays_rules_refuse_is_shown_and_left_alone() -> None:
    world = World()
    await world.until_ready()
    world.unreadable = "spec.api.replicas: too many"
    await world.run()
    assert world.writes == [("status", "RagService", NAME)]
    assert world.reason("SpecValid") == ("False", "InvalidObject")
    assert world.body["status"]["revision"] == 1


async def test_object_that_is_gone_is_no_concern() -> None:
    world = World()
    world.gone = True
    assert await world.run() is None
    assert world.writes == []


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
    index["identity"]["model"], index["hash"] = "older-analysis", "older"
    await world.run()
    assert world.reason("SpecValid") == ("True", "Valid")
    assert [revision.index.hash for revision in world.table.revisions] == ["older"]


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
