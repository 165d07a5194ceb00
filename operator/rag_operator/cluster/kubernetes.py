"""`KubernetesCluster`: the seam of `reconcile` on a real API server.

informers --observe--> Observed          nothing is read from the API server but the ConfigMaps that users name
apply, delete, create_secret, status --> API server      only what differs; every answer is remembered (freshness)
ask --> API pods                          what do you serve?
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import aiohttp
import orjson
from pydantic import ValidationError
from rag_contract.environment import API_PORT

from .. import names
from ..api import RagService
from ..observed import Json, Observed, Pod, PodAnswer, Unreadable, controller_uid, key_of, pod_of
from ..runtime import kinds
from ..runtime.client import Client
from ..runtime.errors import ApiError, Unreachable
from ..runtime.kinds import Kind
from ..settings import Settings
from . import kube_events
from .differs import applied_by, differs
from .event_log import EventLog
from .pods import TIMEOUT_SECONDS, PodDoor
from .references import References
from .watched import CHILDREN, SERVICE, keeper, key_for

Key = tuple[str, str]
MAX_REMEMBERED = 65536
PACE_SECONDS = 0.5


class Cache(Protocol):
    """An informer, as far as it is used here."""

    def get(self, namespace: str, name: str) -> Json | None:
        """One object, or None."""

    def by_owner_key(self, owner: str) -> Sequence[Json]:
        """The objects that concern one RagService ("namespace/name")."""

    def absorb(self, obj: Json, *, quiet: bool = False) -> None:
        """Take over the server's answer to our own write; `quiet`: without calling for another pass."""


