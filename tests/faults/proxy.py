"""A proxy between one operator and a real API server that goes wrong when it is told to. For tests only; loopback only.

    operator --plain HTTP--> FaultProxy --TLS, as the administrator--> API server

It sees every request, so it can fail exactly one: `Rule` says which write, `Fault` what happens to it. Watches can be cut, held
back, and answered with anything (`WatchFault`).
"""

import asyncio
import json
import re
import ssl
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import yaml
from aiohttp import web

from tests.cluster.fixtures import Cluster

HASH = re.compile(r"\b[0-9a-f]{8,32}\b")
KEPT_HEADERS = ("Content-Type", "User-Agent", "Accept", "Accept-Encoding")
ANSWER_HEADERS = ("Content-Type", "Retry-After")


class Fault(StrEnum):
    """What happens to a write. The first three end the operator's process by SIGKILL."""

    KILL_BEFORE = "killed before the write was forwarded"
    KILL_APPLIED = "killed after it was applied and before the reply"
    KILL_AFTER = "killed after the reply"
    CONFLICT = "409"
    TOO_MANY = "429"
    INTERNAL = "500"
    UNAVAILABLE = "503"
    RESET = "connection reset, not applied"
    LOST = "applied, reply lost"


KILLS = (Fault.KILL_BEFORE, Fault.KILL_APPLIED, Fault.KILL_AFTER)
REFUSALS = {
    Fault.CONFLICT: (409, "Conflict"),
    Fault.TOO_MANY: (429, "TooManyRequests"),
    Fault.INTERNAL: (500, "InternalError"),
    Fault.UNAVAILABLE: (503, "ServiceUnavailable"),
}
NOT_SENT = {Fault.KILL_BEFORE, Fault.RESET, *REFUSALS}


class Write(NamedTuple):
    """One write that the operator sent. `what` is verb, resource and name with all that differs by nature taken out."""

    service: str
    what: str
    status: int
    """What the API server said; 0 when it was not asked."""


@dataclass
class Rule:
    """The write of `service` that goes wrong: the first `what`. `done` says that it has, `at` when."""

    service: str
    what: str
    fault: Fault
    done: bool = False
    at: float = 0.0


@dataclass
class WatchFault:
    """How the next watches of `resource` (empty: of all) go: a status, or lines and then the end, or silence."""

    resource: str = ""
    status: int = 200
    lines: tuple[bytes, ...] = ()
    silent: bool = False
    count: int = 1
    taken: int = 0


