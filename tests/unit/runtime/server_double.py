"""A double of the API server for one kind of object and for Leases, over a real loopback socket, that misbehaves on demand.

It keeps a history, so that a watch resumes as on the real one, and a list of faults: each new watch takes the next.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from rag_operator.runtime.login import Login, Token

Json = dict[str, Any]
Fault = Callable[["ServerDouble", web.StreamResponse], Awaitable[None]]
COLLECTION = "/api/v1/namespaces/team/configmaps"


class ServerDouble:
    """State and knobs. `put` and `remove` are what other clients do."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.history: list[tuple[int, Json]] = []
        self.version = 100
        self.compacted = 0
        self.gone_as_event = False
        self.expire_continue = 0
        self.watch_faults: deque[Fault | int] = deque()
        self.answers: deque[web.Response | float] = deque()
        """Answers for the next requests that are no watch; a number is seconds of silence."""
        self.refuse_lists = False
        self.seen: list[tuple[float, str, str, dict[str, str], Any, dict[str, str]]] = []
        self.lease: Json | None = None
        self._streams: set[asyncio.Queue[Json | None]] = set()

    # -- what others do ------------------------------------------------------------------------------------------------

    def put(self, name: str, value: str = "", *, silently: bool = False, uid: str | None = None) -> Json:
        """Create or change an object; `silently`: no watch is told."""
        self.version += 1
        change = "MODIFIED" if name in self.objects else "ADDED"
        old_uid = self.objects[name]["metadata"]["uid"] if name in self.objects else f"uid-{self.version}"
        metadata = {"namespace": "team", "name": name, "uid": uid or old_uid, "resourceVersion": str(self.version)}
        metadata["managedFields"] = [{"manager": "somebody"}]
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}
        self.objects[name] = obj
        self._tell({"type": change, "object": obj}, silently)
        return obj

    def remove(self, name: str, *, silently: bool = False) -> None:
        """Delete an object."""
        self.version += 1
        obj = self.objects.pop(name)
        gone = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        self._tell({"type": "DELETED", "object": gone}, silently)

    def send(self, event: Json) -> None:
        """Send anything to the open watches."""
        for stream in self._streams:
            stream.put_nowait(event)

    def cut(self, *, forget: bool = False) -> None:
        """End all watches in order; `forget`: the history is compacted, so that no watch can resume."""
        for stream in self._streams:
            stream.put_nowait(None)
        if forget:
            self.compacted = self.version + 1
            self.history.clear()

    def count(self, verb: str) -> int:
        """Requests so far: watch, list, or an HTTP method."""
        return sum(1 for entry in self.seen if entry[1] == verb)

    @property
    def watchers(self) -> int:
        """Open watches."""
        return len(self._streams)

    def _tell(self, event: Json, silently: bool) -> None:
        if not silently:
            self.history.append((self.version, event))
            self.send(event)

    # -- HTTP ----------------------------------------------------------------------------------------------------------

    async def collection(self, request: web.Request) -> web.StreamResponse:
        watch = "watch" in request.query
        await self._note(request, "watch" if watch else "list")
        if watch:
            return await self._watch(request)
        if (answer := await self._scripted()) is not None:
            return answer
        if self.refuse_lists:
            return status(500, "InternalError")
        return self._list(request)

    def _list(self, request: web.Request) -> web.Response:
        names = sorted(self.objects)
        start = int(request.query.get("continue", "0"))
        if start and self.expire_continue > 0:
            self.expire_continue -= 1
            return status(410, "Expired")
        limit = int(request.query.get("limit", "0")) or len(names) or 1
        page = names[start : start + limit]
        metadata = {"resourceVersion": str(self.version)}
        if start + limit < len(names):
            metadata["continue"] = str(start + limit)
        items = [{k: v for k, v in self.objects[name].items() if k in {"metadata", "data"}} for name in page]
        return web.json_response({"metadata": metadata, "items": items})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        fault = self.watch_faults.popleft() if self.watch_faults else None
        if isinstance(fault, int):
            return status(fault, "Fault")
        if since < self.compacted and not self.gone_as_event:
            return status(410, "Expired")
        response = web.StreamResponse()
        await response.prepare(request)
        if since < self.compacted:
            await write(response, {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}})
            return response
        if fault is not None:
            await fault(self, response)
            return response
        stream: asyncio.Queue[Json | None] = asyncio.Queue()
        for version, event in self.history:
            if version > since:
                stream.put_nowait(event)
        self._streams.add(stream)
        try:
            while (event_or_end := await stream.get()) is not None:
                await write(response, event_or_end)
        finally:
            self._streams.discard(stream)
        return response

    async def one(self, request: web.Request) -> web.StreamResponse:
        await self._note(request, request.method)
        if (answer := await self._scripted()) is not None:
            return answer
        name = request.match_info["name"]
        if request.method == "GET" or name not in self.objects:
            return web.json_response(self.objects[name]) if name in self.objects else status(404, "NotFound")
        return web.json_response(self.objects[name])

    async def leases(self, request: web.Request) -> web.Response:
        """GET, POST and PUT of one Lease, with the version check that fencing rests on."""
        await self._note(request, request.method)
        if (answer := await self._scripted()) is not None:
            return answer
        if request.method == "GET":
            return web.json_response(self.lease) if self.lease else status(404, "NotFound")
        body = await request.json()
        if request.method == "POST" and self.lease is not None:
            return status(409, "AlreadyExists")
        if request.method == "PUT" and self.lease is None:
            return status(404, "NotFound")
        stored = (self.lease or body)["metadata"].get("resourceVersion")
        if request.method == "PUT" and body["metadata"].get("resourceVersion") != stored:
            return status(409, "Conflict")
        self.version += 1
        self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        return web.json_response(self.lease)

    async def _note(self, request: web.Request, verb: str) -> None:
        text = await request.text()
        body = json.loads(text) if text else None
        now = asyncio.get_running_loop().time()
        self.seen.append((now, verb, request.path, dict(request.query), body, dict(request.headers)))

    async def _scripted(self) -> web.Response | None:
        if not self.answers:
            return None
        answer = self.answers.popleft()
        if isinstance(answer, web.Response):
            return answer
        await asyncio.sleep(answer)
        return None


def status(code: int, reason: str, headers: dict[str, str] | None = None) -> web.Response:
    """A refusal as the API server words it."""
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": f"{reason} by the double"}
    return web.json_response(body, status=code, headers=headers)


async def write(response: web.StreamResponse, event: Json) -> None:
    """One line of a watch."""
    await response.write(json.dumps(event).encode() + b"\n")


@asynccontextmanager
async def running() -> AsyncIterator[tuple[ServerDouble, Login]]:
    """The double, listening on loopback, and the login for it."""
    double = ServerDouble()
    app = web.Application()
    app.router.add_get(COLLECTION, double.collection)
    app.router.add_route("*", COLLECTION + "/{name}", double.one)
    app.router.add_route("*", "/apis/coordination.k8s.io/v1/namespaces/team/leases", double.leases)
    app.router.add_route("*", "/apis/coordination.k8s.io/v1/namespaces/team/leases/{name}", double.leases)
    async with TestServer(app, shutdown_timeout=0.1) as server:
        yield double, Login(server=str(server.make_url("")).rstrip("/"), tls=None, token=Token(lambda: None))
        double.cut()
