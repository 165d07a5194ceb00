"""`rag-operator run` as a process under the operator's own service account, and what it tells about itself."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.fixtures import Cluster

Json = dict[str, Any]


def free_port() -> int:
    """A TCP port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def login(cluster: Cluster, namespace: str, folder: Path) -> Path:
    """A kubeconfig with a token of the operator's service account in that namespace: as in its pod, nothing more."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    token = cluster.kubectl("-n", namespace, "create", "token", "rag-operator").strip()
    config["users"] = [{"name": "operator", "user": {"token": token}}]
    context = {"cluster": config["clusters"][0]["name"], "user": "operator", "namespace": namespace}
    config |= {"contexts": [{"name": "operator", "context": context}], "current-context": "operator"}
    path = folder / f"{namespace}.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return path


@dataclass
class Running:
    """A running operator process."""

    process: subprocess.Popen[bytes]
    log: Path
    metrics_port: int
    health_port: int

    def get(self, path: str, port: int | None = None) -> tuple[int, str]:
        """Status and body of a path; 0 while nothing answers."""
        url = f"http://127.0.0.1:{port or self.health_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    @property
    def healthy(self) -> bool:
        """/healthz says so."""
        return self.get("/healthz")[0] == 200

    def metrics(self) -> dict[str, Metric]:
        """Everything at /metrics, by family."""
        text = self.get("/metrics", self.metrics_port)[1]
        return {family.name: family for family in text_string_to_metric_families(text)}

    def value(self, sample: str, **labels: str) -> float:
        """Sum of a sample's values with these labels; 0 when there is none."""
        found = (s for family in self.metrics().values() for s in family.samples if s.name == sample)
        return sum(s.value for s in found if labels.items() <= s.labels.items())

    def lines(self) -> list[Json]:
        """The log so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


@dataclass(frozen=True)
class Start:
    """How to start one: `version` is what the program believes to be, the checkout's own when empty."""

    kubeconfig: Path
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    version: str = ""

    @contextlib.contextmanager
    def running(self) -> Iterator[Running]:
        """Start it; end it in order afterwards."""
        metrics, health = free_port(), free_port()
        log = self.folder / f"operator-{health}.log"
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "RAG_OPERATOR_LISTEN_ADDRESS": "127.0.0.1",
            "RAG_OPERATOR_METRICS_PORT": str(metrics),
            "RAG_OPERATOR_HEALTH_PORT": str(health),
            **self.environment,
            **self._version(),
        }
        with log.open("wb") as stream:
            command = [sys.executable, "-m", "rag_operator", "run"]
            process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
        try:
            yield Running(process, log, metrics, health)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=40)

    def _version(self) -> dict[str, str]:
        """A distribution's record that is found before the installed one: the same code under another version."""
        if not self.version:
            return {}
        record = self.folder / self.version / f"rag_operator-{self.version}.dist-info"
        record.mkdir(parents=True, exist_ok=True)
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: rag-operator\nVersion: {self.version}\n")
        return {"PYTHONPATH": str(record.parent)}
