"""A control plane with the real scheduler, and quick ways to put nodes and pods on it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar

from rag_operator.cluster.nodes import NodeWatch
from rag_operator.runtime import kinds, login
from rag_operator.runtime.client import Client
from rag_operator.runtime.errors import ApiError

from tests.cluster.fixtures import Cluster

Json = dict[str, Any]
T = TypeVar("T")


@contextlib.asynccontextmanager
async def client_of(plane: Cluster) -> AsyncIterator[Client]:
    """The administrator's client."""
    async with Client(login.load(str(plane.kubeconfig))) as client:
        yield client


@contextlib.asynccontextmanager
async def nodes_of(client: Client, wake: Callable[[bool], None] = lambda everyone: None) -> AsyncIterator[NodeWatch]:
    """The operator's own watch on nodes, running."""
    watch = NodeWatch(client, wake, retry_seconds=1)
    task = asyncio.create_task(watch.run())
    try:
        await asyncio.sleep(0)
        await watch.settled()
        yield watch
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def for_all(work: Callable[[T], Awaitable[Any]], items: Iterable[T], at_once: int = 32) -> None:
    """Do the work for each, some at the same time; the first that fails ends it."""
    waiting = iter(items)

    async def one_after_another() -> None:
        for item in waiting:
            await work(item)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(one_after_another())


async def add_node(client: Client, node: Json) -> None:
    """Make a node exactly so. The API server taints a new one as not ready, which is taken away again."""
    await client.create(node)
    taints = node["spec"].get("taints") or []
    await client.merge_patch(kinds.NODE, None, node["metadata"]["name"], {"spec": {"taints": taints}})


async def add_account(client: Client, namespace: str = "default") -> None:
    """The service account of a namespace, where no controller makes it."""
    with contextlib.suppress(ApiError):
        await client.create(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}}
        )


async def finish(client: Client, pod: Json) -> None:
    """A pod that has done its work takes nothing of its node any more."""
    metadata = pod["metadata"]
    await client.merge_patch(
        kinds.POD, metadata["namespace"], metadata["name"], {"status": {"phase": "Succeeded"}}, "status"
    )


async def remove(client: Client, pod: Json) -> None:
    """Ask a pod to end: without a kubelet it terminates for ever."""
    metadata = (await client.get(kinds.POD.path(pod["metadata"]["namespace"], pod["metadata"]["name"])))["metadata"]
    await client.delete(kinds.POD, metadata["namespace"], metadata["name"], uid=metadata["uid"], resource_version=None)