@dataclass
class FaultProxy:
    """Runs in a thread of its own between `start` and `stop`. Lists and counters may be read from any thread."""

    cluster: Cluster
    kill: Callable[[], None] = lambda: None
    """Ends the operator's process at once; called on the proxy's thread."""
    writes: list[Write] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)
    """When each write came, by the monotonic clock."""
    requests: Counter[str] = field(default_factory=Counter)
    """Reads by "list <resource>", "watch <resource>", "get <resource>"."""
    rules: list[Rule] = field(default_factory=list)
    watch_faults: list[WatchFault] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    """Resources of which no watch is served now (503)."""
    garbled: set[str] = field(default_factory=set)
    """Paths whose GET is answered with an object that makes no sense."""
    _streams: dict[web.StreamResponse, tuple[str, asyncio.Task[Any]]] = field(default_factory=dict)
    _ending: set[asyncio.Task[None]] = field(default_factory=set)

    # -- life ----------------------------------------------------------------------------------------------------------

    def start(self) -> "FaultProxy":
        """Listen on a free port of loopback."""
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="fault proxy", daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def stop(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(timeout=10)

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that leads here; no secret is needed."""
        name = "proxy"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": name, "user": {}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        }
        path.write_text(yaml.safe_dump(document))
        return path

    def cut(self, resource: str = "") -> None:
        """End the open watches of `resource`, or all, without a word."""
        self._loop.call_soon_threadsafe(self._cut, resource, b"")

    def tell(self, line: bytes, resource: str = "") -> None:
        """Send bytes into the open watches, then end them."""
        self._loop.call_soon_threadsafe(self._cut, resource, line)

    def sent(self, service: str) -> list[Write]:
        """Writes about one service."""
        return [write for write in self.writes if write.service == service]

    def made(self, service: str) -> Counter[str]:
        """Creations and deletions that the API server carried out, by object."""
        counts: Counter[str] = Counter()
        for write in self.sent(service):
            verb, _, rest = write.what.partition(" ")
            if write.status == 201 and not rest.startswith("events"):
                counts[f"created {rest}"] += 1
            if verb == "delete" and write.status in {200, 202}:
                counts[f"deleted {rest}"] += 1
        return counts

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve(ready))
        self._loop.close()

    async def _serve(self, ready: threading.Event) -> None:
        self._end = asyncio.Event()
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        async with self._upstream() as self._session:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.port = int(runner.addresses[0][1])
            ready.set()
            await self._end.wait()
            self._cut("", b"")
            await runner.cleanup()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        # A TLS connection is closed by the turns of the loop after its session's end, not by the end itself.
        await asyncio.sleep(0.3)

    @asynccontextmanager
    async def _upstream(self) -> AsyncIterator[aiohttp.ClientSession]:
        authority = self.cluster.control_plane.authority
        context = ssl.create_default_context(cafile=str(authority.certificate))
        context.load_cert_chain(*map(str, authority.issue("admin", "/O=system:masters/CN=admin")))
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        timeout = aiohttp.ClientTimeout(total=None, connect=5)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
            yield session

    # -- requests ------------------------------------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        resource = resource_of(request.path)
        if request.method == "GET":
            watch = "watch" in request.query
            verb = "watch" if watch else "get" if named(request.path) else "list"
            self.requests[f"{verb} {resource}"] += 1
            if watch:
                return await self._watch(request, resource)
            if request.path in self.garbled:
                return web.json_response({"metadata": 7, "data": 7})
            return (await self._forward(request, b""))[0]
        self.arrived.append(time.monotonic())
        body = await request.read()
        service, what = signature(request, resource, body)
        rule = next((r for r in self.rules if not r.done and (r.service, r.what) == (service, what)), None)
        if rule is not None:
            rule.done, rule.at = True, time.monotonic()
        if rule is not None and rule.fault in NOT_SENT:
            self.writes.append(Write(service, what, 0))
            return await self._refuse(request, rule.fault)
        response, status = await self._forward(request, body)
        self.writes.append(Write(service, what, status))
        if rule is None:
            return response
        if rule.fault is Fault.KILL_AFTER:
            await response.prepare(request)
            await response.write_eof()
            self.kill()
        elif rule.fault is Fault.KILL_APPLIED:
            self.kill()
        drop(request)
        return response

    async def _refuse(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault in REFUSALS:
            code, reason = REFUSALS[fault]
            body = {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": "by the proxy"}
            headers = {"Retry-After": "1"} if fault is Fault.TOO_MANY else None
            return web.json_response(body, status=code, headers=headers)
        if fault is Fault.KILL_BEFORE:
            self.kill()
        drop(request)
        return web.Response()

    async def _forward(self, request: web.Request, body: bytes) -> tuple[web.Response, int]:
        headers = {name: request.headers[name] for name in KEPT_HEADERS if name in request.headers}
        url = self.cluster.server + request.path_qs
        async with self._session.request(request.method, url, data=body or None, headers=headers) as answer:
            kept = {name: answer.headers[name] for name in ANSWER_HEADERS if name in answer.headers}
            return web.Response(body=await answer.read(), status=answer.status, headers=kept), answer.status

    # -- watches -------------------------------------------------------------------------------------------------------

    async def _watch(self, request: web.Request, resource: str) -> web.StreamResponse:
        if resource in self.held:
            return web.json_response({"kind": "Status", "code": 503, "reason": "ServiceUnavailable"}, status=503)
        fault = next((f for f in self.watch_faults if f.taken < f.count and f.resource in {"", resource}), None)
        if fault is not None:
            fault.taken += 1
            if fault.status != 200:
                body = {"kind": "Status", "apiVersion": "v1", "code": fault.status, "reason": "ByTheProxy"}
                return web.json_response(body, status=fault.status)
        response = web.StreamResponse()
        await response.prepare(request)
        for line in fault.lines if fault is not None else ():
            await response.write(line)
        if fault is not None and fault.lines:
            return response
        task = asyncio.create_task(
            asyncio.sleep(3600) if fault is not None and fault.silent else self._stream(request, response)
        )
        self._streams[response] = (resource, task)
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
            self._streams.pop(response, None)
        return response

    async def _stream(self, request: web.Request, response: web.StreamResponse) -> None:
        headers = {name: request.headers[name] for name in KEPT_HEADERS if name in request.headers}
        try:
            async with self._session.get(self.cluster.server + request.path_qs, headers=headers) as answer:
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
        except (ConnectionError, aiohttp.ClientError):
            return  # one of the two ends is gone, and so is this stream

    def _cut(self, resource: str, line: bytes) -> None:
        for response, (about, task) in list(self._streams.items()):
            if resource in {"", about}:
                self._ending.add(ending := asyncio.create_task(self._last_words(response, task, line)))
                ending.add_done_callback(self._ending.discard)

    async def _last_words(self, response: web.StreamResponse, task: "asyncio.Task[Any]", line: bytes) -> None:
        if line:
            try:
                await response.write(line)
            except ConnectionError:
                return
        task.cancel()


def drop(request: web.Request) -> None:
    """Break the connection: the sender sees a reset instead of a reply."""
    if request.transport is not None:
        request.transport.abort()


def parts(path: str) -> list[str]:
    """Path after group, version and namespace: resource, name, subresource."""
    words = path.strip("/").split("/")
    rest = words[2:] if words[0] == "api" else words[3:]
    return rest[2:] if rest[:1] == ["namespaces"] and len(rest) > 2 else rest


def resource_of(path: str) -> str:
    """Plural name of the kind."""
    return (parts(path) or [""])[0]


def named(path: str) -> bool:
    """The path is of one object."""
    return len(parts(path)) > 1


def signature(request: web.Request, resource: str, body: bytes) -> tuple[str, str]:
    """Service and description of a write. Names of services here hold no "-" and no "."."""
    words = parts(request.path)
    name = words[1] if len(words) > 1 else json.loads(body)["metadata"]["name"]
    service = re.split(r"[-.]", name)[0]
    rest = name.removeprefix(service)
    if resource == "events":
        rest = ""
    elif resource == "pods":
        rest = re.sub(r"^(-\w+).*", r"\1", rest)
    sub = "/".join(["", *words[2:]])
    return service, f"{verb_of(request)} {resource}{sub} {HASH.sub('HASH', rest)}".strip()


def verb_of(request: web.Request) -> str:
    """As the client calls it."""
    if request.method == "PATCH":
        return "apply" if "apply-patch" in request.headers.get("Content-Type", "") else "patch"
    return {"POST": "create", "DELETE": "delete", "PUT": "update"}[request.method]
