"""Made nodes and pods, as the API server would store them."""

from typing import Any

from rag_operator.scheduling import ClusterNodes, NodeUse, Placement, need_of, node_facts, node_use, pod_use

Json = dict[str, Any]
GPU = "nvidia.com/gpu"
GPU_TAINT = {"key": GPU, "value": "present", "effect": "NoSchedule"}
TOLERATES_GPU = {"key": GPU, "operator": "Exists", "effect": "NoSchedule"}


def node(name: str, gpus: int = 2, *, taints: list[Json] | None = None, **changes: Any) -> Json:
    """A ready GPU node with 8 CPUs and 32 GiB. `changes`: labels, cordoned, allocatable."""
    allocatable = {"cpu": "8", "memory": "32Gi", "pods": "110"} | ({GPU: str(gpus)} if gpus else {})
    return {
        "metadata": {"name": name, "labels": {"nvidia.com/gpu.product": "NVIDIA-L4", **changes.get("labels", {})}},
        "spec": {
            "taints": [GPU_TAINT] if taints is None else taints,
            **({"unschedulable": True} if changes.get("cordoned") else {}),
        },
        "status": {
            "allocatable": allocatable | changes.get("allocatable", {}),
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def container(gpus: int = 1, cpu: str = "1", memory: str = "2Gi", **more: str) -> Json:
    """One that has its GPUs in limits only, as the model server does."""
    limits = {GPU: str(gpus)} if gpus else {}
    return {"name": "main", "resources": {"limits": limits | more, "requests": {"cpu": cpu, "memory": memory}}}


def template(gpus: int = 1, **spec: Any) -> Json:
    """A pod template that tolerates the GPU taint."""
    cpu, memory = spec.pop("cpu", "1"), spec.pop("memory", "2Gi")
    return {"spec": {"containers": [container(gpus, cpu, memory)], "tolerations": [TOLERATES_GPU], **spec}}


def pod(
    where: str, gpus: int = 1, *, namespace: str = "team-a", going: bool = False, cpu: str = "1", name: str = "p"
) -> Json:
    """A pod on a node."""
    metadata = {"name": name, "namespace": namespace} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if going else {})
    return {"metadata": metadata, "spec": {"nodeName": where, "containers": [container(gpus, cpu)]}}


def cluster(nodes: list[Json], pods: list[Json] | None = None, own: list[Json] | None = None) -> ClusterNodes:
    """A snapshot of these. `own` are pods that are told apart by name."""
    mine = {body["metadata"]["name"]: pod_use(body) for body in own or ()}
    uses = [*(pod_use(body) for body in pods or ()), *mine.values()]
    names = {use.node for use in uses}
    use: dict[str, NodeUse] = {name: node_use(u for u in uses if u.node == name) for name in names}
    return ClusterNodes(tuple(map(node_facts, nodes)), use, mine)


def verdict(nodes: list[Json], pods: list[Json] | None = None, wanted: Json | None = None) -> Placement:
    """What is said about one more model pod."""
    return cluster(nodes, pods).explain(need_of(wanted or template()))
