"""What a service lives through in these tests: create, change, delete; and how its end is compared with an undisturbed one's."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rag_operator import names

from tests.cluster.fixtures import Cluster
from tests.control_plane.reconcile.harness import ApiPodDouble, Json, Kube, NodeDouble, rag_service, until
from tests.control_plane.reconcile.test_crash import end_state, served
from tests.unit.rag_operator.world import report

from .plans import Fault
from .proxy import FaultProxy

EVERYTHING = os.environ.get("FAULTS") == "all"
"""All plans instead of the selection that every test run takes."""
CHANGE: Json = {
    "spec": {
        "prompt": {"version": "answer-v2", "system": "Be brief."},
        "index": {"version": "docs-2"},
        "api": {"limits": {"maxConcurrentRequests": 16}},
    }
}
"""New prompt, new index and new settings: children are made, changed and deleted."""
QUIET_SECONDS = 1.5
KILLED_SECONDS = 60.0
"""Until a write at which the operator is killed must have come; long, for a machine that is busy with other tests."""


class SlowPodDouble(ApiPodDouble):
    """Double of an API pod that keeps the table it has while its service is among the `slow`."""

    def __init__(self, kube: Kube, service: str, pod: str, address: str, slow: set[str]) -> None:
        self._slow = slow
        super().__init__(kube, service, pod, address)

    def answer(self, path: str) -> bytes:
        """The body for a path."""
        if path != "/ready" and self._service in self._slow and self._loaded is not None:
            return report(self._loaded[1]).to_json().encode()
        return super().answer(path)


class NodesDouble(NodeDouble):
    """Double of the nodes for all services of a namespace: every pod runs and is ready, every index Job ends well.

    But for what these sets say; they may be changed at any time.
    """

    def __init__(self, kube: Kube) -> None:
        super().__init__(kube, "")
        self._namespace = kube
        self.images_missing: set[str] = set()
        """Pods with these images do not start."""
        self.jobs_waiting: set[str] = set()
        """Services whose index Jobs do not start."""
        self.mute: set[str] = set()
        """Services whose API pods are ready and answer nobody."""
        self.slow: set[str] = set()
        """Services whose API pods load no other table, whatever they are told."""

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            pods = self._namespace.send("GET", self._namespace.path("Pod"))[1]["items"]
            for pod in pods:
                if pod["status"].get("phase") == "Pending" and self._starts(pod):
                    self._service = pod["metadata"]["labels"][names.LABEL_SERVICE]
                    self._run_pod(pod)
            here = {pod["metadata"]["name"] for pod in pods}
            for gone in [name for name in self._doubles if name not in here]:
                self._doubles.pop(gone).close()

    def _starts(self, pod: Json) -> bool:
        labels = pod["metadata"]["labels"]
        waits = (
            labels.get(names.LABEL_COMPONENT) == names.COMPONENT_INDEX
            and labels.get(names.LABEL_SERVICE) in self.jobs_waiting
        )
        return (
            names.LABEL_SERVICE in labels
            and not waits
            and pod["spec"]["containers"][0]["image"] not in self.images_missing
        )

    def _answer_for(self, pod: str, address: str) -> None:
        if self._service not in self.mute:
            self._doubles[pod] = SlowPodDouble(self._kube, self._service, pod, address, self.slow)


class Process:
    """`rag-operator run` behind a proxy. `kill` may be called from any thread.

    `build` is a folder whose packages are found before the installed ones.
    """

    def __init__(self, proxy: FaultProxy, namespace: str, folder: Path, *, build: str = "", **settings: str) -> None:
        self.log = folder / "operator.log"
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("RAG_OPERATOR_")}
        self._environment |= {
            "KUBECONFIG": str(proxy.kubeconfig(folder / "proxy.kubeconfig")),
            "RAG_OPERATOR_NAMESPACE": namespace,
            "RAG_OPERATOR_LEADER_ELECTION": "false",
            "RAG_OPERATOR_METRICS_PORT": "0",
            "RAG_OPERATOR_HEALTH_PORT": "0",
            **{f"RAG_OPERATOR_{name.upper()}": value for name, value in settings.items()},
            "PYTHONPATH": os.pathsep.join(filter(None, [build, os.environ.get("PYTHONPATH", "")])),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.killed = threading.Event()
        self.starts = 0

    def start(self) -> None:
        """Start it anew."""
        self.killed.clear()
        self.starts += 1
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "rag_operator", "run"]
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone."""
        self._end(signal.SIGKILL)
        self.killed.set()

    def stop(self) -> None:
        """SIGTERM."""
        self._end(signal.SIGTERM)

    @property
    def runs(self) -> bool:
        """It has not ended by itself."""
        return self._process is not None and self._process.poll() is None

    def send(self, number: int) -> None:
        """A signal that does not end it."""
        assert self._process is not None
        self._process.send_signal(number)

    def ended(self, seconds: float) -> int:
        """Wait until it ends by itself; its exit code."""
        assert self._process is not None
        return self._process.wait(timeout=seconds)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=20)


