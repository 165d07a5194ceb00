"""Rows: given this world, one pass makes exactly these writes."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from rag_contract.release_table import ReleaseTable
from rag_contract.reports import ReadyCheck
from rag_operator import names
from rag_operator.observed import ChildKey, Pod, PodAnswer
from rag_operator.reconcile import report_bug
from rag_operator.runtime.errors import ApiError, Unreachable, fault_id

from .world import KEY, NAME, World, running_pod, service

FIRST_PASS = [
    ("create", "Secret", "handbook-qdrant-key"),
    ("create", "Secret", "handbook-client-key"),
    ("apply", "ServiceAccount", "handbook-api"),
    ("apply", "ConfigMap", "handbook-api-"),
    ("apply", "ConfigMap", "handbook-prompt-"),
    ("apply", "Service", "handbook-qdrant-peers"),
    ("apply", "Service", "handbook-qdrant"),
    ("apply", "Service", "handbook-api"),
    ("apply", "StatefulSet", "handbook-qdrant"),
    ("apply", "ConfigMap", "handbook-releases"),
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


class SilentPodWorld(World):
    """One API pod takes the question and does not answer until `patience` is set."""

    silent = "handbook-api-0"

    def __init__(self) -> None:
        super().__init__(service(api={"replicas": 2}))
        self.patience = asyncio.Event()
        self.patience.set()

    async def ask(self, pods: Sequence[Pod], table_hash: str, *, closely: bool) -> Mapping[str, PodAnswer]:
        if self.silent in {pod.name for pod in pods}:
            await self.patience.wait()
        return await super().ask(pods, table_hash, closely=closely)


async def test_a_pod_that_does_not_answer_does_not_delay_the_others() -> None:
    world = SilentPodWorld()
    await world.until_ready()
    world.edit(prompt={"version": "answer-v2", "system": "Be brief."})
    world.patience.clear()
    going = asyncio.create_task(world.run())
    for _ in range(20):
        await asyncio.sleep(0)
    assert ("touch", "Pod", "handbook-api-1") in world.writes
    assert ("touch", "Pod", "handbook-api-0") not in world.writes
    world.patience.set()
    await going
    assert ("touch", "Pod", "handbook-api-0") in world.writes


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


QDRANT_KEY = "handbook-qdrant-key"


async def without_its_key() -> World:
    """A service whose vector store key was deleted, which a new pod has noticed."""
    world = World()
    await world.until_ready()
    del world.secrets[QDRANT_KEY]
    pod = running_pod("handbook-api-9", names.COMPONENT_API)
    waiting = {"reason": "CreateContainerConfigError", "message": f'secret "{QDRANT_KEY}" not found'}
    pod["status"] = {"phase": "Pending", "containerStatuses": [{"state": {"waiting": waiting}}]}
    world.pods["handbook-api-9"] = pod
    again = await world.run()
    assert world.reason() == ("False", "SecretMissing")
    assert again is not None
    return world


def stamps(world: World) -> set[str | None]:
    """Which making of the key the templates of its holders name."""
    holders = (ChildKey("StatefulSet", "handbook-qdrant"), ChildKey("Deployment", "handbook-api"))
    templates = [world.objects[holder]["spec"]["template"]["metadata"] for holder in holders]
    return {template.get("annotations", {}).get(names.ANNOTATION_KEY) for template in templates}


def made_or_rolled(world: World) -> list[tuple[str, str, str]]:
    """Writes of the last pass: the key, or who holds it."""
    return [write for write in world.writes if write[1] in {"Deployment", "StatefulSet"} or write[2] == QDRANT_KEY]


async def test_missing_secret_is_made_again_and_everybody_gets_the_new_key() -> None:
    world = await without_its_key()
    await world.run()
    made = world.writes.index(("create", "Secret", QDRANT_KEY))
    for holder in (("apply", "StatefulSet", "handbook-qdrant"), ("apply", "Deployment", "handbook-api")):
        assert world.writes.index(holder) < made, (
            "so that a process that ends in between leaves no pod with another key"
        )
    assert len(stamps(world)) == 1
    assert stamps(world) != {None}


async def test_a_key_whose_making_was_not_heard_of_rolls_everybody_once() -> None:
    world = await without_its_key()
    world.lost_replies[QDRANT_KEY] = Unreachable("the connection broke")
    with pytest.raises(Unreachable):
        await world.run()
    first = stamps(world)
    assert len(first) == 1
    assert first != {None}
    await world.run()
    assert first == stamps(world)
    assert not made_or_rolled(world)


async def test_a_process_that_is_killed_once_the_key_is_made_leaves_nothing_to_do() -> None:
    world = await without_its_key()
    world.lost_replies[QDRANT_KEY] = Unreachable("killed")
    with pytest.raises(Unreachable):
        await world.run()
    world.restart()
    del world.pods["handbook-api-9"]  # it has started, and nobody reports a Secret any more
    before = stamps(world)
    await world.run()
    assert before == stamps(world)
    assert len(before) == 1
    assert before != {None}


async def test_a_key_is_not_made_before_all_who_hold_it_are_rolled() -> None:
    world = await without_its_key()
    world.refuse = lambda verb, kind, name: ApiError(403, "Forbidden", "no") if kind == "Deployment" else None
    await world.run()
    assert QDRANT_KEY not in world.secrets
    world.refuse = lambda verb, kind, name: None
    held = stamps(world)
    await world.run()
    assert QDRANT_KEY in world.secrets
    assert stamps(world) < held, "one loss, one stamp"


async def test_a_secret_that_is_there_rolls_nobody() -> None:
    """Somebody's own Secret is missing, or the kubelet has not looked again yet."""
    world = await without_its_key()
    world.secrets[QDRANT_KEY] = {}
    await world.run()
    assert {None} == stamps(world)
    assert not made_or_rolled(world)


