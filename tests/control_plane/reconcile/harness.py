"""The operator as a process against a real API server with real controllers and no node.

What a node would do is done by doubles, named as such: `NodeDouble` writes the status of pods, `ApiPodDouble` answers for the API
pods on a loopback address of its own.
"""

import contextlib
import http.client
import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from rag_contract.environment import API_PORT
from rag_contract.release_table import FILE_NAME, ReleaseTable
from rag_contract.reports import IndexResult, SweepResult
from rag_operator import names

from tests.cluster.fixtures import Cluster, new_namespace
from tests.reported import verified
from tests.unit.rag_operator.world import report

Json = dict[str, Any]

PATHS = {
    "RagService": "/apis/ragserving.dev/v1alpha1/namespaces/{}/ragservices",
    "RagRevision": "/apis/ragserving.dev/v1alpha1/namespaces/{}/ragrevisions",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Service": "/api/v1/namespaces/{}/services",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Pod": "/api/v1/namespaces/{}/pods",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
}
MADE = (
    "ConfigMap",
    "Service",
    "ServiceAccount",
    "Deployment",
    "StatefulSet",
    "Job",
    "RagRevision",
    "PodDisruptionBudget",
)
MERGE, APPLY, PLAIN = "application/merge-patch+json", "application/apply-patch+yaml", "application/json"


class Kube:
    """One kept connection to the API server, as the administrator; safe to use from several threads."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        authority = cluster.control_plane.authority
        context = ssl.create_default_context(cafile=str(authority.certificate))
        context.load_cert_chain(*map(str, authority.issue("admin", "/O=system:masters/CN=admin")))
        self._connection = http.client.HTTPSConnection(urlsplit(cluster.server).netloc, context=context, timeout=30)
        self._lock = threading.Lock()
        self.namespace = namespace

    def send(self, method: str, path: str, body: object | None = None, kind: str = PLAIN) -> tuple[int, Json]:
        """HTTP status and parsed answer; waits while the server says that it is too busy."""
        data = None if body is None else json.dumps(body)
        while True:
            with self._lock:
                self._connection.request(method, path, data, {"Content-Type": kind, "User-Agent": "test"})
                answer = self._connection.getresponse()
                status, parsed = answer.status, json.loads(answer.read())
            if status != 429:
                return status, parsed
            time.sleep(0.2)

    def path(self, kind: str, name: str = "", sub: str = "") -> str:
        """Path of a collection, an object or a subresource in the namespace."""
        return "/".join(part for part in (PATHS[kind].format(self.namespace), name, sub) if part)

    def get(self, kind: str, name: str) -> Json | None:
        """An object, or None."""
        status, body = self.send("GET", self.path(kind, name))
        return body if status == 200 else None

    def list(self, kind: str, service: str) -> list[Json]:
        """Objects labelled as belonging to a service."""
        status, body = self.send("GET", f"{self.path(kind)}?labelSelector={names.LABEL_SERVICE}%3D{service}")
        assert status == 200, body
        return list(body["items"])

    def create(self, kind: str, body: Json) -> Json:
        """Create; fails the test when it is refused."""
        status, answer = self.send("POST", self.path(kind), body)
        assert status == 201, answer
        return answer

    def patch(self, kind: str, name: str, patch: Json, sub: str = "") -> Json:
        """Merge patch, as an edit by hand."""
        status, answer = self.send("PATCH", self.path(kind, name, sub), patch, MERGE)
        assert status == 200, answer
        return answer

    def delete(self, kind: str, name: str) -> None:
        """Delete in the background."""
        status, answer = self.send("DELETE", self.path(kind, name), {"propagationPolicy": "Background"})
        assert status in {200, 202}, answer

    def children(self, service: str) -> dict[tuple[str, str], Json]:
        """What the operator made for a service."""
        return {(kind, obj["metadata"]["name"]): obj for kind in MADE for obj in self.list(kind, service)}

    def condition(self, service: str, kind: str = "Ready") -> tuple[str, str]:
        """Status and reason of a condition; empty before there is one."""
        body = self.get("RagService", service) or {}
        for condition in (body.get("status") or {}).get("conditions") or ():
            if condition["type"] == kind:
                return condition["status"], condition["reason"]
        return "", ""

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


@contextlib.contextmanager
def new_kube(cluster: Cluster, hint: str) -> Iterator[Kube]:
    """A new namespace that takes restricted pods only, with documents; `hint` is the start of its name."""
    with new_namespace(cluster, hint) as namespace, contextlib.closing(Kube(cluster, namespace)) as kube:
        kube.create("ConfigMap", config_map("documents"))
        yield kube


def until(what: Callable[[], Any], seconds: float = 40.0) -> float:
    """Wait for something true; the seconds that it took. Fails the test when it does not come."""
    started = time.monotonic()
    while not what():
        assert time.monotonic() - started < seconds, f"not within {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - started


class Operator:
    """`rag-operator run` of this checkout, watching one namespace."""

    def __init__(self, cluster: Cluster, namespace: str, log: Path) -> None:
        self._log = log
        self._environment = {
            **os.environ,
            "KUBECONFIG": str(cluster.kubeconfig),
            "RAG_OPERATOR_NAMESPACE": namespace,
            "RAG_OPERATOR_LEADER_ELECTION": "false",
            "RAG_OPERATOR_METRICS_PORT": "0",
            "RAG_OPERATOR_HEALTH_PORT": "0",
            "RAG_OPERATOR_POD_ACCESS": "direct",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it works as soon as its caches are filled."""
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "rag_operator", "run"]
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and wait for the end."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=20)
            self._process = None