@dataclass
class World:
    """One namespace, its operator, and the proxy between."""

    kube: Kube
    proxy: FaultProxy
    process: Process
    nodes: NodesDouble

    def create(self, service: str) -> None:
        """Declare a service."""
        self.kube.create("RagService", rag_service(service))

    def change(self, service: str) -> None:
        """Declare something else."""
        self.kube.patch("RagService", service, CHANGE)

    def served(self, services: Sequence[str], revision: int, seconds: float = 60.0) -> None:
        """Wait until all are Ready with this revision."""
        missing = list(services)

        def none_missing() -> bool:
            missing[:] = [service for service in missing if not served(self.kube, service, revision)]
            return not missing

        try:
            until(none_missing, seconds)
        except AssertionError:
            told = {service: (self.kube.get("RagService", service) or {}).get("status") for service in missing}
            raise AssertionError(f"not Ready with revision {revision}: {told}") from None

    def quiet(self, seconds: float = QUIET_SECONDS) -> None:
        """Wait until the operator has written nothing for a while."""

        count, since = len(self.proxy.writes), time.monotonic()

        def still() -> bool:
            nonlocal count, since
            if count != len(self.proxy.writes):
                count, since = len(self.proxy.writes), time.monotonic()
            return time.monotonic() - since >= seconds

        until(still, 60)


@contextlib.contextmanager
def world(plane: Cluster, kube: Kube, folder: Path, **settings: str) -> Iterator[World]:
    """A running operator behind a proxy, and doubles of the nodes."""
    proxy = FaultProxy(plane).start()
    process = Process(proxy, kube.namespace, folder, **settings)
    proxy.kill = process.kill
    with NodesDouble(kube) as nodes:
        process.start()
        try:
            yield World(kube, proxy, process, nodes)
        finally:
            process.stop()
            proxy.stop()


@dataclass
class Reference:
    """An undisturbed life, in steps: the writes of each, and the state and counts after it."""

    writes: list[list[str]] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    counts: list[Counter[str]] = field(default_factory=list)

    def take(self, world: World, service: str) -> None:
        """A step has ended, with the Jobs that follow it: record it."""
        until(lambda: all(ended(job) for job in world.kube.list("Job", service)), 60)
        world.quiet()
        sent = [write.what for write in world.proxy.sent(service)][self._sent :]
        self._sent += len(sent)
        self.writes.append(list(dict.fromkeys(sent)))
        self.states.append(end_state(world.kube, service))
        self.counts.append(world.proxy.made(service))

    _sent: int = 0


def ended(job: Json) -> bool:
    """It runs no more, and does not wait to."""
    return any(
        c["type"] in {"Complete", "Failed"} and c["status"] == "True" for c in job["status"].get("conditions", ())
    )


def plans(whats: Sequence[str], faults: Sequence[Fault]) -> list[tuple[str, Fault]]:
    """Every write with every fault, or in the selection every write with one, and every fault with some.

    The refresh of a pod's volumes is left out: it is not written when the pod has seen the new table by itself.
    """
    whats = [what for what in whats if not what.startswith("patch pods")]
    if EVERYTHING:
        chosen = [(what, fault) for what in whats for fault in faults]
    else:
        chosen = [(what, faults[number % len(faults)]) for number, what in enumerate(whats)]
    # A create is never in conflict: the API server's 409 for it means that the object exists.
    return [(what, fault) for what, fault in chosen if (what.split()[0], fault) != ("create", Fault.CONFLICT)]


def same_end(world: World, services: Sequence[str], reference: Reference, step: int) -> None:
    """Each has the end state of the undisturbed one, was made once and is left alone."""
    expected = reference.states[step]
    others = list(services)

    def all_equal() -> bool:
        others[:] = [service for service in others if end_state(world.kube, service) != expected]
        return not others

    with contextlib.suppress(AssertionError):  # the comparison below says in what they differ
        until(all_equal, 40)
    for service in others:
        found = end_state(world.kube, service)
        differing = {name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)}
        told = {name: (expected.get(name), found.get(name)) for name in sorted(differing)}
        assert not told, f"{service}, of {others}, expected and found: {told}"
    for service in services:
        assert world.proxy.made(service) == reference.counts[step], service
