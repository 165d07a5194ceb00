"""Every refusal has our body, the right status, and nothing in it that is not the client's business."""

import asyncio
import itertools
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from rag_api.app import Seams
from rag_api.generator import Piece

from .doubles import Handler, Script, answering, found, source
from .doubles import store as store_double
from .harness import JSON, KEY, Folder, revision, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

AUTHORISED = {"authorization": f"Bearer {KEY}"}
CANARY = "canary-in-the-upstream-answer"


@pytest.mark.parametrize("path", ["/query", "/query/stream"])
@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("", "malformed"),
        ("{", "malformed"),
        ("[]", "object"),
        ("null", "object"),
        ("{}", "question"),
        ('{"question": ""}', "question"),
        ('{"question": 5}', "question"),
        ('{"question": null}', "question"),
        ('{"question": "%s"}' % ("x" * 2001), "question"),
        ('{"question": "\\ud800"}', "malformed"),
        ('{"question": "x", "top_k": 0}', "top_k"),
        ('{"question": "x", "top_k": 21}', "top_k"),
        ('{"question": "x", "top_k": 1.5}', "top_k"),
        ('{"question": "x", "top_k": "3"}', "top_k"),
        ('{"question": "x", "top_k": true}', "top_k"),
        ('{"question": "x", "max_output_tokens": 15}', "max_output_tokens"),
        ('{"question": "x", "max_output_tokens": 2049}', "max_output_tokens"),
        ('{"question": "x", "include_trace": 1}', "include_trace"),
        ('{"question": "x", "session": "has space"}', "session"),
        ('{"question": "x", "session": ""}', "session"),
        ('{"question": "x", "collection": "other"}', "collection"),
        ('{"question": "x", "filter": {}}', "filter"),
        ('{"question": "x", "user_roles": [""]}', "user_roles"),
        ("[" * 30_000, "malformed"),
    ],
)
async def test_a_body_that_does_not_fit_is_422(bodies: Any, path: str, body: str, word: str) -> None:
    answer = await bodies.send("POST", path, data=body.encode(), headers=AUTHORISED | JSON)
    assert (422, "VALIDATION_ERROR", False) == (answer.status, answer.code, answer.json["error"]["retryable"])
    message = answer.json["error"]["message"]
    assert word in message.lower() or word == "malformed"
    assert len(message) <= 200


