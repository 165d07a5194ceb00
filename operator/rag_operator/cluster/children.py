"""Writing children: a server-side apply where something differs, a delete of exactly what was seen. Every answer goes to the caches."""

from collections.abc import Callable
from typing import Any

from .. import names
from ..observed import controller_uid
from ..runtime import kinds
from ..runtime.bounded import Bounded
from ..runtime.client import Client
from ..runtime.errors import ApiError, Unreachable
from .caches import Caches, absorb, is_ours
from .differs import differs
from .settled import Settled, digest

Json = dict[str, Any]

MAX_REMEMBERED = 65536


class Children:
    """`on_write` is told the uid of the RagService of which a child was written."""

    def __init__(self, client: Client, caches: Caches, on_write: Callable[[str], None]) -> None:
        self._client = client
        self._caches = caches
        self._on_write = on_write
        self._settled = Settled()
        self._deleted: Bounded[str, None] = Bounded(MAX_REMEMBERED)

    def going(self, obj: Json) -> bool:
        """We deleted it, and the cache has not heard of that yet."""
        return obj["metadata"]["uid"] in self._deleted and "deletionTimestamp" not in obj["metadata"]

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
                self._take_over(body, quiet=True)  # new: nobody else can have changed it before
                return body
        wanted, metadata = digest(desired), live["metadata"]
        if self._settled.holds(metadata, wanted):
            return None
        if not differs(desired, live):
            self._settled.remember(metadata, wanted)
            return None
        body = await self._client.apply(desired)
        if metadata["resourceVersion"] == body["metadata"]["resourceVersion"]:
            # The server sees no difference where we see one: ask no more until either side changes.
            self._settled.remember(body["metadata"], wanted)
            return None
        self._take_over(body)
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
        self._deleted.set(metadata["uid"], None)

    async def _existing(self, desired: Json) -> Json:
        """An object of that name that the caches do not show as ours: one that lost its label or owner is taken back,
        somebody else's is left alone."""
        metadata = desired["metadata"]
        kind = kinds.kind_of(desired)
        body = await self._client.find(kind, metadata["namespace"], metadata["name"])
        if body is None:
            raise Unreachable(f"{kind.kind} {metadata['name']} was in the way and is gone")  # try again
        owners = metadata.get("ownerReferences")
        ours = is_ours(body, owners[0]["uid"]) if owners else _label(body) == _label(desired)
        if not ours:
            raise ApiError(409, "NameTaken", f"{kind.kind} {metadata['name']} exists and is not ours")
        return {**body, "apiVersion": kind.api_version, "kind": kind.kind}

    async def _take_back(self, desired: Json, live: Json) -> Json:
        """Label and owner first. The rest was built without seeing this object: the next pass sees it."""
        metadata, kind = desired["metadata"], kinds.kind_of(desired)
        mine = {key: metadata[key] for key in ("labels", "ownerReferences") if key in metadata}
        if "ownerReferences" in mine:  # a merge patch replaces the list, so it has to be of this very version
            mine["ownerReferences"] = _with_others(mine["ownerReferences"], live)
        mine |= {key: live["metadata"][key] for key in ("uid", "resourceVersion")}
        try:
            body = await self._client.merge_patch(kind, metadata["namespace"], metadata["name"], {"metadata": mine})
        except ApiError as error:
            if error.is_conflict:
                raise Unreachable(f"{kind.kind} {metadata['name']} was changed meanwhile") from error  # try again
            raise
        self._take_over(body)
        return body

    def _take_over(self, body: Json, *, quiet: bool = False) -> None:
        absorb(self._caches, body, quiet=quiet)
        owner = controller_uid(body)
        if owner is not None:
            self._on_write(owner)


def _is_shown(live: Json, desired: Json) -> bool:
    """Label and owner say that it belongs to the same service: only the caches are late."""
    return _label(live) == _label(desired) and controller_uid(live) == controller_uid(desired)


def _with_others(ours: list[Json], live: Json) -> list[Json]:
    """Our owner references beside those that others gave."""
    uids = {owner["uid"] for owner in ours}
    return [*(owner for owner in live["metadata"].get("ownerReferences") or () if owner["uid"] not in uids), *ours]


def _label(obj: Json) -> str | None:
    return (obj["metadata"].get("labels") or {}).get(names.LABEL_SERVICE)
