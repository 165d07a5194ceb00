"""OpenAPI for all routes, the hot ones included, and a page of it that needs no script and nothing from elsewhere."""

import html
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse

from ..schemas import Citation, DoneEvent, ErrorBody, ErrorDetail, MetaEvent, QueryAnswer, QueryRequest, TokenEvent

_REF = "#/components/schemas/{name}"
_STREAM = (
    "Server-Sent Events: `meta` (MetaEvent) first, then `token` (TokenEvent) and `citation` (Citation), and exactly one "
    "of `done` (DoneEvent) or `error` (ErrorDetail) last. Lines that begin with a colon keep the connection alive."
)
_ERRORS = {
    "401": "No API key, or one that is not known",
    "403": "Not this key's tenant or roles",
    "413": "More than 64 KiB",
    "415": "Not application/json",
    "422": "The body does not fit the schema",
    "429": "Too many requests of this key on this pod; Retry-After",
    "502": "The vector store or the model answered wrongly",
    "503": "Not ready, no free slot, or being stopped; Retry-After",
    "504": "A timeout",
}


def add(app: FastAPI) -> None:
    """Give the application its OpenAPI document and `/docs`."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(
            _page(openapi()), headers={"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
        )


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    models = [QueryRequest, QueryAnswer, MetaEvent, TokenEvent, Citation, DoneEvent, ErrorBody, ErrorDetail]
    _, schemas = msgspec.json.schema_components(models, ref_template=_REF)
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    }
    answer = {"application/json": {"schema": {"$ref": _REF.format(name="QueryAnswer")}}}
    events = {"text/event-stream": {"schema": {"type": "string"}}}
    document["paths"]["/query"] = {
        "post": _operation("query", "Ask a question", "The answer with its citations", answer)
    }
    document["paths"]["/query/stream"] = {
        "post": _operation("query_stream", "Ask, and read as it is made", _STREAM, events)
    }
    return document


def _operation(name: str, summary: str, description: str, content: dict[str, Any]) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": _REF.format(name="ErrorBody")}}}
    request = {"application/json": {"schema": {"$ref": _REF.format(name="QueryRequest")}}}
    headers = [
        {"name": "x-trace-id", "in": "header", "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{8,64}$"}},
        {"name": "x-session-id", "in": "header", "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:@-]{1,128}$"}},
    ]
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["query"],
        "security": [{"bearer": []}, {"key": []}],
        "parameters": headers,
        "requestBody": {"required": True, "content": request},
        "responses": {
            "200": {"description": description, "content": content},
            **{status: {"description": text, "content": error} for status, text in _ERRORS.items()},
        },
    }


def _page(document: dict[str, Any]) -> str:
    """The routes as a table; the schemas are one link away."""
    rows = [
        f"<tr><td><code>{html.escape(method.upper())} {html.escape(path)}</code></td>"
        f"<td>{html.escape(operation.get('summary', ''))}</td>"
        f"<td>{html.escape(', '.join(sorted(operation['responses'])))}</td></tr>"
        for path, methods in sorted(document["paths"].items())
        for method, operation in methods.items()
    ]
    title = html.escape(f"{document['info']['title']} {document['info']['version']}")
    style = "body{font:16px sans-serif;margin:2em}td{padding:.3em 1em .3em 0;vertical-align:top}"
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{style}</style>"
        f"<h1>{title}</h1><table>{''.join(rows)}</table>"
        '<p>Everything in detail: <a href="/openapi.json">openapi.json</a></p></html>'
    )
