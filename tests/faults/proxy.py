"""A proxy between one operator and a real API server that goes wrong when it is told to. For tests only; loopback only.

    operator --plain HTTP--> FaultProxy --TLS, as the administrator--> API server

It sees every request, so it can fail exactly one: `Rule` says which write, `Fault` what happens to it. Watches can be cut, held
back, delayed and answered with anything (`WatchFault`), their events swallowed or torn (`StreamFault`); pages of LISTs can be made
small and their tokens expire. What can go wrong is in `plans.py`.
"""

import asyncio
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from tests.cluster.fixtures import Cluster

from .naming import named, resource_of, signature
from .plans import NOT_SENT, REFUSALS, Fault, Rule, StreamFault, WatchFault, Write

KEPT_HEADERS = ("Content-Type", "User-Agent", "Accept", "Accept-Encoding")
ANSWER_HEADERS = ("Content-Type", "Retry-After")


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
    stream_faults: list[StreamFault] = field(default_factory=list)
    late: float = 0.0
    """Seconds by which every event of every watch comes late."""
    page_limit: int = 0
    """Items of a page of a LIST, whatever was asked; 0: as asked."""
    expiring: int = 0
    """So many of the next requests for a further page are answered by 410."""
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

    def statuses(self, service: str) -> list[Any]:
        """Every status that was written for one service, oldest first."""
        told = [w for w in self.sent(service) if w.what == "apply ragservices/status" and w.status == 200]
        return [json.loads(write.body)["status"] for write in told]

    def made(self, service: str) -> Counter[str]:
        """Creations, deletions and rewritten Secrets that the API server carried out, by object."""
        counts: Counter[str] = Counter()
        for write in self.sent(service):
            verb, _, rest = write.what.partition(" ")
            if write.status == 201 and verb != "try" and not rest.startswith("events"):
                counts[f"created {rest}"] += 1
            if write.status == 200 and rest.startswith("secrets"):
                counts[f"rewrote {rest}"] += 1
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
                metadata = {"name": request.path.rpartition("/")[2], "uid": "odd", "resourceVersion": "7"}
                return web.json_response({"metadata": metadata, "data": 7})
            if self.expiring and "continue" in request.query:
                self.expiring -= 1
                return web.json_response({"kind": "Status", "code": 410, "reason": "Expired"}, status=410)
            return (await self._forward(request, b""))[0]
        self.arrived.append(time.monotonic())
        body = await request.read()
        service, what = signature(request, resource, body)
        rule = next((r for r in self.rules if not r.done and r.meets(service, what)), None)
        if rule is not None:
            rule.taken, rule.at = rule.taken + 1, time.monotonic()
        if rule is not None and rule.fault in NOT_SENT:
            self.writes.append(Write(service, what, 0, body))
            return await self._refuse(request, rule.fault)
        if rule is not None and rule.fault is Fault.OVERTAKEN:
            await asyncio.to_thread(rule.meanwhile)
        response, status = await self._forward(request, body)
        self.writes.append(Write(service, what, status, body))
        if rule is None:
            return response
        rule.answer = status
        if rule.fault is Fault.OVERTAKEN:
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
        url = (
            request.url.with_scheme("https").with_host("127.0.0.1").with_port(self.cluster.control_plane.plane.api_port)
        )
        if self.page_limit and "limit" in request.query:
            url = url.update_query(limit=self.page_limit)
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
        resource = resource_of(request.path)
        lines: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        writer = asyncio.create_task(self._write_when_due(lines, response))
        try:
            async with self._session.get(self.cluster.server + request.path_qs, headers=headers) as answer:
                async for line in whole_lines(answer.content):
                    if writer.done():
                        break
                    if spoilt := self._spoilt(line, resource):
                        lines.put_nowait((time.monotonic() + self.late, spoilt))
            lines.put_nowait((0.0, b""))
            await writer
        except (ConnectionError, aiohttp.ClientError):
            return  # one of the two ends is gone, and so is this stream
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _write_when_due(self, lines: "asyncio.Queue[tuple[float, bytes]]", response: web.StreamResponse) -> None:
        """Until an empty line, which is the end."""
        while True:
            due, line = await lines.get()
            if not line:
                return
            await asyncio.sleep(due - time.monotonic())
            await response.write(line)

    def _spoilt(self, line: bytes, resource: str) -> bytes:
        """A line of a watch as the operator gets it."""
        fault = next((f for f in self.stream_faults if f.taken < f.count and f.resource == resource), None)
        if fault is None or line.startswith(b'{"type":"BOOKMARK"'):
            return line
        fault.taken += 1
        return line[: len(line) // 2] + b"\n" if fault.torn else b""

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


async def whole_lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length, with their ends."""
    pending = b""
    async for chunk in stream.iter_any():
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