async def test_who_may_make_no_secret_is_told_and_nobody_is_rolled() -> None:
    world = await without_its_key()
    quota = ApiError(403, "Forbidden", "exceeded quota: secrets")
    world.refuse = lambda verb, kind, name: quota if kind == "Secret" else None
    await world.run()
    assert world.reason("VectorStoreReady") == ("False", "QuotaExceeded")
    assert {None} == stamps(world)


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
    assert world.reason("ApiReady") == ("True", "ApiServing"), "as it was when it was last looked at"
    await world.run()
    assert world.reason() == ("True", "AllChecksPassed")


async def test_bug_in_the_first_pass_of_all_leaves_no_condition_out() -> None:
    world = World()
    await report_bug(KEY, world, ZeroDivisionError(), lambda: world.now)
    first = {c["type"]: (c["status"], c["reason"]) for c in world.body["status"]["conditions"]}
    assert {("Unknown", "InternalError")} == set(first.values())
    assert [("Warning", "InternalError")] == [event[:2] for event in world.events]
    await world.run()
    assert list(first) == [c["type"] for c in world.body["status"]["conditions"]]


async def test_that_ready_becomes_unknown_is_told_and_that_it_comes_back() -> None:
    world = World()
    await world.until_ready()
    world.events.clear()
    answers = dict(world.answers)
    world.answers.clear()
    await world.run()
    assert world.reason() == ("Unknown", "ApiUnreachable")
    assert [("Warning", "ApiUnreachable")] == [event[:2] for event in world.events]
    await report_bug(KEY, world, ZeroDivisionError(), lambda: world.now)
    world.answers |= answers
    await world.run()
    told = [event[:2] for event in world.events]
    assert [("Warning", "ApiUnreachable"), ("Warning", "InternalError"), ("Normal", "AllChecksPassed")] == told


async def test_each_turn_of_ready_is_told_once() -> None:
    world = World()
    await world.until_ready()
    world.events.clear()
    for checks in ((ReadyCheck(name="api_keys", ok=False, message="none"),), ()):
        world.pods_report(checks=checks)
        await world.run()
        await world.run()
    told = [event[:2] for event in world.events]
    assert [("Warning", "ApiKeysMissing"), ("Normal", "AllChecksPassed")] == told


async def test_what_is_only_on_its_way_is_no_event() -> None:
    world = World()
    await world.run()
    assert [] == world.events


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
