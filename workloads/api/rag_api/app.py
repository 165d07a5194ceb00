"""Puts the application together. Upstreams are opened and closed by the lifespan; tests bring their own seams."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI, Request, Response
from rag_contract.environment import ApiEnvironment
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from .admission import Admission
from .auth import Authenticator, KeyTable, Open
from .collections_check import Collections
from .drain import Drain
from .embedder import Embedder
from .errors import BY_STATUS, ApiError, BadRequest, InternalError
from .generator import Generator
from .generator.chain import Chain
from .generator.extractive import Extractive
from .generator.openai import OpenAI, Patience
from .heartbeat import QUIET_SECONDS, Heartbeats
from .limits import RateLimit, Slots
from .middleware import Gateway
from .model_check import ModelCheck
from .model_keys import ModelKeys
from .pipeline import Pipeline
from .readiness import Readiness
from .releases import ReleaseStore
from .retriever import Qdrant
from .routes import documentation, service
from .routes.query import QueryRoutes
from .servers import Servers
from .settings import Settings
from .smoke import Smoke
from .spans import UNTRACED, Sending, Tracer
from .telemetry import LOG, Metrics

WATCH_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Seams:
    """What a test may bring in place of the real thing. Times are in seconds."""

    generators: Mapping[str, Generator] = field(default_factory=dict)
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    clock: Callable[[], float] = time.perf_counter
    retrieval_timeout: float = 10.0
    embedding_timeout: float = 5.0
    patience: Patience | None = None
    request_timeout: float | None = None
    stream_timeout: float | None = None
    quiet: float = QUIET_SECONDS
    sending: Sending = field(default_factory=Sending)


class Application:
    """The ASGI application, and what its host needs to stop it well."""

    def __init__(self, settings: Settings, seams: Seams) -> None:
        environment = settings.environment
        self.metrics = metrics = Metrics()
        self.drain = Drain(seams.clock)
        self._authenticator: Authenticator = (
            Open() if environment.auth_mode == "None" else KeyTable(Path(environment.keys_path))
        )
        model_keys = ModelKeys(Path(environment.model_keys_path))
        self._releases = ReleaseStore(
            Path(environment.releases_path),
            service=environment.service,
            version=settings.version,
            keys=model_keys,
            now=seams.now,
            read=metrics.table_read,
        )
        self._servers = Servers(model_keys, seams.clock)
        self._qdrant = Qdrant(environment.qdrant_url, settings.qdrant_api_key, seams.retrieval_timeout, metrics)
        self._heartbeats = Heartbeats(seams.clock, seams.quiet)
        collections = Collections(self._qdrant)
        embedder = Embedder(self._servers, seams.embedding_timeout, metrics)
        generator = Chain(_generators(environment, seams, self._servers, metrics), metrics)
        self._smoke = Smoke(self._qdrant, embedder, generator)
        readiness = Readiness(
            releases=self._releases,
            authenticator=self._authenticator,
            qdrant=self._qdrant,
            collections=collections,
            models=ModelCheck(self._servers, seams.clock),
            smoke=self._smoke,
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
            Pipeline(
                releases=self._releases,
                qdrant=self._qdrant,
                collections=collections,
                embedder=embedder,
                generator=generator,
                metrics=metrics,
            ),
            admission,
            self._heartbeats,
            metrics,
            seams.request_timeout or environment.request_timeout_seconds,
            seams.stream_timeout or environment.stream_timeout_seconds,
        )
        slow = _slow(settings, self._lifespan)
        service.add(slow, settings, self._releases, readiness, metrics)
        documentation.add(slow)
        self._tracer = _tracer(settings, seams, metrics)
        hot = {"/query": routes.query, "/query/stream": routes.stream}
        self._gateway = Gateway(slow, hot, admission, self.drain, metrics, tracer=self._tracer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        await self._gateway(scope, receive, send)

    @property
    def table_hash(self) -> str:
        """Hash of the release table in force, empty before the first."""
        return self._releases.loaded.hash if self._releases.loaded else ""

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        self._refresh()
        await self._qdrant.open()
        await self._servers.open()
        self._tracer.open()
        tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._heartbeats.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await self._smoke.close()
            await self._servers.close()
            await self._qdrant.close()
            await self._tracer.close()

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


def _generators(environment: ApiEnvironment, seams: Seams, servers: Servers, metrics: Metrics) -> dict[str, Generator]:
    """One per runtime; a runtime that is a server of ours or of somebody else is the same to the API."""
    patience = seams.patience or Patience(environment.first_token_timeout_seconds, environment.token_timeout_seconds)
    server = OpenAI(servers, patience, metrics)
    return {"Extractive": Extractive(), "VLLM": server, "External": server, **seams.generators}


def _tracer(settings: Settings, seams: Seams, metrics: Metrics) -> Tracer:
    environment = settings.environment
    if environment.tracing_endpoint is None:
        return UNTRACED
    # 10 MiB and some tenths of a second that an API without a collector does not pay.
    from .tracing import Collector, Otlp  # noqa: PLC0415

    whose = {"rag.service": environment.service, "rag.namespace": environment.tracing_namespace or ""}
    resource = {
        **whose,
        "service.name": environment.service,
        "service.namespace": environment.tracing_namespace or "",
        "service.version": settings.version,
        "service.instance.id": socket.gethostname(),
    }
    collector = Collector(
        environment.tracing_endpoint,
        environment.tracing_sample_ratio or 0.0,
        bool(environment.tracing_trust_parent),
        resource,
        whose,
        seams.sending,
    )
    return Otlp(collector, metrics.spans_told)


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
