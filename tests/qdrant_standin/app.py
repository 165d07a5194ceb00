"""The HTTP application: keys, bodies, errors and the routes."""

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

from . import routes_collections, routes_points, routes_query, routes_service, routes_snapshots
from .call import Access, Call, Route, parse
from .catalog import Catalog
from .errors import ApiError
from .settings import NAME, Settings

ROUTES: list[Route] = [
    *routes_service.ROUTES,
    *routes_collections.ROUTES,
    *routes_points.ROUTES,
    *routes_query.ROUTES,
    *routes_snapshots.ROUTES,
]
FLUSH_SECONDS = 5.0  # Qdrant's default flush interval
_log = logging.getLogger(NAME)
WebHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _shown_key(request: web.Request) -> str:
    bearer = request.headers.get("Authorization", "")
    return request.headers.get("api-key") or (bearer[7:] if bearer.startswith("Bearer ") else "")


def _same(given: str, expected: str) -> bool:
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())


def _refusal(request: web.Request, access: Access, settings: Settings) -> web.Response | None:
    """401 or 403, None when the caller may."""
    if access is Access.OPEN or not settings.needs_key:
        return None
    given = _shown_key(request)
    if not given:
        return web.Response(status=401, text="Must provide an API key or an Authorization bearer token")
    if _same(given, settings.api_key):
        return None
    if not _same(given, settings.read_only_api_key):
        return web.Response(status=401, text="Invalid API key or JWT")
    if access is Access.WRITE:
        raise ApiError(403, "Forbidden: Global manage access is required")
    return None


def _web_handler(route: Route, catalog: Catalog, settings: Settings) -> WebHandler:
    async def handler(request: web.Request) -> web.StreamResponse:
        start = time.perf_counter()
        status, answer = 200, {}
        try:
            if refusal := _refusal(request, route.access, settings):
                return refusal
            multipart = request.content_type.startswith("multipart/")
            body = {} if multipart else parse(await request.read())
            result = await route.handler(Call(request, body, catalog, settings))
            if isinstance(result, web.StreamResponse):
                return result
            answer = {"result": result, "status": "ok"}
        except ApiError as error:
            status, answer = error.status, {"status": {"error": error.message}}
        except web.HTTPException:
            raise
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            # A body of the wrong shape, seen where it was used; Qdrant's reader would have refused it at the door.
            _log.info("%s: refused a body: %r", NAME, error, exc_info=True)
            status, answer = 400, {"status": {"error": f"Format error in JSON body: {error!r}"}}
        return _json(status, answer, time.perf_counter() - start)

    return handler


def _json(status: int, answer: dict[str, Any], seconds: float) -> web.Response:
    return web.json_response(answer | {"time": round(seconds, 9)}, status=status)


async def _flush_now_and_then(catalog: Catalog) -> AsyncIterator[None]:
    async def run() -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await asyncio.to_thread(catalog.flush)

    task = asyncio.create_task(run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await asyncio.to_thread(catalog.close)


def create_app(settings: Settings) -> web.Application:
    """Opens the storage folder and returns the application; the folder is flushed and closed with it."""
    settings.snapshots.mkdir(parents=True, exist_ok=True)  # at the start, as Qdrant does: a wrong path shows at once
    catalog = Catalog(settings.storage)
    app = web.Application(client_max_size=settings.max_request_bytes)

    async def life(_app: web.Application) -> AsyncIterator[None]:
        async for _ in _flush_now_and_then(catalog):
            yield

    app.cleanup_ctx.append(life)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, _web_handler(route, catalog, settings))
    return app
