"""kopf as a host, against a small double of the API server: what it sees is told on, and its exits end nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from rag_operator.handlers import KopfHost
from rag_operator.runtime.backoff import Backoff
from rag_operator.runtime.login import Login, Token

from .waiting import eventually

GROUP = "/apis/ragserving.dev/v1alpha1"
SERVICE = {
    "apiVersion": "ragserving.dev/v1alpha1",
    "kind": "RagService",
    "metadata": {"namespace": "team", "name": "handbook", "uid": "u", "resourceVersion": "7"},
    "spec": {},
}


class Double:
    """Discovery, LIST and WATCH of RagServices; nothing can be written. `faults` is what the next watches do."""

    def __init__(self) -> None:
        self.torn = 0
        self.watches = 0
        self.writes: list[str] = []
        self.streams: list[web.StreamResponse] = []
        self.app = web.Application(middlewares=[self._count])
        self.app.router.add_get("/api", self._api)
        self.app.router.add_get("/api/v1", self._core)
        self.app.router.add_get("/apis", self._groups)
        self.app.router.add_get(GROUP, self._resources)
        for scope in ("", "/namespaces/team"):
            self.app.router.add_get(f"{GROUP}{scope}/ragservices", self._services)

    @web.middleware
    async def _count(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.method != "GET":
            self.writes.append(f"{request.method} {request.path}")
        response: web.StreamResponse = await handler(request)
        return response

    async def _api(self, _: web.Request) -> web.Response:
        return web.json_response({"versions": ["v1"]})

    async def _core(self, _: web.Request) -> web.Response:
        """kopf waits until it knows what a namespace is, though it reads none."""
        spaces = {"name": "namespaces", "singularName": "namespace", "kind": "Namespace", "namespaced": False}
        return web.json_response({"resources": [{**spaces, "verbs": ["list", "watch"]}]})

    async def _groups(self, _: web.Request) -> web.Response:
        version = {"groupVersion": "ragserving.dev/v1alpha1", "version": "v1alpha1"}
        group = {"name": "ragserving.dev", "versions": [version], "preferredVersion": version}
        return web.json_response({"groups": [group]})

    async def _resources(self, _: web.Request) -> web.Response:
        services = {
            "name": "ragservices",
            "singularName": "ragservice",
            "kind": "RagService",
            "namespaced": True,
            "verbs": ["list", "watch", "patch"],
        }
        return web.json_response({"resources": [services]})

    async def _services(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response({"metadata": {"resourceVersion": "9"}, "items": [SERVICE]})
        self.watches += 1
        response = web.StreamResponse()
        await response.prepare(request)
        if self.torn:
            self.torn -= 1
            await response.write(b'{"type": "MODIF\n')
            return response
        self.streams.append(response)
        await asyncio.sleep(30)
        return response

    async def send(self, change: str, version: int) -> None:
        """One event to the open watch."""
        obj = {**SERVICE, "metadata": {**SERVICE["metadata"], "resourceVersion": str(version)}}  # type: ignore[dict-item]
        await self.streams[-1].write(json.dumps({"type": change, "object": obj}).encode() + b"\n")


class Stage:
    """The double, the host, and what it told."""

    def __init__(self, double: Double, login: Login, namespace: str) -> None:
        self.double = double
        self.seen: list[tuple[tuple[str, str], int]] = []
        self.exits: list[bool] = []
        backoff = Backoff(first=0.01, cap=0.02)
        self.host = KopfHost(
            login,
            namespace,
            lambda key, version: self.seen.append((key, version)),
            self.exits.append,
            backoff=backoff,
            max_exits=2,
        )


@asynccontextmanager
async def stage(torn: int = 0, namespace: str = "") -> AsyncIterator[Stage]:
    double = Double()
    double.torn = torn
    async with TestServer(double.app, shutdown_timeout=0.1) as server:
        login = Login(server=str(server.make_url("")).rstrip("/"), tls=None, token=Token(lambda: None))
        it = Stage(double, login, namespace)
        it.host.start()
        try:
            yield it
        finally:
            await it.host.stop(10)
            assert not it.host.alive


async def test_events_are_told_on_and_nothing_is_written() -> None:
    async with stage() as it:
        key = ("team", "handbook")
        await eventually([(key, 7)], lambda: it.seen)
        await eventually(1, lambda: len(it.double.streams))
        await it.double.send("MODIFIED", 10)
        await it.double.send("DELETED", 11)
        await eventually([(key, 7), (key, 10), (key, 11)], lambda: it.seen)
    assert [] == it.double.writes
    assert [] == it.exits, "an orderly stop is no exit"


async def test_a_single_namespace_is_enough() -> None:
    async with stage(namespace="team") as it:
        await eventually([(("team", "handbook"), 7)], lambda: it.seen)


async def test_kopf_that_a_torn_line_ended_is_started_again_until_that_has_happened_too_often() -> None:
    """One test for both, because kopf takes five seconds to end."""
    async with stage(torn=1) as it:
        await eventually([False], lambda: it.exits, 15)
        await eventually(1, lambda: len(it.double.streams))
        it.seen.clear()
        await it.double.send("MODIFIED", 12)
        await eventually([(("team", "handbook"), 12)], lambda: it.seen)
        await it.double.streams[-1].write(b'{"type": "MODIF\n')
        await eventually([False, True], lambda: it.exits, 15)
        assert 2 == it.double.watches
