"""Plain requests to a stand-in, without a client library in between."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.qdrant_standin.fixture import Standin


def send(
    server: Standin,
    method: str,
    path: str,
    body: Any = None,
    key: str | None = None,
) -> tuple[int, Any]:
    """Status and answer, parsed when it is JSON. `body` is bytes, or what becomes JSON; `key` None is the server's own, and
    one that starts with `Bearer ` goes the other way that Qdrant knows.
    """
    raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json"}
    if shown := server.api_key if key is None else key:
        sent["Authorization" if shown.startswith("Bearer ") else "api-key"] = shown
    request = Request(server.url + path, data=raw, headers=sent, method=method)
    try:
        with urlopen(request, timeout=20) as answer:
            return answer.status, _read(answer.headers.get_content_type(), answer.read())
    except HTTPError as error:
        with error:
            return error.code, _read(error.headers.get_content_type(), error.read())


def _read(content_type: str, raw: bytes) -> Any:
    return json.loads(raw) if content_type == "application/json" else raw.decode()


def result(server: Standin, method: str, path: str, body: Any = None) -> Any:
    """The result of a request that must succeed."""
    status, answer = send(server, method, path, body)
    assert status == 200, answer
    return answer["result"]


def fill(server: Standin, name: str, points: list[dict[str, Any]], **config: Any) -> None:
    """A collection with the sparse vector `text`, a tenant index and points."""
    result(server, "PUT", f"/collections/{name}", {"sparse_vectors": {"text": {"modifier": "idf"}}} | config)
    tenant = {"field_name": "tenant", "field_schema": {"type": "keyword", "is_tenant": True}}
    result(server, "PUT", f"/collections/{name}/index?wait=true", tenant)
    result(server, "PUT", f"/collections/{name}/points?wait=true", {"points": points})


def point(key: int | str, indices: list[int], values: list[float], **payload: Any) -> dict[str, Any]:
    """A point with a sparse vector."""
    return {"id": key, "vector": {"text": {"indices": indices, "values": values}}, "payload": payload}


def error_of(answer: Any) -> str:
    """The message of an error answer."""
    message: str = answer["status"]["error"]
    return message
