"""The only part that talks to Kubernetes for the reconcile loop: observe from caches, write what differs, ask the pods."""

from .gpu_meter import GpuMeter
from .kubernetes import KubernetesCluster
from .nodes import NodeWatch, to_wake
from .watched import Watched, key_for, owner_key, watched

__all__ = ["GpuMeter", "KubernetesCluster", "NodeWatch", "Watched", "key_for", "owner_key", "to_wake", "watched"]
