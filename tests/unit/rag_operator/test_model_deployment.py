"""What a model server of ours is rendered to: placement, memory, arguments, folders, probes and times."""

from typing import Any

import pytest
from rag_contract.model_server import LAUNCHER_PORT, ModelServerEnvironment
from rag_contract.release_table import ModelRelease
from rag_operator import names
from rag_operator.api import RagService, Vllm
from rag_operator.releases import make_plan
from rag_operator.releases.model import wanted_model
from rag_operator.resources import engine, model

from tests.unit.rag_operator.world import NAME, SETTINGS, observed, service

Json = dict[str, Any]
COMMIT = "989aa7980e4cf806f80c7fef2b1adb7bc71aa306"
EPHEMERAL = {"type": "Ephemeral", "size": "20Gi"}


def declared(vllm: Json | None = None, **spec: Any) -> Json:
    """A RagService whose model runs on a server of ours."""
    block = {"cache": EPHEMERAL, **(vllm or {})}
    return service(model={"runtime": "VLLM", "name": "Qwen/Qwen2.5-1.5B-Instruct", "vllm": block, **spec})


def built(body: Json) -> dict[str, Json]:
    """The model's children by kind."""
    world = observed(body)
    made = model.build(world.service, world, make_plan(world), SETTINGS)
    return {child["kind"]: child for child in made}


def pod_of(vllm: Json | None = None, **spec: Any) -> Json:
    """The rendered pod."""
    pod: Json = built(declared(vllm, **spec))["Deployment"]["spec"]["template"]["spec"]
    return pod


def container_of(vllm: Json | None = None, **spec: Any) -> Json:
    container: Json = pod_of(vllm, **spec)["containers"][0]
    return container


def wanted(body: Json) -> ModelRelease:
    return wanted_model(RagService.model_validate(body))


def test_gpus_are_whole_and_in_limits_only() -> None:
    resources = container_of({"gpu": {"count": 2}})["resources"]

    assert resources["limits"]["nvidia.com/gpu"] == "2"
    assert "nvidia.com/gpu" not in resources["requests"]


def test_resource_name_and_product_are_the_users() -> None:
    pod = pod_of({"gpu": {"resourceName": "amd.com/gpu", "product": "MI300X"}, "nodeSelector": {"pool": "a"}})

    assert pod["containers"][0]["resources"]["limits"]["amd.com/gpu"] == "1"
    assert pod["nodeSelector"] == {"pool": "a", "amd.com/gpu.product-name": "MI300X"}
    assert pod["tolerations"] == [{"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def test_tolerations_are_added_to_the_usual_one() -> None:
    mine = {"key": "spot", "operator": "Equal", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 30}

    tolerations = pod_of({"tolerations": [mine]})["tolerations"]

    assert tolerations == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}, mine]


def test_no_gpu_is_asked_for_and_no_taint_is_borne_without_gpus() -> None:
    pod = pod_of({"gpu": {"count": 0}})

    assert set(pod["containers"][0]["resources"]["limits"]) == {"memory"}
    assert pod["tolerations"] == []
    assert not [a for a in pod["containers"][0]["args"] if "gpu" in a or "parallel" in a]


def test_several_gpus_are_one_tensor_parallel_group_on_unshared_cards() -> None:
    pod = pod_of({"gpu": {"count": 4}})
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]

    assert "--tensor-parallel-size=4" in pod["containers"][0]["args"]
    assert terms == [{"matchExpressions": [model.NO_SHARING]}]


def test_shared_memory_of_several_gpus_is_memory_of_the_pod() -> None:
    pod = pod_of({"gpu": {"count": 4}, "resources": {"requests": {"memory": "8Gi"}, "limits": {"memory": "16Gi"}}})
    resources = pod["containers"][0]["resources"]

    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "4Gi"}} in pod["volumes"]
    assert {"name": "shm", "mountPath": "/dev/shm"} in pod["containers"][0]["volumeMounts"]
    assert (resources["requests"]["memory"], resources["limits"]["memory"]) == ("12Gi", "20Gi")


def test_one_gpu_has_no_shared_memory_unless_it_is_asked_for() -> None:
    assert "shm" not in {volume["name"] for volume in pod_of()["volumes"]}
    assert container_of({"sharedMemory": "512Mi"})["resources"]["limits"]["memory"] == "16896Mi"


