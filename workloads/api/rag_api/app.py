"""Puts the application together. Upstreams are opened and closed by the lifespan; tests bring their own seams."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from .admission import Admission
from .auth import Authenticator, KeyTable, Open
from .collections_check import Collections
from .drain import Drain
from .errors import BY_STATUS, ApiError, BadRequest, InternalError
from .generator import Generator
from .generator.extractive import Extractive
from .heartbeat import QUIET_SECONDS, Heartbeats
from .limits import RateLimit, Slots
from .middleware import Gateway
from .pipeline import Pipeline
from .readiness import Readiness
from .releases import ReleaseStore
from .retriever import Qdrant
from .routes import documentation, service
from .routes.query import QueryRoutes
from .settings import Settings
from .telemetry import LOG, Metrics

WATCH_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Seams:
    """What a test may bring in place of the real thing. Times are in seconds."""

    generators: Mapping[str, Generator] = field(default_factory=lambda: {"Extractive": Extractive()})
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    clock: Callable[[], float] = time.perf_counter
    retrieval_timeout: float = 10.0
    request_timeout: float | None = None
    stream_timeout: float | None = None
    quiet: float = QUIET_SECONDS


class Application:
    """The ASGI application, and what its host needs to stop it well."""

    def __init__(self, settings: Settings, seams: Seams) -> None:
        environment = settings.environment
        self.metrics = metrics = Metrics()
        self.drain = Drain(seams.clock)
        self._authenticator: Authenticator = (
            Open() if environment.auth_mode == "None" else KeyTable(Path(environment.keys_path))
        )
        self._releases = ReleaseStore(
            Path(environment.releases_path), environment.service, settings.version, seams.now, metrics.table_read
        )
        self._qdrant = Qdrant(environment.qdrant_url, settings.qdrant_api_key, seams.retrieval_timeout, metrics)
        self._heartbeats = Heartbeats(seams.clock, seams.quiet)
        collections = Collections(self._qdrant)
        readiness = Readiness(
            releases=self._releases,
            authenticator=self._authenticator,
            qdrant=self._qdrant,
            collections=collections,
            drain=self.drain,
            clock=seams.clock,
        )
        admission = Admission(
            self._authenticator,
            RateLimit(environment.requests_per_minute, seams.clock),
            Slots(environment.max_concurrent_requests, environment.queue_timeout_milliseconds / 1000),
            metrics,
        )
        routes = QueryRoutes(
            Pipeline(self._releases, self._qdrant, collections, seams.generators, metrics),
            admission,
            self._heartbeats,
            metrics,
            seams.request_timeout or environment.request_timeout_seconds,
            seams.stream_timeout or environment.stream_timeout_seconds,
        )
        slow = _slow(settings, self._lifespan)
        service.add(slow, settings, self._releases, readiness, metrics)
        documentation.add(slow)
        hot = {"/query": routes.query, "/query/stream": routes.stream}
        self._gateway = Gateway(slow, hot, admission, self.drain, metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        await self._gateway(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        self._refresh()
        await self._qdrant.open()
        tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._heartbeats.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await self._qdrant.close()

    async def _watch(self) -> None:
        """Look at the mounted files ten times a second: two `stat` calls."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                self._refresh()
            except Exception:
                LOG.exception({"event": "bug", "where": "watching the mounted files"})

    def _refresh(self) -> None:
        self._authenticator.refresh()
        before = self._releases.loaded
        if self._releases.refresh() and self._releases.loaded:
            now = self._releases.loaded
            self.metrics.serve(before.table.revisions if before else (), now.table.revisions)
            LOG.info({"event": "releases", "table_hash": now.hash, "revisions": len(now.table.revisions)})


def create_app(settings: Settings, seams: Seams | None = None) -> Application:
    """The application for these settings. Opens nothing before its lifespan starts."""
    return Application(settings, seams or Seams())


def _slow(settings: Settings, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> FastAPI:
    app = FastAPI(
        title="RAG API",
        version=settings.version,
        summary="Answers with checked citations from one index.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Its spans and logs would hold the text of exceptions; our own telemetry is in `telemetry`.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
        lifespan=lifespan,
    )

    async def as_ours(request: Request, error: Exception) -> Response:
        return _shaped(request, error)

    app.add_exception_handler(HTTPException, as_ours)
    app.add_exception_handler(Exception, as_ours)
    return app


def _shaped(request: Request, error: Exception) -> Response:
    """The framework's own errors in our body."""
    ours: ApiError = InternalError("Something went wrong. The log has more under the trace id.")
    headers: dict[str, str] = {}
    if isinstance(error, HTTPException):
        ours = BY_STATUS.get(error.status_code, BadRequest)(f"{error.detail}.")
        headers = dict(error.headers or {})
    body = ours.body(request.state.trace_id)
    return Response(body, ours.status, headers, media_type="application/json")