@contextlib.contextmanager
def operator(cluster: Cluster, namespace: str, log: Path) -> Iterator[Operator]:
    """A running operator, ended afterwards."""
    process = Operator(cluster, namespace, log)
    process.start()
    try:
        yield process
    finally:
        process.end()


class ApiPodDouble:
    """Double of one API pod's HTTP side. Like the real one it loads the table when its volume changes, which here is when
    the pod's annotation does."""

    def __init__(self, kube: Kube, service: str, pod: str, address: str) -> None:
        self._kube, self._service, self._pod = kube, service, pod
        self._loaded: tuple[str, ReleaseTable] | None = None
        double = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = double.answer(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing: the operator's log is what tests look at."""

        self._server = http.server.ThreadingHTTPServer((address, API_PORT), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> bytes:
        """The body for a path."""
        if path == "/ready":
            return b'{"ready":true,"checks":[]}'
        pod = self._kube.get("Pod", self._pod) or {"metadata": {}}
        mark = (pod["metadata"].get("annotations") or {}).get(names.ANNOTATION_TABLE, "")
        if self._loaded is None or self._loaded[0] != mark:
            body = self._kube.get("ConfigMap", names.releases(self._service))
            assert body is not None
            self._loaded = mark, ReleaseTable.model_validate_json(body["data"][FILE_NAME])
        return report(self._loaded[1]).to_json().encode()

    def close(self) -> threading.Thread:
        """Stop answering. It takes half a second, for which nobody has to wait; the thread ends when it is done."""
        ending = threading.Thread(target=self._end, daemon=True)
        ending.start()
        return ending

    def _end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class NodeDouble:
    """Double of a node and of the programs on it: marks pods as running and ready, ends index Jobs well, answers for API pods."""

    def __init__(self, kube: Kube, service: str) -> None:
        self._kube, self._service = kube, service
        self._doubles: dict[str, ApiPodDouble] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)
        for ending in [double.close() for double in self._doubles.values()]:
            ending.join()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            for pod in self._kube.list("Pod", self._service):
                if "phase" in pod["status"] and pod["status"]["phase"] == "Pending":
                    self._run_pod(pod)

    def _run_pod(self, pod: Json) -> None:
        name, component = pod["metadata"]["name"], pod["metadata"]["labels"][names.LABEL_COMPONENT]
        container = {
            "name": pod["spec"]["containers"][0]["name"],
            "image": "double",
            "imageID": "double",
            "containerID": f"double://{name}",
            "restartCount": 0,
        }
        if component in {names.COMPONENT_INDEX, names.COMPONENT_SWEEP}:
            ended = {"exitCode": 0, "reason": "Completed", "message": result_of(pod).to_json()}
            self._status(name, "Succeeded", {**container, "ready": False, "state": {"terminated": ended}})
            return
        address = "127.0.0.1"
        if component == names.COMPONENT_API:
            address = _free_loopback()
            self._answer_for(name, address)
        self._status(name, "Running", {**container, "ready": True, "state": {"running": {}}}, address)

    def _answer_for(self, pod: str, address: str) -> None:
        """Speak for an API pod."""
        self._doubles[pod] = ApiPodDouble(self._kube, self._service, pod, address)

    def _status(self, name: str, phase: str, container: Json, address: str = "") -> None:
        ready = "True" if phase == "Running" else "False"
        conditions = [{"type": kind, "status": ready} for kind in ("Ready", "ContainersReady")]
        status: Json = {"phase": phase, "conditions": conditions, "containerStatuses": [container]}
        if address:
            status |= {"podIP": address, "podIPs": [{"ip": address}]}
        self._kube.send("PATCH", self._kube.path("Pod", name, "status"), {"status": status}, MERGE)


def result_of(pod: Json) -> IndexResult | SweepResult:
    """What the indexer would report for its settings."""
    told = {v["name"]: v.get("value", "") for v in pod["spec"]["containers"][0]["env"]}
    if pod["metadata"]["labels"][names.LABEL_COMPONENT] == names.COMPONENT_SWEEP:
        return SweepResult(outcome="Succeeded", alias=told.get("RAG_SWEEP_TARGET", ""))
    return verified(told)


def _free_loopback() -> str:
    """An address of 127.0.0.0/8 on which the API's port is free."""
    for last in range(2, 250):
        address = f"127.77.{os.getpid() % 250}.{last}"
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((address, API_PORT))
            return address
    raise AssertionError("no free loopback address")


def rag_service(name: str, **spec: Any) -> Json:
    """A RagService that names the ConfigMap `documents`."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": "RagService",
        "metadata": {"name": name},
        "spec": {
            "prompt": {"version": "answer-v1", "system": "Answer from the sources."},
            "index": {"version": "docs-1", "documents": {"configMapRef": {"name": "documents"}}},
            **spec,
        },
    }


def config_map(name: str, **data: str) -> Json:
    """A ConfigMap of the user's."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": data or {"a.md": "# A\n\nText."},
    }