def test_claims_of_devices_replace_the_extended_resource() -> None:
    pod = pod_of({"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one-l4"}]})
    resources = pod["containers"][0]["resources"]

    assert pod["resourceClaims"] == [{"name": "gpu", "resourceClaimTemplateName": "one-l4"}]
    assert resources["claims"] == [{"name": "gpu"}]
    assert "nvidia.com/gpu" not in resources["limits"]


def test_node_affinity_is_one_term_of_all_requirements() -> None:
    zone = {"key": "zone", "operator": "In", "values": ["a", "b"]}
    fast = {"key": "disk", "operator": "Exists", "weight": 10}

    affinity = pod_of({"nodeAffinity": {"required": [zone], "preferred": [fast]}})["affinity"]["nodeAffinity"]

    assert affinity["requiredDuringSchedulingIgnoredDuringExecution"] == {
        "nodeSelectorTerms": [{"matchExpressions": [zone]}]
    }
    assert affinity["preferredDuringSchedulingIgnoredDuringExecution"] == [
        {"weight": 10, "preference": {"matchExpressions": [{"key": "disk", "operator": "Exists", "values": []}]}}
    ]


def test_pod_is_restricted_and_takes_no_variables_from_services() -> None:
    pod = pod_of()
    security = pod["containers"][0]["securityContext"]

    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert security["readOnlyRootFilesystem"] is True
    assert not {"hostNetwork", "hostIPC", "hostPID"} & pod.keys()


def test_every_folder_that_is_written_is_on_a_volume() -> None:
    container = container_of()
    mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
    folders = {v["name"]: v["value"] for v in container["env"] if str(v.get("value", "")).startswith("/")}
    folders.pop("RAG_MODEL_TERMINATION_PATH", None)  # the kubelet's own file

    assert {"HOME", "HF_HOME", "VLLM_CACHE_ROOT", "TRITON_CACHE_DIR", "XDG_CACHE_HOME"} <= folders.keys()
    outside = {n: f for n, f in folders.items() if not any(f == m or f.startswith(f"{m}/") for m in mounted)}
    assert outside == {}


def test_arguments_name_the_model_and_leave_to_the_engine_what_it_chooses_well() -> None:
    container = container_of({"args": ["--max-num-seqs=8"], "maxModelTokens": 8192}, revision=COMMIT)

    assert container["args"] == [
        "Qwen/Qwen2.5-1.5B-Instruct",
        "--host=0.0.0.0",
        "--port=8000",
        "--served-model-name=rag",
        "--shutdown-timeout=60",
        "--disable-access-log-for-endpoints=/health,/metrics,/ping",
        f"--revision={COMMIT}",
        "--max-model-len=8192",
        "--gpu-memory-utilization=0.90",
        "--max-num-seqs=8",
    ]


def test_code_of_the_repository_is_run_only_when_asked() -> None:
    assert "--trust-remote-code" not in container_of()["args"]
    assert "--trust-remote-code" in container_of({"trustRemoteCode": True})["args"]