@pytest.mark.parametrize(
    ("method", "path", "arguments", "status", "code"),
    [
        ("POST", "/query", {"data": b"{}", "headers": JSON}, 401, "UNAUTHORIZED"),
        ("POST", "/query", {"data": b"{}", "headers": JSON | {"x-api-key": "wrong"}}, 401, "UNAUTHORIZED"),
        ("POST", "/query", {"data": b"{}", "headers": JSON | {"authorization": KEY}}, 401, "UNAUTHORIZED"),
        ("POST", "/query", {"data": b"{}", "headers": JSON | {"authorization": "Bearer "}}, 401, "UNAUTHORIZED"),
        ("POST", "/query", {"data": b"{}", "headers": JSON | {"authorization": f"Basic {KEY}"}}, 401, "UNAUTHORIZED"),
        ("POST", "/query", {"json": {"question": "x", "tenant_id": "other"}, "headers": AUTHORISED}, 403, "FORBIDDEN"),
        ("POST", "/query", {"json": {"question": "x", "user_roles": ["hr"]}, "headers": AUTHORISED}, 403, "FORBIDDEN"),
        ("POST", "/query", {"json": {"question": " \u200b\u202e "}, "headers": AUTHORISED}, 400, "BAD_REQUEST"),
        ("GET", "/query", {"headers": AUTHORISED}, 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/query/stream", {"headers": AUTHORISED}, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/health", {}, 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/", {}, 404, "NOT_FOUND"),
        ("GET", "/query/", {}, 404, "NOT_FOUND"),
        ("GET", "/redoc", {}, 404, "NOT_FOUND"),
        ("POST", "/query", {"data": b"{}", "headers": AUTHORISED | {"content-type": "text/plain"}}, 415, ""),
        ("POST", "/query", {"data": b"x" * 65_537, "headers": AUTHORISED | JSON}, 413, "PAYLOAD_TOO_LARGE"),
        ("POST", "/query/stream", {"data": b"x" * 65_537, "headers": AUTHORISED | JSON}, 413, "PAYLOAD_TOO_LARGE"),
    ],
)
async def test_what_is_refused_before_work_is_done(
    *, bodies: Any, method: str, path: str, arguments: dict[str, Any], status: int, code: str
) -> None:
    answer = await bodies.send(method, path, **arguments)
    assert (status, code or "UNSUPPORTED_MEDIA_TYPE") == (answer.status, answer.code)
    error = answer.json["error"]
    assert {"code", "message", "trace_id", "retryable"} == set(error)
    assert error["trace_id"] == answer.headers["x-trace-id"]
    if status == 405:
        assert answer.headers["allow"]
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_the_tenant_and_roles_may_be_repeated_where_they_are_right(bodies: Any) -> None:
    answer = await bodies.ask("Is text here?", tenant_id="default", user_roles=[])
    assert answer.status == 200


async def test_a_chunked_body_is_bounded_too(bodies: Any) -> None:
    async def endless() -> Any:
        for _ in range(80):
            yield b"x" * 1024

    answer = await bodies.send("POST", "/query", data=endless(), headers=AUTHORISED | JSON)
    assert (413, "PAYLOAD_TOO_LARGE") == (answer.status, answer.code)


async def _garbage(_request: web.Request) -> web.Response:
    return web.Response(body=b"\xff{" + CANARY.encode(), content_type="application/json")


async def _cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-length": "1000"})
    await response.prepare(request)
    await response.write(CANARY.encode())
    assert request.transport is not None
    request.transport.close()
    return response


async def _redirect(_request: web.Request) -> web.Response:
    raise web.HTTPFound("http://127.0.0.1:9/elsewhere")


async def _endless(request: web.Request) -> web.StreamResponse:
    """A body whose length is not said. Its end would be far off."""
    response = web.StreamResponse()
    await response.prepare(request)
    with suppress(ConnectionError):
        for _ in range(200):
            await response.write(b" " * 65_536)
        await response.write(b'{"result": {"points": []}}')
    return response


def _refusing(status: int) -> Handler:
    async def handler(_request: web.Request) -> web.Response:
        return web.json_response({"status": {"error": CANARY}}, status=status)

    return handler


@pytest.mark.parametrize(
    ("handler", "status", "code"),
    [
        (_refusing(500), 502, "UPSTREAM_ERROR"),
        (_refusing(401), 502, "UPSTREAM_ERROR"),
        (_refusing(403), 502, "UPSTREAM_ERROR"),
        (_refusing(400), 502, "UPSTREAM_ERROR"),
        (_refusing(429), 502, "UPSTREAM_RATE_LIMITED"),
        (_refusing(404), 503, "NOT_READY"),
        (_garbage, 502, "UPSTREAM_ERROR"),
        (_cut, 502, "UPSTREAM_ERROR"),
        (_redirect, 502, "UPSTREAM_ERROR"),
        (answering({"document_id": CANARY}), 502, "UPSTREAM_ERROR"),
        (answering(source(CANARY, tenant="somebody-else")), 502, "UPSTREAM_ERROR"),
        (answering(source(CANARY, roles=["board"])), 502, "UPSTREAM_ERROR"),
        (answering(source(CANARY, roles=[])), 502, "UPSTREAM_ERROR"),
        (_endless, 502, "UPSTREAM_ERROR"),
    ],
)
async def test_what_the_store_does_wrong(
    folder: Folder, tmp_path: Path, handler: Handler, status: int, code: str
) -> None:
    folder.serve(revision())
    async with store_double(handler) as url, serving(tmp_path, url) as api:
        answer = await api.ask("Anything?")
        assert (status, code, True) == (answer.status, answer.code, answer.json["error"]["retryable"])
        assert CANARY not in answer.body.decode()
        assert await api.metric("rag_upstream_failures_total") >= 1


async def test_a_store_that_is_not_there(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision())
    async with serving(tmp_path, "http://127.0.0.1:9") as api:
        answer = await api.ask("Anything?")
    assert (502, "UPSTREAM_ERROR") == (answer.status, answer.code)


async def test_a_pooled_connection_that_died_is_asked_once_more(folder: Folder, tmp_path: Path) -> None:
    calls = 0

    async def dies_once(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        if calls == 2:
            assert request.transport is not None
            request.transport.close()
        return web.json_response(found(source("Anything goes.")))

    folder.serve(revision())
    async with store_double(dies_once) as url, serving(tmp_path, url) as api:
        assert [200, 200] == [(await api.ask("Anything?")).status for _ in range(2)]
    assert calls == 3


@pytest.mark.parametrize(
    ("seams", "steps", "slow_store", "code"),
    [
        ({"retrieval_timeout": 0.1}, (), True, "RETRIEVAL_TIMEOUT"),
        ({"request_timeout": 0.1}, (), True, "RETRIEVAL_TIMEOUT"),
        ({"request_timeout": 0.1}, ("text", ...), False, "MODEL_TIMEOUT"),
    ],
)
async def test_timeouts_are_504(
    *, folder: Folder, tmp_path: Path, seams: dict[str, Any], steps: tuple[Any, ...], slow_store: bool, code: str
) -> None:
    async def slow(_request: web.Request) -> web.Response:
        await asyncio.sleep(1 if slow_store else 0)
        return web.json_response(found(source("text")))

    folder.serve(revision())
    made = Seams(generators={"Extractive": Script(*steps)}, **seams)
    async with store_double(slow) as url, serving(tmp_path, url, seams=made) as api:
        answer = await api.ask("Anything?")
        assert (504, code, True) == (answer.status, answer.code, answer.json["error"]["retryable"])
        assert await api.until_idle()


async def test_a_bug_is_500_and_its_text_stays_here(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision())
    seams = Seams(generators={"Extractive": Script(RuntimeError(CANARY))})
    async with store_double(answering(source("text"))) as url, serving(tmp_path, url, seams=seams) as api:
        answer = await api.ask("Anything?")
    assert (500, "INTERNAL_ERROR", False) == (answer.status, answer.code, answer.json["error"]["retryable"])
    assert CANARY not in answer.body.decode()


async def test_more_requests_than_slots_are_shed(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision())
    free = asyncio.Event()
    seams = Seams(generators={"Extractive": Script(free, Piece("done", "stop"))})
    limits: dict[str, Any] = {"max_concurrent_requests": 2, "queue_timeout_milliseconds": 50}
    async with store_double(answering(source("x"))) as url, serving(tmp_path, url, seams=seams, **limits) as api:
        asked = [asyncio.create_task(api.ask("Anything?")) for _ in range(6)]
        shed = [await each for each in itertools.islice(asyncio.as_completed(asked), 4)]
        free.set()
        answers = await asyncio.gather(*asked)
        assert [200] * 2 + [503] * 4 == sorted(answer.status for answer in answers)
        assert {"CONCURRENCY_LIMIT"} == {answer.code for answer in shed}
        assert {"1"} == {answer.headers["retry-after"] for answer in shed}
        assert (await api.ask("Anything?")).status == 200


async def test_a_key_over_its_rate_waits(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision())
    async with store_double(answering()) as url, serving(tmp_path, url, requests_per_minute=2) as api:
        answers = [await api.ask("Anything?") for _ in range(3)]
        limited = await api.metric("rag_rate_limited_total")
    assert [200, 200, 429] == [answer.status for answer in answers]
    assert answers[2].code == "RATE_LIMITED"
    assert 1 <= int(answers[2].headers["retry-after"]) <= 31
    assert answers[2].headers["ratelimit"].startswith('"key";r=0;')
    assert limited == 1