class KubernetesCluster:
    """One for each operator process. `caches` are informers by the kind's name, one for each of `watched()`."""

    def __init__(self, client: Client, caches: Mapping[str, Cache], settings: Settings) -> None:
        self._client = client
        self._caches = caches
        self._direct = settings.pod_access == "direct"
        self._events = EventLog(client, _monotonic)
        self._references = References(self._config_map, _monotonic)
        self._door = PodDoor(self._fetch, _monotonic, settings.resync_seconds)
        self._session: aiohttp.ClientSession | None = None
        self._made: set[tuple[str, str]] = set()
        self._missing: set[tuple[str, str]] = set()
        self._settled: dict[tuple[str, str], tuple[str, str]] = {}
        self._deleted: dict[str, None] = {}
        self._written: dict[str, float] = {}

    async def close(self) -> None:
        """Close the connections to pods."""
        if self._session is not None:
            await self._session.close()

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
        try:
            service = RagService.model_validate(body)
        except ValidationError as error:
            return Unreadable(body, _first_error(error))
        uid, owner = body["metadata"]["uid"], "/".join(key)
        found = [obj for kind in CHILDREN for obj in self._caches[kind.kind].by_owner_key(owner)]
        claims = self._caches[kinds.PERSISTENT_VOLUME_CLAIM.kind].by_owner_key(owner)
        pods = self._caches[kinds.POD.kind].by_owner_key(owner)
        return Observed(
            service=service,
            body=body,
            children={key_of(obj): obj for obj in found if _ours(obj, uid) and not self._going(obj)},
            pods=tuple(map(pod_of, pods)),
            claims={obj["metadata"]["name"]: obj for obj in claims},
            references=await self._references.of(service),
            notices=kube_events.notices(self._caches[kinds.EVENT.kind], [*found, *pods, *claims]),
        )

    def concerns(self, obj: Json) -> Key | None:
        """Namespace and name of the RagService that a change of this object concerns."""
        if obj.get("kind") != kinds.EVENT.kind:
            return key_for(obj)
        about = obj.get("regarding")
        if about is None:
            return None
        body = self._caches[about["kind"]].get(about["namespace"], about["name"])
        return key_for(body) if body is not None else None

    def _going(self, obj: Json) -> bool:
        """We deleted it, and the cache has not heard of that yet."""
        return obj["metadata"]["uid"] in self._deleted and "deletionTimestamp" not in obj["metadata"]

    async def _config_map(self, namespace: str, name: str) -> Json | None:
        return await self._read(kinds.CONFIG_MAP, namespace, name)

    async def _read(self, kind: Kind, namespace: str, name: str) -> Json | None:
        try:
            return await self._client.get(kind.path(namespace, name))
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    # -- write ---------------------------------------------------------------------------------------------------------

    async def apply(self, desired: Json, live: Json | None) -> Json | None:
        """Server-side apply when it would change something. The new body, or None."""
        if live is None:
            try:
                body = await self._client.apply(desired, only_new=True)
            except ApiError as error:
                if not error.is_conflict:
                    raise
                live = await self._existing(desired)
                if not _is_shown(live, desired):
                    return await self._take_back(desired, live)
            else:
                self._absorb(body, quiet=True)  # new: nobody else can have changed it before
                self._wrote(desired["metadata"].get("ownerReferences"))
                return body
        wanted, metadata = _digest(desired), live["metadata"]
        if self._is_settled(metadata["uid"], "", metadata["resourceVersion"], wanted):
            return None
        if not differs(desired, live):
            self._remember_settled(metadata["uid"], "", metadata["resourceVersion"], wanted)
            return None
        body = await self._client.apply(desired)
        metadata = body["metadata"]
        if live["metadata"]["resourceVersion"] == metadata["resourceVersion"]:
            # The server sees no difference where we see one: ask no more until either side changes.
            self._remember_settled(metadata["uid"], "", metadata["resourceVersion"], wanted)
            return None
        self._absorb(body)
        return body

    async def _existing(self, desired: Json) -> Json:
        """An object of that name that the caches do not show as ours: one that lost its label or owner is taken back,
        somebody else's is left alone."""
        metadata = desired["metadata"]
        kind = kinds.kind_of(desired)
        body = await self._read(kind, metadata["namespace"], metadata["name"])
        if body is None:
            raise Unreachable(f"{kind.kind} {metadata['name']} was in the way and is gone")  # try again
        owners = metadata.get("ownerReferences")
        if owners and not _ours(body, owners[0]["uid"]):
            raise ApiError(409, "NameTaken", f"{kind.kind} {metadata['name']} exists and is not ours")
        return {**body, "apiVersion": kind.api_version, "kind": kind.kind}

    async def _take_back(self, desired: Json, live: Json) -> Json:
        """Label and owner first. The rest was built without seeing this object: the next pass sees it."""
        metadata = desired["metadata"]
        mine = {"uid": live["metadata"]["uid"]} | {key: metadata[key] for key in ("labels", "ownerReferences")}
        kind = kinds.kind_of(desired)
        body = await self._client.merge_patch(kind, metadata["namespace"], metadata["name"], {"metadata": mine})
        self._absorb(body)
        return body

    async def delete(self, live: Json) -> None:
        """Delete this object if it is still the one that we saw."""
        metadata = live["metadata"]
        await self._client.delete(
            kinds.kind_of(live),
            metadata["namespace"],
            metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
        )
        while len(self._deleted) >= MAX_REMEMBERED:
            del self._deleted[next(iter(self._deleted))]
        self._deleted[metadata["uid"]] = None

    async def create_secret(
        self, service: Json, name: str, make: Callable[[Callable[[], str]], Json], *, known: bool
    ) -> str:
        """Create it once; that it exists already is as good. Never read. `known`: children name it, so it was made."""
        secret = (service["metadata"]["uid"], name)
        if secret in self._made or (known and secret not in self._missing):
            return ""
        uid = ""
        try:
            answer = await self._client.create(make(lambda: secrets.token_urlsafe(32)))
            uid = str(answer["metadata"]["uid"])
        except ApiError as error:
            if not error.is_already_exists:
                self._missing.add(secret)
                raise
        self._missing.discard(secret)
        self._made.add(secret)
        return uid

    def forget_secret(self, service_uid: str, name: str) -> None:
        """The next pass creates it again."""
        self._made.discard((service_uid, name))
        self._missing.add((service_uid, name))

    def _wrote(self, owners: list[Json] | None) -> None:
        """Something of this service was just written."""
        for owner in owners or ():
            self._written.pop(owner["uid"], None)
            while len(self._written) >= MAX_REMEMBERED:
                del self._written[next(iter(self._written))]
            self._written[owner["uid"]] = _monotonic()

    def status_due(self, body: Json, desired: Json) -> float:
        """Seconds until this status should be written. Right after a write of ours the controllers of the children answer it
        with a burst of changes, which is told once; a Ready that turns is told at once."""
        stored, written = body.get("status") or {}, self._written.get(body["metadata"]["uid"])
        if written is None or stored == desired or _ready(stored) not in {"", _ready(desired)}:
            return 0.0
        return max(0.0, written + PACE_SECONDS - _monotonic())

    async def write_status(self, body: Json, desired: Json) -> bool:
        """Apply the status when it differs from the stored one."""
        metadata = body["metadata"]
        if desired == (body.get("status") or {}):
            return False
        wanted = _digest(desired)
        if self._is_settled(metadata["uid"], "status", metadata["resourceVersion"], wanted):
            return False
        patch = {
            "apiVersion": names.API_VERSION,
            "kind": SERVICE.kind,
            # The version is a precondition: an object of the same name that came later has its own status. A uid is none, for the
            # API server takes over no metadata with a status.
            "metadata": {key: metadata[key] for key in ("name", "namespace", "resourceVersion")},
            "status": desired,
        }
        answer = await self._client.apply(patch, subresource="status")
        version = answer["metadata"]["resourceVersion"]
        if version == metadata["resourceVersion"]:
            self._remember_settled(metadata["uid"], "status", version, wanted)
            return False
        # Whatever else was changed meanwhile and concerns us has another generation.
        self._absorb(answer, quiet=answer["metadata"].get("generation") == metadata.get("generation"))
        self._wrote([metadata])
        return True

    async def event(self, body: Json, kind: str, reason: str, message: str, now: datetime) -> None:
        """An Event for people; losing one is no failure of the pass."""
        await self._events.tell(body, kind, reason, message, now)

    def _absorb(self, body: Json, *, quiet: bool = False) -> None:
        """Read our own writes: no decision on a state older than this answer."""
        kind = kinds.kind_of(body)
        self._caches[kind.kind].absorb(keeper(kind)(body), quiet=quiet)

    def _is_settled(self, uid: str, part: str, version: str, wanted: str) -> bool:
        return self._settled.get((uid, part)) == (version, wanted)

    def _remember_settled(self, uid: str, part: str, version: str, wanted: str) -> None:
        while len(self._settled) >= MAX_REMEMBERED:
            del self._settled[next(iter(self._settled))]
        self._settled[uid, part] = (version, wanted)

    # -- pods ----------------------------------------------------------------------------------------------------------

    async def ask(self, pods: Sequence[Pod], table_hash: str) -> Mapping[str, PodAnswer]:
        """What each running API pod says it serves."""
        return await self._door.ask(pods, table_hash)

    async def touch(self, pod: Pod, mark: str) -> None:
        """Change an annotation, whereupon the kubelet refreshes the pod's mounted volumes at once."""
        metadata = pod.raw["metadata"]
        patch = {"metadata": {"uid": pod.uid, "annotations": {names.ANNOTATION_TABLE: mark}}}
        try:
            body = await self._client.merge_patch(kinds.POD, metadata["namespace"], pod.name, patch)
        except ApiError as error:
            if error.status not in {404, 409}:  # it is gone, or is another pod of that name
                raise
            return
        self._absorb(body)

    async def _fetch(self, pod: Pod, path: str) -> bytes:
        if not self._direct:
            metadata = pod.raw["metadata"]
            proxy = kinds.POD.path(metadata["namespace"], f"http:{pod.name}:{API_PORT}", "proxy")
            try:
                return await self._client.get_bytes(proxy + path, seconds=TIMEOUT_SECONDS)
            except ApiError as error:
                if isinstance(error.body, dict) and error.body.get("kind") != "Status":
                    return orjson.dumps(error.body)  # the pod's own answer: "not ready", with the checks that fail
                raise
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        async with self._session.get(f"http://{host}:{API_PORT}{path}") as response:
            return await response.content.read(MAX_BYTES)


MAX_BYTES = 1 << 20


def _monotonic() -> float:
    return asyncio.get_running_loop().time()


def _ours(obj: Json, uid: str) -> bool:
    """Controlled by this very RagService; or controlled by nobody, but made by us: somebody took the owner away."""
    owner = controller_uid(obj)
    return owner == uid or (owner is None and bool(applied_by(obj, names.FIELD_MANAGER)))


def _is_shown(live: Json, desired: Json) -> bool:
    """Label and owner say that it belongs to the same service: only the caches are late."""
    there, wanted = live["metadata"], desired["metadata"]
    label = (there.get("labels") or {}).get(names.LABEL_SERVICE)
    return label == wanted["labels"][names.LABEL_SERVICE] and controller_uid(live) == controller_uid(desired)


def _ready(status: Json) -> str:
    """The Ready condition's status; empty when there is none."""
    return next((str(c["status"]) for c in status.get("conditions") or () if c["type"] == "Ready"), "")


def _digest(body: Any) -> str:
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _first_error(error: ValidationError) -> str:
    """Field and words of the first fault; never the value, which may be long or private."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
