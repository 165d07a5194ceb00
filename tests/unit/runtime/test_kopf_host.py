"""kopf as a host, against a small double of the API server: what it sees is told on, and its exits end nothing else."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
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


PATIENCE = 60.0
"""kopf takes five seconds to end, and much longer on a busy machine."""
TORN = b'{"type": "MODIF\n'


def error(code: int) -> dict[str, Any]:
    """A Status as the API server sends it."""
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "ByTheDouble"}


def told(code: int) -> bytes:
    """An ERROR event in a watch."""
    return json.dumps({"type": "ERROR", "object": error(code)}).encode() + b"\n"


class Double:
    """Discovery, LIST and WATCH of RagServices; nothing can be written. `faults` is what the next watches do: end with an HTTP
    status, or after a line."""

    def __init__(self, *faults: int | bytes) -> None:
        self.faults = list(faults)
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
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, int):
            return web.json_response(error(fault), status=fault)
        response = web.StreamResponse()
        await response.prepare(request)
        if fault is not None:
            await response.write(fault)
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
        self.exits: list[float] = []
        backoff = Backoff(first=0.01, cap=0.02)
        self.host = KopfHost(
            login,
            namespace,
            lambda key, version: self.seen.append((key, version)),
            lambda: self.exits.append(time.monotonic()),
            backoff=backoff,
            many_exits=2,
        )


@asynccontextmanager
async def stage(*faults: int | bytes, namespace: str = "") -> AsyncIterator[Stage]:
    double = Double(*faults)
    async with TestServer(double.app, shutdown_timeout=0.1) as server:
        login = Login(server=str(server.make_url("")).rstrip("/"), tls=None, token=Token(lambda: None))
        it = Stage(double, login, namespace)
        it.host.start()
        try:
            yield it
        finally:
            await it.host.stop(60)
            assert not it.host.alive


async def test_events_are_told_on_and_nothing_is_written() -> None:
    async with stage() as it:
        key = ("team", "handbook")
        await eventually([(key, 7)], lambda: it.seen, PATIENCE)
        await eventually(1, lambda: len(it.double.streams), PATIENCE)
        await it.double.send("MODIFIED", 10)
        await it.double.send("DELETED", 11)
        await eventually([(key, 7), (key, 10), (key, 11)], lambda: it.seen, PATIENCE)
    assert [] == it.double.writes
    assert [] == it.exits, "an orderly stop is no exit"
    assert [] == it.host.faults(), "and no fault"


async def test_a_single_namespace_is_enough() -> None:
    async with stage(namespace="team") as it:
        await eventually([(("team", "handbook"), 7)], lambda: it.seen, PATIENCE)


async def test_kopf_is_started_again_however_often_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    async with stage(TORN) as it:
        await eventually(1, lambda: len(it.exits), PATIENCE)
        await eventually(1, lambda: len(it.double.streams), PATIENCE)
        await it.double.streams[-1].write(TORN)
        await eventually(2, lambda: len(it.exits), PATIENCE)
        await eventually(2, lambda: len(it.double.streams), PATIENCE)
        it.seen.clear()
        await it.double.send("MODIFIED", 12)
        await eventually([(("team", "handbook"), 12)], lambda: it.seen, PATIENCE)
        assert [] == it.host.faults()
    ours = [record for record in caplog.records if record.name == "rag_operator.handlers"]
    assert 1 == len([record for record in ours if record.levelno == logging.ERROR])


FAULTS: list[int | bytes] = [*map(told, (403, 429, 504)), 401, 404, 410]


async def test_no_answer_to_a_watch_makes_kopf_blind() -> None:
    """All at the same time, because kopf takes five seconds to end."""

    async def survives(fault: int | bytes) -> None:
        async with stage(fault) as it:
            await eventually(1, lambda: len(it.double.streams), PATIENCE)
            await it.double.send("MODIFIED", 12)
            await eventually((("team", "handbook"), 12), lambda: it.seen[-1] if it.seen else None, PATIENCE)
            assert not it.double.faults
            assert [] == it.host.faults()

    await asyncio.gather(*map(survives, FAULTS))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_supervision_that_ended_is_a_fault() -> None:
    class Mortal(Backoff):
        """A pause that no loop survives."""

        def next(self) -> float:
            raise ZeroDivisionError

    async with TestServer(Double(TORN).app, shutdown_timeout=0.1) as server:
        login = Login(server=str(server.make_url("")).rstrip("/"), tls=None, token=Token(lambda: None))
        host = KopfHost(login, "", lambda key, version: None, lambda: None, backoff=Mortal())
        assert [] == host.faults(), "it has not been started yet"
        host.start()
        await eventually(["kopf is not started again any more"], host.faults, PATIENCE)
