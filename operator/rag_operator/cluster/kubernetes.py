"""`KubernetesCluster`: the seam of `reconcile` on a real API server.

informers --observe--> Observed          nothing is read from the API server but the ConfigMaps that users name, once
children, statuses, secret_maker, event_log --> API server      only what differs; answers go to the caches
pods --> API pods                         what do you serve?
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from rag_contract.model_fetch import FetchProgress

from .. import names
from ..api import ModelRuntime, RagService
from ..observed import Json, Observed, Pod, PodAnswer, Unreadable, key_of, pod_of
from ..runtime import kinds
from ..runtime.client import Client
from ..runtime.errors import ApiError
from ..settings import Settings
from . import kube_events
from .caches import Caches, absorb, is_ours
from .children import Children
from .concerns import Concerns
from .engine_use import EngineUse
from .event_log import EventLog
from .move_log import MoveLog, Told
from .nodes import NodeWatch
from .pods import PodDoor, PodLine, ask_progress
from .references import References
from .secret_maker import SecretMaker
from .statuses import Statuses
from .watched import CHILDREN, SERVICE, USER_CONFIG_MAPS

Key = tuple[str, str]


class KubernetesCluster:
    """One for each operator process. `caches` are informers, one for each of `watched()`."""

    def __init__(
        self,
        client: Client,
        caches: Caches,
        settings: Settings,
        nodes: NodeWatch | None = None,
        moved: Told = lambda kind, result, seconds: None,
    ) -> None:
        self._nodes = nodes
        self._client = client
        self._caches = caches
        self._statuses = Statuses(client, caches, _monotonic)
        self._children = Children(client, caches, self._statuses.wrote)
        self._secrets = SecretMaker(client)
        self._events = EventLog(client, _monotonic)
        self._moves = MoveLog(_monotonic, moved)
        self._references = References(self._known_map, self._read_map)
        self._line = PodLine(client, direct=settings.pod_access == "direct")
        self._engines = EngineUse(self._line.fetch, _monotonic)
        self._door = PodDoor(self._line.fetch, _monotonic, settings.resync_seconds)
        self.concerns = Concerns(caches)

    async def close(self) -> None:
        """Close the connections to pods."""
        await self._line.close()

    # -- observe -------------------------------------------------------------------------------------------------------

    def stored(self, key: Key) -> Json | None:
        """The RagService as it is cached; None when it is gone or going."""
        body = self._caches[SERVICE.kind].get(*key)
        return None if body is None or "deletionTimestamp" in body["metadata"] else body

    async def observe(self, key: Key) -> Observed | Unreadable | None:
        """Everything about one service, from the caches: they hold our own writes, deletions apart, which are known here."""
        body = self.stored(key)
        if body is None:
            return None
        self._moves.seen(body)
        try:
            service = RagService.model_validate(body)
        except ValidationError as error:
            return Unreadable(body, _first_error(error))
        references = await self._references.of(service)
        nodes = self._nodes if service.spec.model.runtime is ModelRuntime.VLLM else None
        if nodes is not None:
            await nodes.settled()
        uid, owner = body["metadata"]["uid"], "/".join(key)
        found = [obj for kind in CHILDREN for obj in self._caches[kind.kind].by_owner_key(owner)]
        claims = self._caches[kinds.PERSISTENT_VOLUME_CLAIM.kind].by_owner_key(owner)
        pods = self._caches[kinds.POD.kind].by_owner_key(owner)
        return Observed(
            service=service,
            body=body,
            children={key_of(obj): obj for obj in found if is_ours(obj, uid) and not self._children.going(obj)},
            pods=tuple(map(pod_of, pods)),
            claims={obj["metadata"]["name"]: obj for obj in claims},
            references=references,
            notices=kube_events.notices(self._caches[kinds.EVENT.kind], [*found, *pods, *claims]),
            nodes=nodes.snapshot(pods) if nodes is not None else None,
        )

    def _known_map(self, namespace: str, name: str) -> Json | None:
        """One that carries our label is cached whole, of the others the version."""
        labelled = self._caches[kinds.CONFIG_MAP.kind].get(namespace, name)
        return labelled or self._caches[USER_CONFIG_MAPS].get(namespace, name)

    async def _read_map(self, namespace: str, name: str) -> Json | None:
        return await self._client.find(kinds.CONFIG_MAP, namespace, name)

    # -- write ---------------------------------------------------------------------------------------------------------

    async def apply(self, desired: Json, live: Json | None) -> Json | None:
        """Server-side apply when it would change something. The new body, or None."""
        return await self._children.apply(desired, live)

    async def delete(self, live: Json) -> None:
        """Delete this object if it is still the one that we saw."""
        await self._children.delete(live)

    async def create_secret(
        self, service: Json, name: str, make: Callable[[Callable[[], str]], Json], *, known: bool
    ) -> None:
        """Create it once; that it exists already is as good. Never read. `known`: children name it, so it was made."""
        await self._secrets.create(service["metadata"]["uid"], name, make, known=known)

    async def lost_secret(self, service: Json, name: str, make: Callable[[Callable[[], str]], Json]) -> str:
        """A name for the loss of a Secret that was said to be missing and is; else empty."""
        return await self._secrets.lost(service["metadata"]["uid"], name, make)

    def forget_secret(self, service_uid: str, name: str) -> None:
        """The next pass creates it again."""
        self._secrets.forget(service_uid, name)

    def status_due(self, body: Json, desired: Json) -> float:
        """Seconds until this status should be written; 0 for now."""
        return self._statuses.due(body, desired)

    async def write_status(self, body: Json, desired: Json) -> bool:
        """Apply the status when it differs from the stored one."""
        if body["kind"] != SERVICE.kind:
            return await self._statuses.write(body, desired)
        written = await self._statuses.write(body, desired)
        if written:
            self._moves.ended(body, desired)
        else:  # a status comes first, and the events of its own
            await self._events.retell(body["metadata"]["uid"])
        return written

    async def event(self, body: Json, kind: str, reason: str, message: str, now: datetime) -> None:
        """An Event for people; losing one is no failure of the pass."""
        await self._events.tell(body, kind, reason, message, now)

    # -- pods ----------------------------------------------------------------------------------------------------------

    async def ask(self, pods: Sequence[Pod], table_hash: str, *, closely: bool) -> Mapping[str, PodAnswer]:
        """What each running API pod says it serves."""
        return await self._door.ask(pods, table_hash, closely=closely)

    async def fetching(self, pods: Sequence[Pod]) -> Mapping[str, FetchProgress]:
        """How far each running pod that downloads weights is."""
        return await ask_progress(self._line.fetch, pods)

    async def engine_use(self, pods: Sequence[Pod]) -> Mapping[str, float]:
        """Share of the last hour that requests spent in each ready model pod's engine, at most."""
        return await self._engines.of(pods)

    async def touch(self, pod: Pod, mark: str) -> None:
        """Change an annotation, whereupon the kubelet refreshes the pod's mounted volumes at once."""
        await self.annotate(pod, {names.ANNOTATION_TABLE: mark})

    async def annotate(self, pod: Pod, annotations: Mapping[str, str | None]) -> None:
        """Set annotations of this very pod; None removes one."""
        metadata = pod.raw["metadata"]
        patch: dict[str, Any] = {"metadata": {"uid": pod.uid, "annotations": dict(annotations)}}
        try:
            body = await self._client.merge_patch(kinds.POD, metadata["namespace"], pod.name, patch)
        except ApiError as error:
            if error.status not in {404, 409}:  # it is gone, or is another pod of that name
                raise
            return
        absorb(self._caches, body)


def _monotonic() -> float:
    return asyncio.get_running_loop().time()


def _first_error(error: ValidationError) -> str:
    """Field and words of the first fault; never the value, which may be long or private."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
