"""What a running operator tells: metrics, alerts over them, health, its state, and what `render` makes of a live service."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from rag_operator import names
from rag_operator.program import serve
from rag_operator.runtime import login as logins
from rag_operator.runtime.supervise import Supervisor
from rag_operator.settings import Settings

from tests.cluster.fixtures import Cluster, new_namespace
from tests.control_plane.reconcile.harness import Kube, NodeDouble, config_map, rag_service
from tests.e2e.kube import wait_for
from tests.golden.rendering import children

from .conftest import OPERATOR_NAMESPACE, ROOT, Json, built
from .process import Running, Start, free_port, login

pytestmark = pytest.mark.control_plane
SCOPE = {"RAG_OPERATOR_API_IMAGE": "example.com/api:1", "RAG_OPERATOR_INDEXER_IMAGE": "example.com/indexer:1"}
DUMPED = (
    "ragservices,ragrevisions,deployments,statefulsets,jobs,services,serviceaccounts,configmaps,"
    "poddisruptionbudgets,pods,persistentvolumeclaims"
)


@pytest.fixture(scope="module")
def served(program_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kube, Running]]:
    """An operator for one namespace, under the released rights, and a service `faq` there that became Ready."""
    folder = tmp_path_factory.mktemp("served")
    with new_namespace(program_plane, "served") as namespace:
        kube = Kube(program_plane, namespace)
        kube.create("ConfigMap", config_map("documents"))
        # Its name is taken: the operator's own create is refused, so that a refusal has been counted.
        kube.create("Secret", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "faq-client-key"}})
        kube.create("RagService", rag_service("faq"))
        scope = {**SCOPE, "RAG_OPERATOR_NAMESPACE": namespace, "RAG_OPERATOR_LEASE_NAMESPACE": OPERATOR_NAMESPACE}
        account = login(program_plane, OPERATOR_NAMESPACE, folder)
        with NodeDouble(kube, "faq"), Start(account, folder, scope).running() as running:
            wait_for("Ready", lambda: kube.condition("faq")[0] == "True", 120)
            yield kube, running
        kube.close()


def test_the_metrics_are_complete(served: tuple[Kube, Running]) -> None:
    _, running = served
    families = running.metrics()
    labels = {name: {key for s in family.samples for key in s.labels} for name, family in families.items()}
    expected = {
        "rag_operator_reconciles": {"result"},
        "rag_operator_reconcile_seconds": {"result", "le"},
        "rag_operator_queue_depth": set(),
        "rag_operator_queue_waiting": set(),
        "rag_operator_queue_wait_seconds": {"le"},
        "rag_operator_writes": {"kind", "verb", "result"},
        "rag_operator_api_requests": {"verb", "kind", "code"},
        "rag_operator_api_errors": {"verb", "kind", "code"},
        "rag_operator_cache_objects": {"kind"},
        "rag_operator_cache_silent_seconds": {"kind"},
        "rag_operator_cache_lists": {"kind"},
        "rag_operator_leader": set(),
        "rag_operator_ragservices": {"ready"},
        "rag_operator_build_info": {"version"},
        "rag_operator_move_seconds": {"kind", "result", "le"},
        "rag_operator_lost_events": set(),
        "rag_operator_host_exits": set(),
    }
    assert expected == {name: labels.get(name) for name in expected}
    assert "rag_operator_conflicts" in families
    assert 1 == running.value("rag_operator_ragservices", ready="True")
    assert 1 <= running.value("rag_operator_writes_total", kind="Deployment", verb="apply", result="ok")
    assert 0 == running.value("rag_operator_api_errors_total", code="403")
    assert 1 == running.value("rag_operator_move_seconds_count", kind="first", result="confirmed")


def test_alerts_ask_for_what_is_measured(served: tuple[Kube, Running]) -> None:
    _, running = served
    known = {s.name: set(s.labels) for family in running.metrics().values() for s in family.samples}
    rules = yaml.safe_load((ROOT / "config/prometheus/rules.yaml").read_text())
    alerts = [rule for group in rules["spec"]["groups"] for rule in group["rules"]]
    assert len({alert["alert"] for alert in alerts}) == len(alerts) >= 8
    for alert in alerts:
        assert (
            {"alert", "expr", "labels", "annotations"}
            <= set(alert)
            <= {"alert", "expr", "for", "labels", "annotations"}
        )
        assert alert["labels"]["severity"] in {"warning", "critical"}
        assert {"summary", "description"} == set(alert["annotations"])
        assert [] == faults(alert["expr"], known), alert["alert"]
    assert ["no metric rag_operator_x_total", "rag_operator_leader has no label zone", "brackets"] == faults(
        'sum(rag_operator_x_total > rag_operator_leader{zone="a"}', known
    )


def faults(expression: str, known: dict[str, set[str]]) -> list[str]:
    """What in a PromQL expression cannot be, as far as names, labels and brackets tell."""
    found = []
    for name, matchers in re.findall(r"(rag_operator_\w+)(?:\{([^}]*)\})?", expression):
        if name not in known:
            found.append(f"no metric {name}")
        else:
            wanted = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)
            found += [f"{name} has no label {label}" for label in wanted if label not in known[name]]
    by = {label for labels in re.findall(r"\bby\s*\(([^)]*)\)", expression) for label in re.findall(r"\w+", labels)}
    everything = set().union(*known.values())
    found += [f"nothing has the label {label}" for label in sorted(by - everything)]
    if any(expression.count(a) != expression.count(b) for a, b in ("()", "[]", "{}")):
        found.append("brackets")
    return found


def test_the_component_is_built_and_never_part_of_the_default(program_plane: Cluster, tmp_path: Path) -> None:
    relative = os.path.relpath(ROOT / "config", tmp_path)
    overlay = {"namespace": "monitored", "resources": [f"{relative}/manager"], "components": [f"{relative}/prometheus"]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    objects = [o for o in yaml.safe_load_all(program_plane.kubectl("kustomize", str(tmp_path))) if o]
    found = [o for o in objects if o["apiVersion"].startswith("monitoring.coreos.com/")]
    monitors = {o["kind"]: o for o in found}
    assert {"ServiceMonitor", "PodMonitor", "PrometheusRule"} == set(monitors)
    assert {"monitored"} == {o["metadata"]["namespace"] for o in found}
    for monitor in (o["spec"] for o in found if o["kind"] == "PodMonitor"):
        pods = [pod for pod in pods_of_services() if wanted(monitor).items() <= pod["metadata"]["labels"].items()]
        assert pods
        for pod in pods:
            ports = {port["name"] for container in pod["spec"]["containers"] for port in container["ports"]}
            assert {endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]} <= ports
    (service,) = [o for o in objects if o["kind"] == "Service"]
    spec = monitors["ServiceMonitor"]["spec"]
    assert spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert {endpoint["port"] for endpoint in spec["endpoints"]} <= {port["name"] for port in service["spec"]["ports"]}
    default = built(program_plane, "config/default") + built(program_plane, "config/namespaced")
    assert [] == [o for o in default if "monitoring" in o["apiVersion"]]


def wanted(monitor: Json) -> dict[str, str]:
    """The labels that a PodMonitor selects by."""
    labels: dict[str, str] = monitor["selector"]["matchLabels"]
    assert labels
    return labels


def pods_of_services() -> list[Json]:
    """Pod templates of what the operator makes of two services, one of them with a model server."""
    made = [child for case in ("minimal", "hosted") for child in children(case)]
    return [child["spec"]["template"] for child in made if child["kind"] == "Deployment"]


def test_a_live_service_renders_to_nothing_and_an_edit_to_what_it_moves(
    served: tuple[Kube, Running], program_plane: Cluster, tmp_path: Path
) -> None:
    kube, _ = served
    words = ["get", DUMPED, "-n", kube.namespace, "-o", "yaml", "--show-managed-fields"]
    (tmp_path / "all.yaml").write_text(program_plane.kubectl(*words))
    service = rag_service("faq")
    assert "# nothing would be applied or deleted\n" == rendered(service, tmp_path)
    service["spec"]["api"] = {"limits": {"requestsPerMinute": 7}}
    moved = [o for o in yaml.safe_load_all(rendered(service, tmp_path)) if o]
    assert ["ConfigMap", "Deployment"] == sorted(o["kind"] for o in moved)
    assert "RAG_API_REQUESTS_PER_MINUTE" in moved[0]["data"]


def rendered(service: Json, observed: Path) -> str:
    """The command's output, with the settings of the running operator."""
    command = [sys.executable, "-m", "rag_operator", "render", "-f", "-", "--observed", str(observed)]
    done = subprocess.run(
        command, input=json.dumps(service), env={**os.environ, **SCOPE}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_state_is_told_to_loopback_only(served: tuple[Kube, Running]) -> None:
    _, running = served
    status, body = running.get("/debug/state")
    assert 200 == status
    state = json.loads(body)
    assert {"working", "queue", "caches"} <= set(state)
    assert 1 == state["caches"]["RagService"]["objects"]
    assert "Answer from the sources" not in body  # names and versions, no content
    assert 404 == running.get("/debug/state", running.metrics_port)[0]


def test_children_are_taken_back_whatever_they_cannot_become(served: tuple[Kube, Running]) -> None:
    """A StatefulSet's claim template cannot change, so the operator must see the live one before it applies its own.

    This API server lets only those give an object an owner who may delete it: the reason for such rights of the operator.
    """
    kube, _ = served
    kube.patch("RagService", "faq", {"spec": {"vectorStore": {"qdrant": {"storage": {"size": "20Gi"}}}}})
    stripped = {"metadata": {"labels": {names.LABEL_SERVICE: None}, "ownerReferences": None}}
    places = [
        ("StatefulSet", "faq-qdrant"),
        *((kind, "faq-api") for kind in ("Deployment", "Service", "ServiceAccount")),
    ]
    for kind, name in places:
        kube.patch(kind, name, stripped)
    wait_for("their labels", lambda: set(places) <= set(kube.children("faq")), 60)
    for place in places:
        (owner,) = kube.children("faq")[place]["metadata"]["ownerReferences"]
        assert (True, "RagService") == (owner["controller"], owner["kind"])


# -- health --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def operator(program_plane: Cluster, space: str, tmp_path: Path) -> AsyncIterator[tuple[Supervisor, str]]:
    """The operator in this process: its tasks, and the address of its health port on all interfaces."""
    port = free_port()
    settings = Settings(
        namespace=space, lease_namespace=space, leader_election=False, metrics_port=0, health_port=port, kubeconfig=""
    )
    access = logins.load(str(login(program_plane, OPERATOR_NAMESPACE, tmp_path)))
    supervisor = Supervisor()
    running = asyncio.create_task(serve(settings, access, lambda: datetime.now(UTC), supervisor))
    yield supervisor, f":{port}"
    supervisor.stop()
    await asyncio.wait_for(running, 30)


async def get(url: str) -> tuple[int, Any]:
    """Status and body; 0 while nothing answers."""
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, await response.text()
    except aiohttp.ClientError:
        return 0, ""


async def healthy(port: str) -> None:
    """Wait until it is."""
    for _ in range(600):
        if (await get(f"http://127.0.0.1{port}/healthz"))[0] == 200:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("not healthy")


@pytest.mark.parametrize("name", ["resync", "workers", "informer of Pod"])
async def test_health_fails_when_a_loop_is_dead(operator: tuple[Supervisor, str], name: str) -> None:
    supervisor, port = operator
    await healthy(port)
    await supervisor.cancel(name)
    status, body = await get(f"http://127.0.0.1{port}/healthz")
    assert 503 == status
    assert [f"{name} is dead"] == json.loads(body)["faults"]


async def test_other_machines_are_not_told_the_state(operator: tuple[Supervisor, str]) -> None:
    _, port = operator
    await healthy(port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent: it only chooses the address that others would see
        address = probe.getsockname()[0]
    assert 200 == (await get(f"http://127.0.0.1{port}/debug/state"))[0]
    assert 200 == (await get(f"http://{address}{port}/healthz"))[0]
    assert 403 == (await get(f"http://{address}{port}/debug/state"))[0]
