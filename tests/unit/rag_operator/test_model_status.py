"""ModelReady and what a model's server goes through: loading, serving, failing, exchanged for another, given up."""

from typing import Any, get_args

import pytest
from rag_contract.model_server import EngineFault, ModelServerResult
from rag_contract.reports import ReadyCheck
from rag_operator import names
from rag_operator.api import Reason
from rag_operator.faults.engine import ENGINE_REASONS
from rag_operator.observed import ChildKey, PodAnswer, component_of
from rag_operator.runtime.errors import ApiError

from tests.unit.rag_operator.test_model_deployment import declared
from tests.unit.rag_operator.world import NAME, World, report, running_pod, service

Json = dict[str, Any]
EXTERNAL = {"url": "https://models.example.com", "model": "gpt-4o-mini", "apiKeySecretRef": {"name": "llm", "key": "k"}}
MODEL_KINDS = {"Deployment", "Service", "PodDisruptionBudget"}


def model_children(world: World) -> set[ChildKey]:
    """Everything that is there for a model server."""
    return {key for key in world.objects if key.kind in MODEL_KINDS and f"{NAME}-model-" in key.name}


def deployment(world: World) -> Json:
    (key,) = [key for key in model_children(world) if key.kind == "Deployment"]
    return world.objects[key]


async def settle(world: World) -> None:
    """Passes with everybody else doing their part, until nothing is written any more."""
    await world.run()
    for _ in range(8):
        world.controllers_finish()
        world.pods_report()
        await world.run()
        if not world.writes:
            break


async def drained(world: World) -> None:
    """No answer that was begun before can still be on its way."""
    world.later(121)
    await world.run()


async def serving(body: Json) -> World:
    """A world in which this service is served and settled."""
    world = World(body)
    await world.run()
    world.controllers_finish()
    world.job_ends()
    await settle(world)
    assert world.reason() == ("True", "AllChecksPassed"), world.condition("Ready")
    return world


def loading(world: World, **status: Any) -> None:
    """The model's only pod runs and is not ready; `status` is of its container."""
    body = deployment(world)
    body["status"] = {"observedGeneration": body["metadata"]["generation"], "replicas": 1, "updatedReplicas": 1}
    pod = running_pod(f"{body['metadata']['name']}-0", names.COMPONENT_MODEL)
    pod["metadata"]["labels"] |= body["spec"]["template"]["metadata"]["labels"]
    pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    pod["status"]["containerStatuses"] = [{"containerID": "c1", "restartCount": 0, "state": {"running": {}}, **status}]
    world.pods[pod["metadata"]["name"]] = pod


async def test_model_server_is_served_once_it_has_loaded() -> None:
    world = await serving(declared())

    assert world.reason("ModelReady") == ("True", "ModelServing")
    model = world.table.revisions[0].model
    assert (model.runtime, model.name) == ("VLLM", "Qwen/Qwen2.5-1.5B-Instruct")
    await world.run()
    assert world.writes == []


async def test_a_model_that_loads_serves_nobody_yet() -> None:
    world = World(declared())
    await world.run()
    world.controllers_finish()
    world.job_ends()
    loading(world)
    await world.run()

    assert world.reason("ModelReady") == ("False", "ModelLoading")
    assert world.table.revisions == ()
    assert world.reason()[0] == "False"


async def test_unpinned_revision_and_unknown_flag_are_warned_of_from_the_first_pass_on() -> None:
    world = World(declared({"args": ["--enable-metrics"]}))
    await world.run()

    assert world.reason("SpecValid") == ("True", "ValidWithWarnings")
    message = world.condition("SpecValid")["message"]
    assert "does not know --enable-metrics of spec.model.vllm.args" in message
    assert "pin spec.model.revision" in message
    assert ("Warning", "ValidWithWarnings", message) in world.events
    await world.run()
    assert [] == [event for event in world.events[1:] if event[1] == "ValidWithWarnings"]


async def test_who_lets_the_engine_log_questions_is_told_so() -> None:
    world = World(declared({"args": ["--enable-log-requests"]}, revision="0" * 40))
    await world.run()

    assert world.reason("SpecValid") == ("True", "ValidWithWarnings")
    assert (
        "--enable-log-requests of spec.model.vllm.args writes what people ask"
        in world.condition("SpecValid")["message"]
    )


async def test_warnings_keep_no_service_from_being_ready() -> None:
    assert ("True", "ValidWithWarnings") == (await serving(declared())).reason("SpecValid")


