"""GpuSchedulable and how a roll-out is told: from the nodes where the operator may look, else from the scheduler, else from the refusal."""

import dataclasses
from typing import Any

import pytest
from rag_operator import names
from rag_operator.observed import Observed, Unreadable
from rag_operator.runtime.errors import ApiError
from rag_operator.scheduling import ClusterNodes

from tests.unit.scheduling.made import GPU, cluster, node, pod

from .test_model_deployment import declared
from .test_model_status import deployment
from .world import World, running_pod

Json = dict[str, Any]
REFUSED = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
WITHOUT_VOLUME = '0/3 nodes are available: persistentvolumeclaim "models" not found.'
BIG = {"cpu": "64", "memory": "256Gi"}


class OnNodes(World):
    """A world whose nodes may be looked at; None: they may not."""

    def __init__(self, nodes: ClusterNodes | None, vllm: Json | None = None) -> None:
        super().__init__(declared(vllm))
        self.nodes = nodes

    async def observe(self, key: tuple[str, str]) -> Observed | Unreadable | None:
        found = await super().observe(key)
        return dataclasses.replace(found, nodes=self.nodes) if isinstance(found, Observed) else found

    def homeless(self, message: str = REFUSED) -> None:
        """The only pod of the model, for which the scheduler has found no node a while ago."""
        body = deployment(self)
        waits = running_pod(f"{body['metadata']['name']}-0", names.COMPONENT_MODEL)
        waits["metadata"]["labels"] |= body["spec"]["template"]["metadata"]["labels"]
        since = "2026-11-21T07:00:00Z"
        told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        waits["status"] = {"phase": "Pending", "conditions": [{**told, "lastTransitionTime": since}]}
        self.pods[waits["metadata"]["name"]] = waits


async def told(nodes: ClusterNodes | None, message: str = REFUSED, vllm: Json | None = None) -> tuple[str, str, str]:
    """Status, reason and message of the condition about a pod without a node."""
    world = OnNodes(nodes, vllm)
    await world.run()
    world.homeless(message)
    await world.run()
    return (*world.reason("GpuSchedulable"), world.condition("GpuSchedulable")["message"])


async def test_the_nodes_tell_whose_pods_are_in_the_way() -> None:
    busy = cluster([node("a", allocatable=BIG)], [pod("a", 2, namespace="team-b", name="their-secret-project")])
    status, reason, message = await told(busy)

    assert ("False", "GpusBusy") == (status, reason)
    assert "in use by namespace team-b (1 pod)" in message
    assert "their-secret-project" not in message


async def test_where_nobody_may_look_at_nodes_the_schedulers_words_are_shown() -> None:
    status, reason, message = await told(None)

    assert ("False", "InsufficientResources") == (status, reason)
    assert REFUSED.rstrip(".") in message


@pytest.mark.parametrize(
    ("message", "vllm", "reason"),
    [
        (REFUSED, {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one"}]}, "InsufficientResources"),
        (WITHOUT_VOLUME, None, "ClaimMissing"),
        (REFUSED, None, "GpuNotOffered"),
    ],
    ids=["devices by claims", "its volume is missing", "by devices"],
)
async def test_what_is_not_looked_at_on_nodes_is_told_by_the_scheduler(
    message: str, vllm: Json | None, reason: str
) -> None:
    assert ("False", reason) == (await told(cluster([node("a", 0, cordoned=True)]), message, vllm))[:2]


async def test_a_scheduler_that_sees_more_than_we_do_is_believed() -> None:
    """Free GPUs, but the scheduler has a reason of its own."""
    assert ("False", "Unschedulable") == (await told(cluster([node("a", allocatable=BIG)]), "0/1: a plugin says no"))[
        :2
    ]


async def test_gpus_that_are_freed_soon_are_progress_and_nothing_wrong() -> None:
    world = OnNodes(cluster([node("a", allocatable=BIG)], [pod("a", 2, going=True)]))
    await world.run()
    world.homeless()
    await world.run()

    assert ("False", "GpuFreedSoon") == world.reason("GpuSchedulable")
    assert ("False", "ModelLoading") == world.reason("ModelReady")
    assert "GpuSchedulable says why" in world.condition("ModelReady")["message"]
    assert ("False", "NotDegraded") == world.reason("Degraded")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ('pods "x" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1', "QuotaExceeded"),
        ('pods "x" is forbidden: maximum memory usage per Container is 1Gi, but limit is 16Gi', "AdmissionRefused"),
    ],
    ids=["ResourceQuota", "LimitRange"],
)
async def test_pods_that_may_not_be_made_are_told_in_the_words_of_the_refusal(words: str, reason: str) -> None:
    world = OnNodes(cluster([node("a", allocatable=BIG)]))
    await world.run()
    deployment(world)["status"] = {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": words}]}
    await world.run()

    assert ("False", reason) == world.reason("GpuSchedulable")
    assert words.partition(": ")[2] in world.condition("GpuSchedulable")["message"]


async def test_a_deployment_that_is_refused_is_told() -> None:
    world = OnNodes(None)
    policy = ApiError(403, "Forbidden", 'admission webhook "gpus" denied the request: ask the platform team')
    world.refuse = lambda verb, kind, name: policy if kind == "Deployment" and "-model-" in name else None
    await world.run()

    assert ("False", "AdmissionRefused") == world.reason("GpuSchedulable")
    assert "ask the platform team" in world.condition("GpuSchedulable")["message"]


async def test_the_way_of_the_next_exchange_and_its_cost_are_announced_in_status_and_event() -> None:
    world = OnNodes(cluster([node("a", 1, allocatable=BIG)], [pod("a")]))
    await world.run()
    world.controllers_finish()
    await world.run()

    way = world.body["status"]["modelRollOut"]
    assert ("Blocked", True) == (way["strategy"], GPU in way["message"])
    assert ("Warning", "ModelRollOut", f"Blocked: {way['message']}") in world.events

    ours = next(name for name in world.pods if "-model-" in name)
    world.nodes = cluster([node("a", 1, allocatable=BIG)], [], [pod("a", name=ours)])
    await world.run()
    way = world.body["status"]["modelRollOut"]
    assert "Recreate" == way["strategy"]
    assert "outage of the model" in way["message"]
    assert ("Normal", "ModelRollOut", f"Recreate: {way['message']}") in world.events


async def test_a_service_without_gpus_has_no_such_condition() -> None:
    world = OnNodes(None, {"gpu": {"count": 0}})
    await world.run()

    assert "GpuSchedulable" not in {condition["type"] for condition in world.body["status"]["conditions"]}
