"""What GPUs cost and whether they are needed: GPU-seconds from Deployments, and how busy engines were from their own figures."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.core import Metric
from rag_operator import names
from rag_operator.cluster import gpu_meter
from rag_operator.cluster.engine_use import EngineUse
from rag_operator.cluster.gpu_meter import GpuMeter
from rag_operator.observed import pod_of

from tests.unit.rag_operator.test_model_deployment import declared
from tests.unit.rag_operator.test_model_status import deployment, serving
from tests.unit.rag_operator.world import World, running_pod

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[3]
RECORDED = ROOT / "tests" / "contract" / "vllm" / "recorded" / "generate.json"


class Clock:
    """Time that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def model_server(ready: int, wanted: int = 2, gpus: int = 2) -> Json:
    """A Deployment of a model, with so many ready pods."""
    limits = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    return {
        "kind": "Deployment",
        "metadata": {
            "namespace": "team-a",
            "name": "handbook-model-1",
            "labels": {names.LABEL_SERVICE: "handbook", names.LABEL_COMPONENT: names.COMPONENT_MODEL},
        },
        "spec": {"replicas": wanted, "template": {"spec": {"containers": [{"resources": {"limits": limits}}]}}},
        "status": {"readyReplicas": ready},
    }


def values(meter: GpuMeter) -> dict[tuple[str, ...], float]:
    """Samples by the end of their name and their labels' values."""
    found: list[Metric] = list(meter.collect())
    return {(s.name.removeprefix("rag_operator_"), *s.labels.values()): s.value for m in found for s in m.samples}


OURS = ("team-a", "handbook", "nvidia.com/gpu")


def test_gpu_seconds_are_those_of_ready_pods_between_changes() -> None:
    meter = GpuMeter(clock := Clock())
    meter.changed(None, model_server(1))
    clock.now += 500  # of a process that does not work yet
    assert {} == values(meter)

    meter.begin()
    clock.now += 10
    meter.changed(model_server(1), model_server(2))
    clock.now += 5
    assert 10 * 2 + 5 * 4 == values(meter)["gpu_seconds_total", *OURS]
    assert (4, 4) == (values(meter)["gpus", *OURS, "ready"], values(meter)["gpus", *OURS, "wanted"])

    meter.changed(model_server(2), model_server(0))
    clock.now += 100
    assert 40 == values(meter)["gpu_seconds_total", *OURS]
    assert 0 == values(meter)["gpus", *OURS, "ready"]


def test_prometheus_leaves_the_series_their_namespace() -> None:
    """It would write the operator's own over it, and two objects of one name would be one."""
    monitor = yaml.safe_load((ROOT / "config" / "prometheus" / "service_monitor.yaml").read_text(encoding="utf-8"))
    assert "namespace" in gpu_meter.LABELS
    assert [True] == [endpoint["honorLabels"] for endpoint in monitor["spec"]["endpoints"]]


def test_gpu_seconds_outlive_the_model_server_and_go_with_the_service() -> None:
    meter = GpuMeter(clock := Clock())
    meter.begin()
    meter.changed(None, model_server(1))
    clock.now += 10
    meter.changed(model_server(1), None)
    clock.now += 10
    assert {("gpu_seconds_total", *OURS): 20.0} == values(meter)
    meter.changed({"kind": "RagService", "metadata": {"namespace": "team-a", "name": "handbook"}}, None)
    assert {} == values(meter)


SERVICE = {"kind": "RagService", "metadata": {"namespace": "team-a", "name": "handbook"}}


def test_a_model_server_that_outlives_its_service_leaves_no_series_behind() -> None:
    meter = GpuMeter(clock := Clock())
    meter.begin()
    meter.changed(None, model_server(1))
    meter.changed(SERVICE, None)  # deletion in the background: the garbage collector comes later
    clock.now += 10
    assert 20.0 == values(meter)["gpu_seconds_total", *OURS]
    meter.changed(model_server(1), None)
    assert {} == values(meter)


def test_a_service_that_came_back_keeps_its_series() -> None:
    meter = GpuMeter(clock := Clock())
    meter.begin()
    meter.changed(None, model_server(1))
    meter.changed(SERVICE, None)
    meter.changed(None, SERVICE)
    clock.now += 10
    meter.changed(model_server(1), None)
    assert {("gpu_seconds_total", *OURS): 20.0} == values(meter)


@pytest.mark.parametrize("body", [{**model_server(1), "kind": "StatefulSet"}, model_server(1, gpus=0)])
def test_what_has_no_gpu_is_not_counted(body: Json) -> None:
    meter = GpuMeter(clock := Clock())
    meter.begin()
    meter.changed(None, body)
    clock.now += 10
    assert {} == values(meter)


class Engine:
    """Double of an engine's /metrics: the recorded text with two figures of ours."""

    def __init__(self) -> None:
        self.spent, self.running, self.asked = 0.0, 0, 0

    async def __call__(self, pod: object, path: str) -> bytes:
        assert "/metrics" == path
        self.asked += 1
        return (
            "# TYPE vllm:request_inference_time_seconds histogram\n"
            f'vllm:request_inference_time_seconds_sum{{engine="0",model_name="rag"}} {self.spent}\n'
            f'vllm:num_requests_running{{engine="0",model_name="rag"}} {float(self.running)}\n'
        ).encode()


POD = pod_of(running_pod("model-0", names.COMPONENT_MODEL) | {"status": running_pod("model-0", "model")["status"]})


async def test_an_engine_is_judged_by_an_hour_of_its_own_figures() -> None:
    use = EngineUse(engine := Engine(), clock := Clock())
    assert {} == await use.of([POD])  # nothing is known of the time before
    for _ in range(5):
        clock.now += 600
        engine.spent += 30
        assert {} == await use.of([POD])
    clock.now += 600
    engine.spent += 30
    assert {POD.name: pytest.approx(0.05)} == await use.of([POD])

    clock.now += 3600
    engine.spent += 3600
    assert {POD.name: pytest.approx(1.0)} == await use.of([POD])


async def test_what_is_being_worked_on_counts_as_busy_and_looks_are_seldom() -> None:
    use = EngineUse(engine := Engine(), clock := Clock())
    await use.of([POD])
    clock.now += 30
    await use.of([POD])
    assert 1 == engine.asked
    clock.now += 3600
    engine.running = 1
    assert {POD.name: 1.0} == await use.of([POD])


def test_the_recorded_engine_has_both_figures() -> None:
    text = RECORDED.read_text(encoding="utf-8")
    for name in ("vllm:request_inference_time_seconds_sum{", "vllm:num_requests_running{"):
        assert name in text


async def gpu_message(share: float | None) -> str:
    """Of GpuSchedulable when the only pod's engine was that busy; None: it has not been seen for an hour."""
    world: World = await serving(declared())
    body = deployment(world)
    pod = running_pod(f"{body['metadata']['name']}-0", names.COMPONENT_MODEL)
    pod["metadata"]["labels"] |= body["spec"]["template"]["metadata"]["labels"]
    world.pods[pod["metadata"]["name"]] = pod
    world.engines = {pod["metadata"]["name"]: share} if share is not None else {}
    await world.run()
    return str(world.condition("GpuSchedulable")["message"])


@pytest.mark.parametrize(("share", "hint"), [(0.04, True), (0.5, False), (None, False)])
async def test_idle_gpus_are_worth_a_word(share: float | None, hint: bool) -> None:
    assert hint == ("worked less than 10% of the last hour: choose a smaller GPU" in await gpu_message(share))