@pytest.mark.parametrize(
    ("vllm", "pinned"),
    [
        ({"args": ["--max-num-seqs=8", "-O3"]}, {"revision": "0" * 40}),
        ({"source": {"persistentVolumeClaim": {"claimName": "models"}}}, {}),
        ({"source": {"image": {"reference": "example.com/models/tiny:1"}}}, {}),
    ],
    ids=["pinned", "on a claim", "in an image"],
)
async def test_pinned_or_mounted_model_with_known_flags_has_no_warning(vllm: Json, pinned: Json) -> None:
    world = World(declared(vllm, **pinned))
    await world.run()

    assert world.reason("SpecValid") == ("True", "Valid")


async def test_a_refused_cache_is_told_also_where_the_weights_are_mounted() -> None:
    image = {"source": {"image": {"reference": "example.com/models/tiny:1"}}, "cache": {"type": "Volume"}}
    world = World(declared(image))
    quota = ApiError(403, "Forbidden", 'claim "x" is forbidden: exceeded quota: disks, requested: storage=20Gi')
    world.refuse = lambda verb, kind, name: quota if kind == "PersistentVolumeClaim" and "model" in name else None
    await world.run()

    assert world.reason("ModelReady") == ("False", "QuotaExceeded")
    assert "exceeded quota: disks" in world.condition("ModelReady")["message"]


async def test_the_launchers_word_is_told_while_it_loads_again() -> None:
    world = await serving(declared())
    said = ModelServerResult(
        outcome="Failed",
        reason="GpuOutOfMemory",
        message="The GPU's memory does not hold the model. Use more.",
        detail="x",
    )
    loading(world, lastState={"terminated": {"exitCode": 1, "message": said.to_json()}})
    await world.run()

    assert world.reason("ModelReady") == ("False", "GpuOutOfMemory")
    assert "Use more (x). See `kubectl logs" in world.condition("ModelReady")["message"]


async def test_log_of_a_stock_image_is_read() -> None:
    world = await serving(declared({"image": "vllm/vllm-openai:v0.32.0"}))
    log = "INFO 11-21 loading\nRuntimeError: The NVIDIA driver on your system is too old (found version 12020).\n"
    loading(world, lastState={"terminated": {"exitCode": 1, "reason": "Error", "message": log}})
    await world.run()

    assert world.reason("ModelReady") == ("False", "UnsupportedDriver")
    assert "found version 12020" in world.condition("ModelReady")["message"]


async def test_what_no_signature_knows_is_quoted() -> None:
    world = await serving(declared())
    loading(world, lastState={"terminated": {"exitCode": 3, "message": "ValueError: the moon is full"}})
    await world.run()

    assert world.reason("ModelReady") == ("False", "EngineCrashed")
    assert "exit code 3: ValueError: the moon is full" in world.condition("ModelReady")["message"]


async def test_container_memory_is_told_from_gpu_memory() -> None:
    world = await serving(declared())
    loading(world, lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}})
    await world.run()

    assert world.reason("ModelReady") == ("False", "OutOfMemory")
    assert "spec.model.vllm.resources.limits.memory" in world.condition("ModelReady")["message"]


async def test_a_container_that_was_told_to_end_has_no_fault() -> None:
    world = await serving(declared())
    loading(world, lastState={"terminated": {"exitCode": 0, "message": ModelServerResult(outcome="Stopped").to_json()}})
    await world.run()

    assert world.reason("ModelReady") == ("False", "ModelLoading")


def test_every_fault_of_the_launcher_is_a_reason() -> None:
    assert {str(reason) for reason in ENGINE_REASONS} == set(get_args(EngineFault))


