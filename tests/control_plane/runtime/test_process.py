"""The operator as a process: it leads, steps down, survives its API server, and leaves users' objects alone."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.fixtures import PrivateControlPlane, _free_ports, new_control_plane
from tests.cluster.settings import from_environment

pytestmark = pytest.mark.control_plane
ROOT = Path(__file__).parents[3]
SPACE = "team-a"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateControlPlane]:
    """An API server of these tests' own, because one of them kills it."""
    with new_control_plane(from_environment(os.environ), tmp_path_factory.mktemp("process")) as made:
        made.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
        made.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        made.kubectl("create", "namespace", SPACE)
        made.kubectl("-n", SPACE, "apply", "-f", str(ROOT / "config" / "samples" / "minimal.yaml"))
        yield made


class Operator:
    """One process, its log, and its ports."""

    def __init__(self, plane: PrivateControlPlane, log: Path) -> None:
        self.metrics, self.health = _free_ports(2)
        self.log = log
        environment = {key: value for key, value in os.environ.items() if not key.startswith("RAG_OPERATOR_")}
        environment |= {
            "KUBECONFIG": str(plane.kubeconfig),
            "RAG_OPERATOR_NAMESPACE": SPACE,
            "RAG_OPERATOR_LISTEN_ADDRESS": "127.0.0.1",
            "RAG_OPERATOR_METRICS_PORT": str(self.metrics),
            "RAG_OPERATOR_HEALTH_PORT": str(self.health),
        }
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rag_operator", "run"], env=environment, stderr=stream, cwd=ROOT
            )

    def read(self, port: int, path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return f"HTTP {error.code}"
        except OSError:
            return ""

    @property
    def leads(self) -> bool:
        return "\nrag_operator_leader 1.0\n" in self.read(self.metrics, "/metrics")

    def end(self) -> None:
        """In order, so that the next test need not wait until the Lease runs out."""
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


@pytest.fixture
def start(plane: PrivateControlPlane, tmp_path: Path) -> Iterator[Callable[[], Operator]]:
    running: list[Operator] = []

    def make() -> Operator:
        running.append(Operator(plane, tmp_path / f"operator-{len(running)}.log"))
        return running[-1]

    yield make
    for operator in running:
        operator.end()


def soon(question: Callable[[], object], seconds: float, what: str) -> float:
    """Seconds until `question()` is true."""
    began = time.monotonic()
    while not question():
        assert time.monotonic() - began < seconds, what
        time.sleep(0.02)
    return time.monotonic() - began


def child(plane: PrivateControlPlane) -> Any:
    text = plane.kubectl("-n", SPACE, "get", "service", "minimal-api", "-o", "json", "--ignore-not-found")
    return json.loads(text) if text.strip() else None


def test_the_lead_is_given_back_and_taken_over(plane: PrivateControlPlane, start: Callable[[], Operator]) -> None:
    first = start()
    soon(lambda: first.leads, 15, "nobody leads")
    soon(lambda: child(plane), 10, "no child was made")
    second = start()
    soon(
        lambda: second.read(second.health, "/healthz") == '{"ok": true, "faults": []}', 15, "the second is not healthy"
    )
    assert '{"ok": true, "faults": []}' == first.read(first.health, "/healthz")
    assert not second.leads
    state = json.loads(first.read(first.health, "/debug/state"))
    assert (True, 1) == (state["working"], state["caches"]["RagService"]["objects"])
    began = time.monotonic()
    first.process.send_signal(signal.SIGTERM)
    assert 0 == first.process.wait(timeout=5)
    soon(lambda: second.leads, 3 - (time.monotonic() - began), "the second took longer than 3 s to take over")
    plane.kubectl("-n", SPACE, "delete", "service", "minimal-api", "--wait=false")
    soon(lambda: child(plane), 5, "the second does not heal")
    log = [json.loads(line) for line in first.log.read_text().splitlines()]
    assert {"starting", "leading", "ending"} <= {line["message"] for line in log}
    assert [] == [line for line in log if line["level"] in {"ERROR", "CRITICAL"}]


def test_users_objects_are_left_alone(plane: PrivateControlPlane, start: Callable[[], Operator]) -> None:
    operator = start()
    soon(lambda: operator.leads, 20, "nobody leads")
    soon(lambda: child(plane), 10, "no child was made")
    service = plane.get("-n", SPACE, "ragservice", "minimal")["metadata"]
    assert "finalizers" not in service
    assert ["kubectl.kubernetes.io/last-applied-configuration"] == list(service["annotations"])
    reporters = {event.get("reportingComponent") for event in plane.get("-n", SPACE, "events")["items"]}
    assert reporters <= {"ragserving.dev/rag-operator"}


def test_the_death_of_the_api_server_is_survived(plane: PrivateControlPlane, start: Callable[[], Operator]) -> None:
    operator = start()
    soon(lambda: operator.leads, 20, "nobody leads")
    plane.kill()
    time.sleep(2)
    assert operator.process.poll() is None
    plane.start()
    plane.kubectl("-n", SPACE, "delete", "service", "minimal-api", "--wait=false")
    soon(lambda: child(plane), 15, "it does not heal after the outage")
    assert operator.leads
    assert '{"ok": true, "faults": []}' == operator.read(operator.health, "/healthz")


def test_a_taken_port_is_said_plainly(plane: PrivateControlPlane, start: Callable[[], Operator]) -> None:
    first = start()
    soon(lambda: first.read(first.health, "/healthz"), 15, "it does not serve")
    environment = {**os.environ, "KUBECONFIG": str(plane.kubeconfig), "RAG_OPERATOR_LISTEN_ADDRESS": "127.0.0.1"}
    environment |= {"RAG_OPERATOR_METRICS_PORT": str(first.metrics), "RAG_OPERATOR_HEALTH_PORT": "0"}
    command = [sys.executable, "-m", "rag_operator", "run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=15, check=False)
    assert 1 == done.returncode
    assert "address already in use" in done.stderr.splitlines()[-1]
