"""Nodes, and what the pods of everybody take of them: watched from the first RagService on that runs a model server.

    Nodes  --trim--> NodeFacts ┐
    Pods   --trim--> PodUse    ┴--> ClusterNodes, a new snapshot only after a change

Without the right to list nodes there is no snapshot, and the scheduler's own messages have to do. A Node or Pod is kept as the
few numbers and labels that placing depends on: a cluster may have very many.
"""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..api import ModelRuntime
from ..observed import condition_of
from ..runtime import kinds
from ..runtime.client import Client
from ..runtime.errors import ApiError, RuntimeFault
from ..runtime.informer import Informer
from ..scheduling import ClusterNodes, NodeFacts, NodeUse, PodUse, node_facts, node_use, pod_use

log = logging.getLogger(__name__)

Json = dict[str, Any]
Wake = Callable[[bool], None]
ON_A_NODE = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
CALM_SECONDS = 1.0
"""Changes that come together wake those who wait for a GPU once."""
AT_REST_SECONDS = 30.0
"""Those who wait for nothing are told this seldom that a roll-out would go another way now."""
SETTLE_SECONDS = 10.0
"""A pass waits this long, at most, for the first snapshot."""


class NodeWatch:
    """`run` it as a task. `wake(everyone)` is called on the event loop when GPUs, or who has them, have changed: `everyone`
    False for those alone who wait for one. `retry_seconds`: how often a refused right is asked for again."""

    def __init__(self, client: Client, wake: Wake, *, retry_seconds: float) -> None:
        self._client = client
        self._wake = wake
        self._retry_seconds = retry_seconds
        self._wanted = asyncio.Event()
        self._settled = asyncio.Event()
        self._changed = asyncio.Event()
        self._snapshot: ClusterNodes | None = None
        self._running = False
        self._allowed = False
        self._facts: dict[str, NodeFacts] = {}
        self._use: dict[str, NodeUse] = {}
        self._stale: set[str] = set()
        self.nodes = Informer(client, kinds.NODE, trim=keep_node, on_change=self._node_changed)
        self.pods = Informer(
            client,
            kinds.POD,
            field_selector=ON_A_NODE,
            trim=keep_pod,
            index=_node_of,
            on_change=self._pod_changed,
        )

    def want(self) -> None:
        """Somebody runs a model server: watch from now on."""
        self._wanted.set()

    async def settled(self) -> None:
        """Somebody decides by the nodes now: begin to watch, and wait for the first look. Returns at once where nobody looks."""
        self.want()
        if self._running:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), SETTLE_SECONDS)

    def snapshot(self, own: Iterable[Json] = ()) -> ClusterNodes | None:
        """The nodes now; None when the operator may not look, or not yet. `own`: pods that are told apart from everybody's."""
        if not (self.nodes.synced.is_set() and self.pods.synced.is_set()):
            return None
        if self._stale:
            for name in self._stale:
                pods = self.pods.by_owner_key(name)
                if pods or name in self._facts:
                    self._use[name] = node_use(map(use_of, pods))
                else:  # the node is gone, and its last pod with it
                    self._use.pop(name, None)
            self._stale.clear()
            self._snapshot = None
        if self._snapshot is None:
            self._snapshot = ClusterNodes(tuple(self._facts.values()), dict(self._use))
        places = [pod["metadata"] for pod in own]
        placed = {place["name"]: self.pods.get(place["namespace"], place["name"]) for place in places}
        mine = {name: use_of(body) for name, body in placed.items() if body is not None}
        return dataclasses.replace(self._snapshot, own=mine) if mine else self._snapshot

    def watching(self) -> Mapping[str, Informer]:
        """The informers that run, by name: both or none."""
        return {"Node": self.nodes, "PodOnNode": self.pods} if self._allowed else {}

    async def run(self) -> None:
        """Until cancelled."""
        self._running = True
        await self._wanted.wait()
        while not await self._may_look():
            self._settled.set()
            await asyncio.sleep(self._retry_seconds)
        self._allowed = True
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.nodes.run(), name="informer of nodes")
            tasks.create_task(self.pods.run(), name="informer of pods on nodes")
            tasks.create_task(self._tell(), name="waking who waits for GPUs")

    async def _may_look(self) -> bool:
        """One small LIST tells. Other trouble than a refusal is the informers' business."""
        try:
            for kind in (kinds.NODE, kinds.POD):
                await anext(self._client.list_pages(kind, page_size=1))
        except ApiError as error:
            if error.status == 403:
                log.info("no right to list nodes: the scheduler's own messages are shown")
                return False
        except RuntimeFault as error:
            log.debug("cannot tell yet whether nodes may be listed: %s", error)
        return True

    async def _tell(self) -> None:
        await asyncio.gather(self.nodes.synced.wait(), self.pods.synced.wait())
        self._settled.set()
        next_for_all, owed = self._now(), False
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), next_for_all - self._now() if owed else None)
            await asyncio.sleep(CALM_SECONDS)
            self._changed.clear()
            everyone = self._now() >= next_for_all
            owed = not everyone
            if everyone:
                next_for_all = self._now() + AT_REST_SECONDS
            self._wake(everyone)

    def _node_changed(self, old: Json | None, new: Json | None) -> None:
        if new is None:
            name = old["metadata"]["name"] if old else ""
            self._facts.pop(name, None)
            self._stale.add(name)
        else:
            facts = node_facts(new)
            if self._facts.get(facts.name) == facts:
                return
            self._facts[facts.name] = facts
        self._snapshot = None
        self._changed.set()

    def _pod_changed(self, old: Json | None, new: Json | None) -> None:
        uses = [use_of(body) for body in (old, new) if body is not None]
        if len(uses) == 2 and uses[0] == uses[1]:
            return
        self._stale.update(use.node for use in uses)
        if any(use.holds_device for use in uses):
            self._changed.set()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def keep_node(body: Json) -> Json:
    """Of a Node: what `node_facts` reads, and where it is in the cache."""
    metadata, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    return {
        "metadata": {key: metadata[key] for key in ("name", "resourceVersion", "labels") if key in metadata},
        "spec": {key: spec[key] for key in ("taints", "unschedulable") if key in spec},
        "status": {"allocatable": status.get("allocatable") or {}},
    }


def keep_pod(body: Json) -> Json:
    """Of a Pod of anybody: what it takes of which node, and where it is in the cache."""
    metadata = {key: body["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
    return {"metadata": metadata, "use": list(pod_use(body))}


def use_of(kept: Json) -> PodUse:
    """What `keep_pod` kept."""
    node, namespace, taken, terminating = kept["use"]
    return PodUse(node, namespace, tuple((name, value) for name, value in taken), terminating)


def _node_of(pod: Json) -> str:
    return str(pod["use"][0])


def to_wake(services: Iterable[Json], *, everyone: bool) -> Iterator[tuple[str, str]]:
    """Namespace and name of the stored RagServices whose verdict may be another now."""
    for service in services:
        if service["spec"].get("model", {}).get("runtime") != ModelRuntime.VLLM:
            continue
        condition = condition_of(service.get("status") or {}, "GpuSchedulable")
        if everyone or condition is None or condition["status"] != "True":
            yield service["metadata"]["namespace"], service["metadata"]["name"]
