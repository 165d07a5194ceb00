"""An API server on paper: objects from files, and a list of what it was asked to write.

    files --> Paper --(lists, gets)--> the operator's own client, informers and `reconcile` --(writes)--> Paper

Only the wire is replaced, so what is written down is what would be sent.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Any

import orjson

from .runtime import kinds
from .runtime.client import APPLY, Client
from .runtime.errors import ApiError, Unreachable
from .runtime.kinds import Kind
from .runtime.transport import Request, Transport

Json = dict[str, Any]


class Paper(Transport):
    """Answers as an API server that holds `objects`. Secrets and Events are forgotten, the names of Secrets apart."""

    def __init__(self, objects: Iterable[Json]) -> None:
        # Transport.__init__ is left out on purpose: there is no login and no connection.
        self.fence = lambda: True
        self._objects = {_path(obj): _complete(obj) for obj in objects}
        self._version = max((int(o["metadata"]["resourceVersion"]) for o in self._objects.values()), default=1)
        self.applied: list[Json] = []
        """Bodies of server-side applies, in order."""
        self.deleted: list[str] = []
        self.secrets: list[str] = []
        """Names of generated Secrets."""
        self.status: Json | None = None
        """The status that was written, None when it would stay as it is."""

    async def close(self) -> None:
        """Nothing is open."""

    async def call(self, request: Request) -> bytes:
        """The answer's body. Raises ApiError as an API server would, Unreachable for a pod."""
        if request.method == "GET":
            return orjson.dumps(self._read(request.path))
        body = orjson.loads(request.data or b"{}")
        if request.method == "DELETE":
            self.deleted.append(f"{request.kind} {request.path.rpartition('/')[2]}")
        elif request.method == "POST":
            if request.kind == kinds.SECRET.kind:
                self.secrets.append(body["metadata"]["name"])
                body = {**body, "data": {}}
        elif request.content_type == APPLY:
            return orjson.dumps(self._apply(request.path, body))
        return orjson.dumps(self._stored(request.path, body))

    async def stream(self, request: Request) -> AsyncIterator[bytes]:
        """Nothing ever happens."""
        await asyncio.Event().wait()
        yield b""

    def _read(self, path: str) -> Json:
        found = self._objects.get(path)
        if found is not None:
            return found
        for kind in kinds.ALL:
            everywhere, _, plural = path.rpartition("/")
            if plural == kind.plural and everywhere.startswith(kind.path().rpartition("/")[0]):
                return {"metadata": {"resourceVersion": str(self._version)}, "items": self._of(kind, path)}
        if "/proxy/" in path:
            raise Unreachable("no pod is asked on paper")
        raise ApiError(404, "NotFound", f"{path} is in no file")

    def _of(self, kind: Kind, path: str) -> list[Json]:
        """The objects of a kind: of one namespace when the path says so. The informers index; labels are not looked at."""
        mine = [obj for obj in self._objects.values() if kinds.kind_of(obj) == kind]
        return [o for o in mine if path in {kind.path(), kind.path(o["metadata"].get("namespace"))}]

    def _apply(self, path: str, body: Json) -> Json:
        if path.endswith("/status"):
            self.status = body["status"]
            return self._stored(path.removesuffix("/status"), body)
        metadata = {**body["metadata"]}
        if metadata.pop("resourceVersion", None) is not None and path in self._objects:
            raise ApiError(409, "Conflict", f"{path} exists in another version")
        sent = {**body, "metadata": metadata}
        self.applied.append(sent)
        return self._stored(path, sent)

    def _stored(self, path: str, body: Json) -> Json:
        self._version += 1
        old = self._objects.get(path, {"metadata": {"uid": f"rendered-{self._version}", "generation": 1}})
        metadata = {**old["metadata"], **body.get("metadata", {}), "resourceVersion": str(self._version)}
        return {**old, **body, "metadata": metadata}


class PaperClient(Client):
    """The operator's client, on paper."""

    def __init__(self, paper: Paper) -> None:
        # Client.__init__ is left out on purpose: it would open a connection.
        self.writes, self.reads = Counter(), Counter()
        self._transport = paper


def known(obj: Json) -> bool:
    """Whether the operator knows the kind at all; Secrets are left unread."""
    try:
        return kinds.kind_of(obj) != kinds.SECRET
    except KeyError:
        return False


def _complete(obj: Json) -> Json:
    """What files written by hand leave out."""
    metadata = {"uid": f"uid of {obj['metadata']['name']}", "resourceVersion": "1", **obj["metadata"]}
    return {**obj, "metadata": metadata}


def _path(obj: Json) -> str:
    metadata = obj["metadata"]
    return kinds.kind_of(obj).path(metadata.get("namespace"), metadata["name"])
