"""The HTTP ports of the process: /metrics, /healthz, and /debug/state for loopback only."""

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

log = logging.getLogger(__name__)


@asynccontextmanager
async def serving(
    address: str,
    *,
    metrics_port: int,
    health_port: int,
    scrape: Callable[[], bytes],
    faults: Callable[[], list[str]],
    state: Callable[[], dict[str, Any]],
) -> AsyncIterator[None]:
    """Serve while inside. `faults` names what is dead or stuck; an empty list is health. Port 0 is off."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=scrape(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def healthz(_: web.Request) -> web.Response:
        found = faults()
        return web.json_response({"ok": not found, "faults": found}, status=503 if found else 200)

    async def debug(request: web.Request) -> web.Response:
        if not _is_loopback(request.remote):
            raise web.HTTPForbidden(text="only from the pod itself\n")
        return web.Response(body=orjson.dumps(state(), option=orjson.OPT_INDENT_2), content_type="application/json")

    runners = [
        await _start(address, metrics_port, [web.get("/metrics", metrics)]),
        await _start(address, health_port, [web.get("/healthz", healthz), web.get("/debug/state", debug)]),
    ]
    try:
        yield
    finally:
        await asyncio.gather(*(runner.cleanup() for runner in runners if runner is not None))


async def _start(address: str, port: int, routes: list[web.RouteDef]) -> web.AppRunner | None:
    if port == 0:
        return None
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, address or None, port).start()
    return runner


def _is_loopback(remote: str | None) -> bool:
    try:
        return ipaddress.ip_address(remote or "").is_loopback
    except ValueError:
        return False
