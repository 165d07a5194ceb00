"""KWOK: nodes that are only made up, for tests of scheduling and of scale without containers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from .commands import Words
from .control_plane import ControlPlane
from .processes import Processes
from .report import BenchError
from .settings import Settings

ANNOTATION = "kwok.x-k8s.io/node"


class Kwok:
    """Starts the controller that plays the kubelet of every made node."""

    def __init__(self, settings: Settings, processes: Processes, control_plane: ControlPlane) -> None:
        self._settings = settings
        self._processes = processes
        self._plane = control_plane

    def up(self, folder: Path) -> None:
        """Start kwok (from its `folder` of program and stages) unless it runs."""
        config = self._settings.state / "kwok.kubeconfig"
        if not config.exists():
            subject = "/O=system:masters/CN=kwok"
            self._plane.authority.kubeconfig(config, self._plane.plane.server, "kwok", subject)
        stages = [f"--config={path}" for path in sorted((folder / "stages").glob("*.yaml"))]
        command: Words = [
            folder / "kwok",
            f"--kubeconfig={config}",
            "--manage-all-nodes=false",
            f"--manage-nodes-with-annotation-selector={ANNOTATION}=fake",
            f"--cidr={self._settings.kwok_cidr}",
            f"--server-address=127.0.0.1:{self._settings.kwok_port}",
            "--node-lease-duration-seconds=40",
            *stages,
        ]
        if self._processes.pid("kwok") is not None:
            return
        self._processes.start("kwok", command)
        time.sleep(0.3)
        if self._processes.pid("kwok") is None:
            raise BenchError("kwok ended:\n" + self._processes.tail("kwok"))


def gpu_node(
    name: str,
    gpus: int = 2,
    product: str = "NVIDIA-L4",
    taints: tuple[dict[str, str], ...] = ({"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"},),
) -> dict[str, Any]:
    """A made node with `gpus` GPUs of `product`, labelled and tainted as the GPU operator does.

    Apply it with kubectl; KWOK makes it Ready and "runs" what the real scheduler puts on it.
    """
    resources = {"cpu": "32", "memory": "128Gi", "pods": "110", "ephemeral-storage": "500Gi"}
    if gpus:
        resources["nvidia.com/gpu"] = str(gpus)
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "rag-bench/real": "false",
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": product,
        "nvidia.com/gpu.count": str(gpus),
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {ANNOTATION: "fake"}},
        "spec": {"taints": list(taints)},
        "status": {"capacity": resources, "allocatable": resources},
    }
