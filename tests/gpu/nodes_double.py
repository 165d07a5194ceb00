"""Double of several nodes and of their kubelets: they are Ready, advertise what they are made with, run what the real scheduler
places on them, and let ended pods go after a while. The programs in the pods are doubled as in the reconcile tests."""

import time
from typing import Any

from rag_operator import names

from tests.control_plane.reconcile.harness import MERGE, ApiPodDouble, Json, Kube, NodeDouble, rag_service

NODES = "/api/v1/nodes"
HEARTBEAT_SECONDS = 5.0
GRACE_SECONDS = 0.5
"""An ended pod takes this long to go."""
EPHEMERAL = {"type": "Ephemeral", "size": "1Gi"}


class GpuNodesDouble(NodeDouble):
    """Pods of RagServices run on whichever node the scheduler chose. Foreign ones stay as they are."""

    def __init__(self, kube: Kube) -> None:
        super().__init__(kube, "")
        self.kube = kube
        self._nodes: list[str] = []
        self._going: dict[str, float] = {}

    def add(self, name: str, *, cpu: str = "8", labels: dict[str, str], **devices: str) -> None:
        """A node; `devices` by the vendor before .com/gpu, like nvidia="2"."""
        self._send("POST", NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
        self.offer(name, cpu=cpu, **devices)
        self._nodes.append(name)
        self._beat()

    def offer(self, name: str, *, cpu: str = "8", **devices: str) -> None:
        """What the node has from now on."""
        there = {"cpu": cpu, "memory": "64Gi", "pods": "110", "ephemeral-storage": "100Gi"}
        there |= {f"{vendor}.com/gpu": count for vendor, count in devices.items()}
        status = {"capacity": there, "allocatable": there}
        self._send("PATCH", f"{NODES}/{name}/status", {"status": status}, MERGE)

    def edit(self, name: str, change: Json) -> None:
        """Merge into a node."""
        self._send("PATCH", f"{NODES}/{name}", change, MERGE)

    def remove_all(self) -> None:
        """Take the nodes away again."""
        for name in self._nodes:
            self._send("DELETE", f"{NODES}/{name}")
        self._nodes.clear()

    def services(self) -> list[str]:
        """Names of the RagServices here."""
        _, body = self.kube.send("GET", self.kube.path("RagService"))
        return [item["metadata"]["name"] for item in body["items"]]

    def declare(self, name: str, **vllm: Any) -> None:
        """A RagService with a model server on GPUs; its vector store is said to be elsewhere."""
        small = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}
        block = {"cache": EPHEMERAL, "resources": small, "drainSeconds": 1, **vllm}
        store = {"external": {"url": "http://store.example.com"}}
        self.kube.create(
            "RagService",
            rag_service(
                name, model={"runtime": "VLLM", "name": "made-up/tiny", "vllm": block}, **{"vectorStore": store}
            ),
        )

    def change(self, name: str, **vllm: Any) -> None:
        """Edit `spec.model.vllm`."""
        self.kube.patch("RagService", name, {"spec": {"model": {"vllm": vllm}}})

    def model_pods(self, service: str) -> list[Json]:
        """Pods of its model server, those on their way out among them."""
        pods = self.kube.list("Pod", service)
        return [pod for pod in pods if pod["metadata"]["labels"][names.LABEL_COMPONENT] == names.COMPONENT_MODEL]

    def status(self, service: str) -> Json:
        """Status of a RagService."""
        return (self.kube.get("RagService", service) or {}).get("status") or {}

    def said(self, service: str, kind: str) -> tuple[str, str, str]:
        """Status, reason and message of a condition; empty before there is one."""
        for condition in self.status(service).get("conditions") or ():
            if condition["type"] == kind:
                return condition["status"], condition["reason"], condition["message"]
        return "", "", ""

    # -- the kubelets --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        beaten = time.monotonic()
        path = f"{self.kube.path('Pod')}?labelSelector={names.LABEL_SERVICE}"
        while not self._stop.wait(0.1):
            if time.monotonic() - beaten > HEARTBEAT_SECONDS:
                beaten = time.monotonic()
                self._beat()
            for pod in self._send("GET", path)["items"]:
                if "deletionTimestamp" in pod["metadata"]:
                    self._let_go(pod)
                elif pod["status"].get("phase") == "Pending" and pod["spec"].get("nodeName"):
                    self._service = pod["metadata"]["labels"][names.LABEL_SERVICE]
                    self._run_pod(pod)

    def _answer_for(self, pod: str, address: str) -> None:
        self._doubles[pod] = ApiPodDouble(self.kube, self._service, pod, address)

    def _let_go(self, pod: Json) -> None:
        """An ended pod holds what it has for its grace."""
        uid, name = pod["metadata"]["uid"], pod["metadata"]["name"]
        since = self._going.setdefault(uid, time.monotonic())
        if time.monotonic() - since > GRACE_SECONDS or not pod["spec"].get("nodeName"):
            self.kube.send("DELETE", self.kube.path("Pod", name), {"gracePeriodSeconds": 0})

    def _beat(self) -> None:
        """Without it the controllers would take the nodes for lost."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now}
        for name in list(self._nodes):  # one that was taken away meanwhile has no status
            self.kube.send("PATCH", f"{NODES}/{name}/status", {"status": {"conditions": [ready]}}, MERGE)

    def _send(self, method: str, path: str, body: object | None = None, kind: str = "application/json") -> Json:
        status, answer = self.kube.send(method, path, body, kind)
        assert status in {200, 201, 202}, answer
        return answer
