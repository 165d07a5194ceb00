"""The slow routes: health, readiness, what is served, the build, metrics. FastAPI documents them."""

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from rag_contract.reports import ModelsCurrent, ReadyReport

from ..errors import NotReady
from ..readiness import Readiness
from ..releases import ReleaseStore
from ..settings import Settings
from ..telemetry import Metrics

_JSON = "application/json"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


def add(app: FastAPI, settings: Settings, releases: ReleaseStore, readiness: Readiness, metrics: Metrics) -> None:
    """Put the routes on the application."""
    environment = settings.environment

    @app.get("/health", tags=["service"], summary="The process answers")
    async def health() -> JSONResponse:
        return JSONResponse({"status": "ok", "service": environment.service, "version": settings.version})

    @app.get(
        "/ready",
        tags=["service"],
        summary="Whether requests may be sent here, check by check",
        response_model=ReadyReport,
        responses={503: {"description": "The error body, with the checks beside it"}},
    )
    async def ready(request: Request) -> Response:
        report = await readiness.report()
        if report.ready:
            return Response(report.to_json(), media_type=_JSON)
        wrong = ", ".join(check.name for check in report.checks if not check.ok)
        error = NotReady(f"Not ready: {wrong}.", retry_after=1)
        checks = [check.model_dump(by_alias=True) for check in report.checks]
        body = error.body(request.state.trace_id, ready=False, checks=checks)
        return Response(body, error.status, {"retry-after": "1"}, media_type=_JSON)

    @app.get("/models/current", tags=["service"], summary="The revisions that are served", response_model=ModelsCurrent)
    async def models_current() -> Response:
        return Response(releases.report().to_json(), media_type=_JSON)

    @app.get("/version", tags=["service"], summary="The build and its settings")
    async def version() -> JSONResponse:
        return JSONResponse(
            {
                "version": settings.version,
                "commit": settings.commit,
                "rate_limit_scope": "pod",
                "settings": environment.model_dump(mode="json"),
            }
        )

    @app.get("/metrics", tags=["service"], summary="Prometheus metrics")
    async def prometheus() -> Response:
        return Response(metrics.render(), media_type=_METRICS)
