"""pytest fixtures: the bench, a namespace on it, and control planes of a test's own.

Load them with ``pytest_plugins = ["tests.cluster.fixtures"]`` in the top conftest.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import secrets
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .bench import Bench, expand
from .control_plane import ControlPlane, Plane
from .processes import Processes
from .programs import Programs, link_programs
from .report import Report
from .settings import Settings, from_environment

RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A running API server and how to reach it as its administrator."""

    control_plane: ControlPlane

    @property
    def kubeconfig(self) -> Path:
        """Path of the administrator's kubeconfig."""
        return self.control_plane.plane.kubeconfig

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self.control_plane.plane.server

    @property
    def audit_log(self) -> Path:
        """The API server's audit log: one JSON object per answered request."""
        return self.control_plane.plane.folder / "log" / "audit.log"

    def kubectl(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        """Standard output of ``kubectl <words>``. Raises BenchError with what kubectl said when it fails."""
        return self.control_plane.kubectl(*words, stdin=stdin, check=check)

    def apply(self, *objects: dict[str, Any]) -> None:
        """Server-side apply of `objects` as the test."""
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=test", "-f", "-", stdin=document)

    def get(self, *words: str) -> Any:
        """``kubectl get <words> -o json``, parsed."""
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def request(self, path: str, method: str = "GET", body: object | None = None) -> Any:
        """Parsed answer of the API server at `path`. Raises urllib.error.HTTPError for 4xx and 5xx."""
        authority = self.control_plane.authority
        context = ssl.create_default_context(cafile=str(authority.certificate))
        context.load_cert_chain(*map(str, authority.issue("admin", "/O=system:masters/CN=admin")))
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.server + path, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            return json.load(answer)

    def audit(self, offset: int = 0) -> list[dict[str, Any]]:
        """Audit events from byte `offset` of the log on (``audit_log.stat().st_size`` marks a start)."""
        with self.audit_log.open("rb") as log:
            log.seek(offset)
            return [json.loads(line) for line in log.read().splitlines() if line.endswith(b"}")]


@dataclasses.dataclass(frozen=True)
class PrivateControlPlane(Cluster):
    """A control plane that one test may break. Its data survives ``stop`` and ``kill``."""

    def stop(self) -> None:
        """End the API server in order; clients see it close."""
        self.control_plane.processes.stop("kube-apiserver", grace=5)

    def kill(self) -> None:
        """End the API server at once; clients see a broken connection."""
        self.control_plane.processes.stop("kube-apiserver", force=True)

    def start(self) -> None:
        """Start the API server again and wait until it is ready."""
        self.control_plane.start_api_server()
        self.control_plane.wait_ready()

    def end(self) -> None:
        """End every process of this control plane."""
        processes = self.control_plane.processes
        for name in reversed(processes.names()):
            processes.stop(name, force=True)


@pytest.fixture(scope="session")
def bench_settings() -> Settings:
    """Settings of the shared bench, from RAG_BENCH_* as on the command line."""
    return from_environment(os.environ)


@pytest.fixture(scope="session")
def cluster(bench_settings: Settings) -> Cluster:
    """The shared bench's control plane, started when it does not run, left running afterwards."""
    bench = Bench(bench_settings, Report())
    bench.up(expand("control-plane"))
    return Cluster(bench.control_plane())


@pytest.fixture(scope="session")
def node_cluster(bench_settings: Settings) -> Cluster:
    """The shared bench with every part, for tests of real containers."""
    bench = Bench(bench_settings, Report())
    bench.up(expand("all"))
    return Cluster(bench.control_plane())


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """Name of a fresh namespace that takes restricted pods only; deleted after the test."""
    with new_namespace(cluster, request.node.name) as name:
        yield name


@contextlib.contextmanager
def new_namespace(cluster: Cluster, hint: str) -> Iterator[str]:
    """A fresh namespace named after `hint`, its deletion begun at the end."""
    name = "-".join([re.sub(r"[^a-z0-9]+", "-", hint.lower())[:40].strip("-"), secrets.token_hex(3)]).strip("-")
    labels = {**RESTRICTED, "rag-bench/test": "true"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    try:
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def private_control_plane(bench_settings: Settings, tmp_path: Path) -> Iterator[PrivateControlPlane]:
    """etcd and API server of this test alone: stop, kill and start it at will."""
    with new_control_plane(bench_settings, tmp_path) as plane:
        yield plane


@pytest.fixture
def private_control_plane_with_controllers(bench_settings: Settings, tmp_path: Path) -> Iterator[PrivateControlPlane]:
    """As `private_control_plane`, with the controller manager (garbage collection, Deployments, ...)."""
    with new_control_plane(bench_settings, tmp_path, controllers=True) as plane:
        yield plane


@contextlib.contextmanager
def new_control_plane(
    settings: Settings,
    folder: Path,
    *,
    controllers: bool = False,
    scheduler: bool = False,
    admission: str = "NodeRestriction",
) -> Iterator[PrivateControlPlane]:
    """A control plane on free loopback ports with its state in `folder`, ended afterwards.

    `admission` names the admission plugins beside the API server's default ones.
    """
    link_programs(Programs(settings, Report()).kubernetes(), folder / "bin")
    ports = _free_ports(5)
    plane = Plane(
        folder=folder,
        programs=folder / "bin",
        address="127.0.0.1",
        api_port=ports[0],
        etcd_port=ports[1],
        etcd_peer_port=ports[2],
        controller_manager_port=ports[3],
        scheduler_port=ports[4],
        service_cidr=settings.service_cidr,
        kubernetes_service=settings.kubernetes_service,
        admission=admission,
    )
    private = PrivateControlPlane(ControlPlane(plane, Processes(folder)))
    try:
        private.control_plane.start(controllers=controllers, scheduler=scheduler)
        yield private
    finally:
        private.end()


def _free_ports(count: int) -> list[int]:
    """`count` different TCP ports of loopback that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [int(listener.getsockname()[1]) for listener in sockets]