def test_own_image_has_the_launcher_and_its_probes() -> None:
    container = container_of({"gpu": {"count": 2}, "drainSeconds": 40})
    told = ModelServerEnvironment.from_env({v["name"]: v["value"] for v in container["env"] if "value" in v})

    assert container["image"] == SETTINGS.model_image
    assert "command" not in container
    assert (told.gpus, told.drain_seconds, told.served_name) == (2, 40, "rag")
    assert container["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "probes", "scheme": "HTTP"}
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    assert {"name": "probes", "containerPort": LAUNCHER_PORT, "protocol": "TCP"} in container["ports"]


def test_stock_image_is_called_as_vllm_and_probed_itself() -> None:
    container = container_of({"image": "vllm/vllm-openai:v0.32.0"})

    assert container["command"] == ["vllm", "serve"]
    assert not [variable for variable in container["env"] if variable["name"].startswith("RAG_MODEL_")]
    assert {container[kind]["httpGet"]["port"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")} == {
        "http"
    }


@pytest.mark.parametrize("load", [60, 61, 1800, 86400])
@pytest.mark.parametrize("drain", [0, 60, 3600])
def test_times_fit_together_whatever_the_two_fields_say(load: int, drain: int) -> None:
    children = built(declared({"loadDeadlineSeconds": load, "drainSeconds": drain}))
    spec = children["Deployment"]["spec"]
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    env = {variable["name"]: variable.get("value", "") for variable in container["env"]}
    told = ModelServerEnvironment.from_env(env)
    engine_gives_up = int(env["VLLM_ENGINE_READY_TIMEOUT_S"])
    startup, live = container["startupProbe"], container["livenessProbe"]
    startup_budget = startup["periodSeconds"] * startup["failureThreshold"]
    pre_stop = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = pod["terminationGracePeriodSeconds"]

    assert load <= engine_gives_up
    assert engine_gives_up < told.load_deadline_seconds < startup_budget
    assert startup_budget + grace + engine.PULL_SECONDS <= spec["progressDeadlineSeconds"]
    assert f"--shutdown-timeout={drain}" in container["args"]
    assert told.drain_seconds == drain
    assert pre_stop + drain + 5 < grace
    assert pre_stop < live["terminationGracePeriodSeconds"] < 60
    for probe in (startup, live, container["readinessProbe"]):
        assert probe["timeoutSeconds"] <= max(probe["periodSeconds"], 10)
        assert "initialDelaySeconds" not in probe


@pytest.mark.parametrize(("asked", "stall"), [({}, 120), ({"stallSeconds": 45}, 45)])
def test_a_busy_stock_engine_has_its_time_before_it_counts_as_hung(asked: Json, stall: int) -> None:
    probe = container_of({"image": "vllm/vllm-openai:v0.32.0", **asked})["livenessProbe"]

    assert stall <= probe["periodSeconds"] * probe["failureThreshold"] < stall + 10


def test_the_launcher_counts_for_how_long_the_engine_stands_still() -> None:
    container = container_of({"stallSeconds": 45})
    told = ModelServerEnvironment.from_env({v["name"]: v["value"] for v in container["env"] if "value" in v})
    probe = container["livenessProbe"]

    assert told.stall_seconds == 45
    assert probe["periodSeconds"] * probe["failureThreshold"] <= 15  # it answers at once: no need to ask for long


def test_disruption_budget_and_spread_only_above_one_replica() -> None:
    many = built(declared({"replicas": 2}))

    assert "PodDisruptionBudget" not in built(declared())
    assert many["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    spread = many["Deployment"]["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [constraint["whenUnsatisfiable"] for constraint in spread] == ["ScheduleAnyway"]


def test_suspended_service_frees_its_gpus() -> None:
    body = declared()
    body["spec"]["suspend"] = True

    assert built(body)["Deployment"]["spec"]["replicas"] == 0


def test_name_selector_and_endpoint_follow_the_model() -> None:
    children = built(declared())
    release = wanted(declared())
    name = names.model(NAME, release.hash)

    assert {child["metadata"]["name"] for child in children.values()} == {name}
    assert children["Service"]["spec"]["selector"] == names.model_selector(NAME, release.hash)
    assert release.endpoints[0].url == f"http://{name}.team-a.svc:8000"
    assert release.endpoints[0].model == names.SERVED_MODEL


@pytest.mark.parametrize(
    "change",
    [
        {"nodeSelector": {"pool": "b"}},
        {"replicas": 3, "cache": {**EPHEMERAL, "accessMode": "ReadWriteMany"}},
        {"resources": {"limits": {"memory": "32Gi"}}},
        {"loadDeadlineSeconds": 600},
        {"gpu": {"product": "NVIDIA-L4"}},
        {"strategy": "Replace"},
        {"sharedMemory": "1Gi"},
        {"stallSeconds": 60},
    ],
    ids=lambda change: next(iter(change)),
)
def test_placement_is_no_other_model(change: Json) -> None:
    assert wanted(declared()).hash == wanted(declared(change)).hash


@pytest.mark.parametrize(
    "change",
    [
        {"image": "vllm/vllm-openai:v0.31.0"},
        {"args": ["--dtype=half"]},
        {"gpu": {"count": 2}},
        {"maxModelTokens": 4096},
        {"trustRemoteCode": True},
        {"gpuMemoryPercent": 80},
    ],
    ids=lambda change: next(iter(change)),
)
def test_engine_is_another_model(change: Json) -> None:
    assert wanted(declared()).hash != wanted(declared(change)).hash


def test_defaults_written_out_are_the_same_model() -> None:
    written = Vllm().model_dump(mode="json", by_alias=True, exclude_none=True)

    assert wanted(declared()).hash == wanted(declared({**written, "cache": EPHEMERAL})).hash