async def test_external_model_has_no_server_of_ours_and_is_as_the_api_pods_say() -> None:
    world = await serving(service(model={"runtime": "External", "external": EXTERNAL}))

    assert model_children(world) == set()
    assert world.reason("ModelReady") == ("True", "ExternalServing")
    endpoint = world.table.revisions[0].model.endpoints[0]
    assert (endpoint.url, endpoint.model, endpoint.key) == ("https://models.example.com", "gpt-4o-mini", "llm/k")

    pod = next(name for name in world.pods if "-api-" in name)
    world.pods[pod]["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    check = ReadyCheck(name="model", ok=False, message="The model server refuses the key.")
    world.answers[pod] = PodAnswer(models=report(world.table), checks=(check,))
    await world.run()

    assert world.reason("ModelReady") == ("False", "ModelUnreachable")
    assert "refuses the key" in world.condition("ModelReady")["message"]


async def test_external_model_that_a_fallback_stands_in_for_is_not_ready_although_questions_are_answered() -> None:
    world = await serving(
        service(model={"runtime": "External", "external": EXTERNAL, "fallback": [{"extractive": {}}]})
    )
    again = await world.run()
    assert again is not None, "no event tells that the server has gone"
    assert again <= 60

    word = "The model server did not answer within 1.2 s. A fallback answers."
    world.pods_report(checks=(ReadyCheck(name="model", ok=True, message=word),))
    await world.run()
    assert world.reason("ModelReady") == ("False", "ModelUnreachable")
    assert word in world.condition("ModelReady")["message"]
    assert world.reason("Degraded") == ("True", "ModelUnreachable")
    assert world.condition("Degraded")["message"].endswith("Revision 1 goes on serving.")

    world.pods_report()
    await world.run()
    assert world.reason() == ("True", "AllChecksPassed")


async def test_a_word_about_a_former_table_is_none_about_this_model() -> None:
    world = await serving(declared(fallback=[{"extractive": {}}]))
    world.pods_report(checks=(ReadyCheck(name="model", ok=True, message="The model is switched off."),))
    await world.run()
    assert world.reason("ModelReady") == ("False", "ModelUnreachable")

    world.edit(model={"fallback": []})
    await world.run()
    assert world.reason("ModelReady") == ("True", "ModelServing")


async def test_external_model_is_unknown_until_a_pod_serves_it() -> None:
    world = World(service(model={"runtime": "External", "external": EXTERNAL}))
    await world.run()

    assert world.reason("ModelReady") == ("Unknown", "WaitingForApi")


async def test_kill_switch_acts_through_the_table_and_makes_no_release() -> None:
    world = await serving(declared(fallback=[{"extractive": {}}]))
    world.edit(model={"enabled": False})
    await settle(world)

    assert world.reason("ModelReady") == ("True", "ModelDisabled")
    assert world.table.policy.model_enabled is False
    assert len(world.table.policy.fallbacks) == 1
    assert world.table.revisions[0].number == 1


async def test_another_model_is_loaded_beside_the_one_that_serves_and_then_takes_over() -> None:
    world = await serving(declared())
    before = model_children(world)
    old = next(key for key in before if key.kind == "Deployment")
    template = world.objects[old]["spec"]["template"]
    world.edit(model={"name": "Qwen/Qwen2.5-7B-Instruct", "vllm": {"nodeSelector": {"pool": "big"}}})
    await world.run()

    assert len([key for key in model_children(world) if key.kind == "Deployment"]) == 2
    assert world.objects[old]["spec"]["template"] == template
    assert world.table.revisions[0].model.name == "Qwen/Qwen2.5-1.5B-Instruct"

    await settle(world)
    assert world.table.revisions[0].model.name == "Qwen/Qwen2.5-7B-Instruct"
    await drained(world)
    assert not before & model_children(world)


@pytest.mark.parametrize(
    "other",
    [{"runtime": "Extractive"}, {"runtime": "External", "external": EXTERNAL}],
    ids=["Extractive", "External"],
)
async def test_switching_the_runtime_by_one_field_leaves_no_server_behind_and_goes_back(other: Json) -> None:
    world = await serving(declared(external=EXTERNAL))
    hashes = world.table.revisions[0].model.hash
    world.edit(model=other)
    await settle(world)

    assert world.table.revisions[0].model.runtime == other["runtime"]
    await drained(world)
    assert model_children(world) == set()

    world.edit(model={"runtime": "VLLM"})
    await world.run()
    assert world.table.revisions[0].model.runtime == other["runtime"], "what serves goes on until the model has loaded"
    await settle(world)
    assert world.table.revisions[0].model.hash == hashes
    assert world.table.revisions[0].number == 1
    assert world.reason() == ("True", "AllChecksPassed")


async def test_a_broken_gpu_path_is_left_in_one_edit_while_its_pods_still_fail() -> None:
    world = await serving(declared())
    loading(world, lastState={"terminated": {"exitCode": 1, "message": "RuntimeError: No CUDA GPUs are available"}})
    await world.run()
    assert world.reason("ModelReady") == ("False", "GpuNotVisible")

    world.edit(model={"runtime": "Extractive"})
    await world.run()
    assert world.table.revisions[0].model.runtime == "Extractive"


async def test_pods_that_load_are_kept_from_node_autoscalers_until_they_are_ready() -> None:
    world = World(declared())
    await world.run()
    loading(world)
    name = next(name for name in world.pods if "-model-" in name)
    await world.run()

    assert names.EVICTION_HINTS.items() <= world.pods[name]["metadata"]["annotations"].items()
    await world.run()
    assert not [write for write in world.writes if write[0] == "annotate"]

    world.pods[name]["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    await world.run()
    assert not names.EVICTION_HINTS.keys() & world.pods[name]["metadata"]["annotations"].keys()


async def test_scaled_to_zero_is_told() -> None:
    world = await serving(declared())
    world.edit(model={"vllm": {"replicas": 0}})
    await settle(world)

    assert world.reason("ModelReady") == ("False", str(Reason.ScaledToZero))


BIGGER = {"name": "Qwen/Qwen2.5-7B-Instruct"}


async def two_models(started: str | None = None) -> tuple[World, ChildKey, ChildKey]:
    """The bigger model has loaded beside the first one; the table has just moved to it. Both Deployments.

    The first model's pod was started at the time `started`, and ready at 08:00:00.
    """
    world = World(declared())
    await world.run()
    world.controllers_finish()
    world.job_ends()
    for pod in world.pods.values():
        if started is not None and component_of(pod) == names.COMPONENT_MODEL:
            pod["status"]["containerStatuses"][0]["state"] = {"running": {"startedAt": started}}
            pod["status"]["conditions"][0]["lastTransitionTime"] = "2026-11-21T08:00:00Z"
    await world.run()
    world.pods_report()
    await world.run()
    assert world.reason() == ("True", "AllChecksPassed"), world.condition("Ready")
    (old,) = [key for key in model_children(world) if key.kind == "Deployment"]
    world.edit(model=BIGGER)
    await world.run()
    (new,) = [key for key in model_children(world) if key.kind == "Deployment" and key != old]
    world.controllers_finish()
    await world.run()
    assert world.table.revisions[0].model.name == BIGGER["name"]
    return world, old, new


async def test_former_model_stays_until_every_pod_has_confirmed_and_its_answers_have_ended() -> None:
    world, old, new = await two_models()
    world.later(600)
    await world.run()
    assert old in world.objects, "an API pod still asks it"

    world.pods_report()
    await world.run()
    again = await world.run()
    assert world.body["status"]["model"] == BIGGER["name"]
    assert old in world.objects, "an answer that was begun before may still be on its way"
    assert again is not None
    assert again <= 120.2

    world.later(again)
    await world.run()
    assert old not in world.objects
    assert new in world.objects


async def test_former_model_that_is_gone_back_to_meanwhile_serves_at_once_and_is_not_restarted() -> None:
    world, old, new = await two_models()
    world.pods_report()
    await world.run()
    before = world.objects[old]["spec"]
    world.edit(rollback={"model": "Qwen/Qwen2.5-1.5B-Instruct"})
    await world.run()
    assert world.table.revisions[0].number == 1
    assert world.objects[old]["spec"] == before
    assert new in world.objects


async def test_model_that_some_pods_may_ask_stays_although_no_move_to_it_was_confirmed() -> None:
    world, _, between = await two_models()
    world.edit(model={"name": "Qwen/Qwen2.5-3B-Instruct"})
    await world.run()
    world.controllers_finish()
    await world.run()
    assert world.table.revisions[0].number == 3
    await world.run()
    assert between in world.objects

    world.pods_report()
    await world.run()
    await drained(world)
    assert between not in world.objects


async def half_moved() -> tuple[World, ChildKey]:
    """One of two API pods serves the bigger model, the other cannot be asked, and the spec has been put back. The bigger one's
    Deployment."""
    world = await serving(declared())
    world.edit(api={"replicas": 2})
    await settle(world)
    (old,) = [key for key in model_children(world) if key.kind == "Deployment"]
    world.edit(model=BIGGER)
    await world.run()
    (new,) = [key for key in model_children(world) if key.kind == "Deployment" and key != old]
    world.controllers_finish()
    await world.run()
    world.pods_report()
    world.answers[min(world.answers)] = PodAnswer(error="timed out")
    await world.run()
    assert world.table.revisions[0].model.name == BIGGER["name"]
    assert world.reason("ReleaseSettled") == ("Unknown", "ApiUnreachable")
    world.edit(model={"name": "Qwen/Qwen2.5-1.5B-Instruct"})
    return world, new


async def test_model_that_was_left_again_before_every_pod_served_it_stays_as_long_as_one_may_ask_it() -> None:
    world, new = await half_moved()
    await world.run()
    assert world.table.revisions[0].number == 1
    world.later(600)
    await world.run()
    assert new in world.objects, "a pod has not come back from it"

    world.pods_report()
    await world.run()
    again = await world.run()
    assert new in world.objects, "an answer that was begun there may still be on its way"
    assert again is not None
    world.later(again)
    await world.run()
    assert new not in world.objects


async def test_model_that_had_served_before_stays_too_when_it_is_left_halfway() -> None:
    world, new = await half_moved()
    for name in ("Qwen/Qwen2.5-1.5B-Instruct", BIGGER["name"], "Qwen/Qwen2.5-1.5B-Instruct"):
        world.edit(model={"name": name})
        await settle(world)
        world.later(10)
    world.edit(model=BIGGER)
    await world.run()
    world.answers = {name: PodAnswer(error="timed out") for name in world.answers}
    world.later(600)
    await world.run()
    assert world.table.revisions[0].number == 2
    world.edit(model={"name": "Qwen/Qwen2.5-1.5B-Instruct"})
    await world.run()
    assert new in world.objects

    world.pods_report()
    await world.run()
    await world.run()
    assert new in world.objects, "an answer that was begun there may still be on its way"
    await drained(world)
    assert new not in world.objects


async def test_model_that_was_left_halfway_stays_although_nobody_could_note_the_move() -> None:
    world, new = await half_moved()
    for name in ("Qwen/Qwen2.5-1.5B-Instruct", BIGGER["name"], "Qwen/Qwen2.5-1.5B-Instruct"):
        world.edit(model={"name": name})
        await settle(world)
    world.later(60)
    world.edit(model=BIGGER)
    world.refuse = lambda verb, kind, _: ApiError(500, "E", "no") if (verb, kind) == ("status", "RagRevision") else None
    with pytest.raises(ApiError):
        await world.run()
    assert world.table.revisions[0].number == 2
    world.refuse = lambda *_: None
    world.answers = {name: PodAnswer(error="timed out") for name in world.answers}
    world.later(600)
    world.edit(model={"name": "Qwen/Qwen2.5-1.5B-Instruct"})
    await world.run()
    assert world.table.revisions[0].number == 1
    assert new in world.objects, "a pod may have read the table between"

    world.pods_report()
    await world.run()
    await drained(world)
    assert new not in world.objects


async def test_model_that_was_left_halfway_stays_however_few_records_are_kept() -> None:
    world, new = await half_moved()
    world.edit(model={"name": "Qwen/Qwen2.5-3B-Instruct"}, release={"history": 1})
    await world.run()
    world.controllers_finish()
    await world.run()
    await world.run()
    assert world.table.revisions[0].number == 3
    assert new in world.objects


async def test_model_that_never_served_goes_at_once() -> None:
    world = await serving(declared())
    world.edit(model=BIGGER)
    await world.run()
    (unused,) = [
        key for key in model_children(world) if "Deployment" == key.kind and not world.objects[key].get("status")
    ]
    world.edit(model={"name": "Qwen/Qwen2.5-1.5B-Instruct"})
    await world.run()
    assert unused not in world.objects


async def test_suspended_service_keeps_no_former_model() -> None:
    world, old, _ = await two_models()
    world.pods_report()
    await world.run()
    world.edit(suspend=True)
    await world.run()
    assert old not in world.objects


@pytest.mark.parametrize(
    ("started", "words"),
    [
        (None, "It may take up to 1800 s (spec.model.vllm.loadDeadlineSeconds)."),
        ("2026-11-21T07:58:30Z", "It took 90 s to load when it last served."),
    ],
    ids=["never measured", "measured"],
)
async def test_going_back_to_a_model_that_is_gone_says_how_long_it_takes_and_what_serves_meanwhile(
    started: str | None, words: str
) -> None:
    world, old, _ = await two_models(started)
    await settle(world)
    await drained(world)
    assert old not in world.objects
    world.edit(rollback={"model": "Qwen/Qwen2.5-1.5B-Instruct"})
    await world.run()

    assert old in world.objects
    assert world.table.revisions[0].model.name == BIGGER["name"]
    assert world.reason("ReleaseSettled") == ("False", "ModelLoading")
    waits = world.body["status"]["release"]["waitingFor"]
    assert waits == world.condition("ReleaseSettled")["message"]
    assert words in waits
    assert "Revision 2 serves until then." in waits

    await settle(world)
    assert world.table.revisions[0].number == 1
    assert world.reason() == ("True", "AllChecksPassed")
    assert "waitingFor" not in world.body["status"]["release"]
