"""A cluster on paper: objects from files instead of caches, and a client that writes down instead of sending.

    files --> Shelf (one per kind, as an informer) --> KubernetesCluster --> reconcile --> Paper.applied, Paper.deleted

Only what stands at both ends of the operator's own code is replaced, so what is written down is what would be sent.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .cluster import owner_key, watched
from .runtime import kinds
from .runtime.client import FIELD_MANAGER, Client, address
from .runtime.errors import ApiError, Unreachable
from .runtime.kinds import Kind

Json = dict[str, Any]


class Shelf:
    """The objects of one kind, as an informer would hold them."""

    def __init__(self, objects: Iterable[Json]) -> None:
        self._objects = {_place(obj): obj for obj in objects}

    def get(self, namespace: str, name: str) -> Json | None:
        """One object, or None."""
        return self._objects.get((namespace, name))

    def by_owner_key(self, owner: str) -> Sequence[Json]:
        """The objects that concern one RagService ("namespace/name")."""
        return [obj for obj in self._objects.values() if owner_key(obj) == owner]

    def absorb(self, obj: Json, *, quiet: bool = False) -> None:
        """Take over what was written."""
        self._objects[_place(obj)] = obj


class Paper(Client):
    """A client without a server: reads `objects`, keeps every write. Secrets and Events are named, never kept."""

    def __init__(self, objects: Iterable[Json]) -> None:
        # Client.__init__ is left out on purpose: there is no login and no connection.
        self.writes, self.reads = Counter(), Counter()
        self._objects = {_path(obj): obj for obj in objects}
        self.applied: list[Json] = []
        """Bodies of server-side applies, in order."""
        self.deleted: list[str] = []
        self.secrets: list[str] = []
        """Names of generated Secrets."""
        self.status: Json | None = None
        """The status that was written, None when it would stay as it is."""

    def shelves(self) -> dict[str, Shelf]:
        """What the informers would hold: same kinds, same labels, same parts of each object."""
        return {
            part.kind.kind: Shelf(
                part.trim(obj)
                for obj in self._objects.values()
                if kinds.kind_of(obj) == part.kind
                and (part.label_selector is None or part.label_selector in (obj["metadata"].get("labels") or {}))
            )
            for part in watched()
        }

    async def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        kind: str = "",
        seconds: float | None = None,
        urgent: bool = False,
    ) -> Json:
        """An object from the files. Raises ApiError (404)."""
        if path not in self._objects:
            raise ApiError(404, "NotFound", f"{path} is in no file")
        return self._objects[path]

    async def get_bytes(self, path: str, *, kind: str = "", seconds: float | None = None) -> bytes:
        """Pods cannot be asked."""
        raise Unreachable("no pod is asked offline")

    async def apply(
        self,
        obj: Json,
        *,
        force: bool = True,
        field_manager: str = FIELD_MANAGER,
        subresource: str | None = None,
        dry_run: bool = False,
        only_new: bool = False,
    ) -> Json:
        """Write it down; the answer is as if it had been stored."""
        if only_new and _path(obj) in self._objects:
            raise ApiError(409, "Conflict", f"{_path(obj)} exists")
        if subresource == "status":
            self.status = obj["status"]
        else:
            self.applied.append(obj)
        return self._stored(obj)

    async def create(self, obj: Json, *, field_manager: str = FIELD_MANAGER, urgent: bool = False) -> Json:
        """Name a Secret; forget an Event."""
        if obj["kind"] == kinds.SECRET.kind:
            self.secrets.append(obj["metadata"]["name"])
        return self._stored({**obj, "data": {}})

    async def merge_patch(
        self, kind: Kind, namespace: str | None, name: str, patch: Json, subresource: str | None = None
    ) -> Json:
        """Only pods are patched, to refresh a table at once: nothing to show."""
        return await self.get(kind.path(namespace, name))

    async def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str,
        resource_version: str | None,
        propagation: str = "Background",
    ) -> None:
        """Write it down."""
        self.deleted.append(f"{kind.kind} {name}")

    def _stored(self, obj: Json) -> Json:
        old = self._objects.get(_path(obj), {"metadata": {}})
        number = str(len(self.applied) + len(self.secrets))
        metadata = {
            "uid": f"rendered-{number}",
            **old["metadata"],
            **obj["metadata"],
            "resourceVersion": f"{number}-new",
        }
        return {**old, **obj, "metadata": metadata}


def known(obj: Json) -> bool:
    """Whether the operator knows the kind at all; Secrets are left unread."""
    try:
        return kinds.kind_of(obj) != kinds.SECRET
    except KeyError:
        return False


def _path(obj: Json) -> str:
    kind, namespace, name = address(obj)
    return kind.path(namespace, name)


def _place(obj: Json) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
