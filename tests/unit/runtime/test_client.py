"""What the client sends, and what it makes of answers, over real sockets."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from rag_operator.runtime.client import ApiError, Client, NotLeading, Unreachable
from rag_operator.runtime.kinds import ALL, CONFIG_MAP, LEASE, NAMESPACE, RAG_SERVICE, kind_of
from rag_operator.runtime.login import Login, Token

from .server_double import COLLECTION, ServerDouble, running, status

MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "team", "name": "a"}, "data": {"k": "v"}}


@pytest.fixture
async def server() -> AsyncIterator[tuple[ServerDouble, Login]]:
    async with running() as (double, login):
        double.put("a", "stored")
        yield double, login


@pytest.fixture
async def client(server: tuple[ServerDouble, Login]) -> AsyncIterator[Client]:
    async with Client(server[1]) as made:
        yield made


@pytest.fixture
def double(server: tuple[ServerDouble, Login]) -> ServerDouble:
    return server[0]


async def test_apply_is_a_forced_server_side_apply(client: Client, double: ServerDouble) -> None:
    stored = await client.apply(MAP)
    _, verb, path, query, body, headers = double.seen[-1]
    assert ("PATCH", f"{COLLECTION}/a") == (verb, path)
    assert {"fieldManager": "rag-operator", "force": "true"} == query
    assert "application/apply-patch+yaml" == headers["Content-Type"]
    assert MAP == body
    assert {"value": "stored"} == stored["data"]
    assert {("ConfigMap", "apply"): 1} == client.writes


async def test_delete_names_the_very_object(client: Client, double: ServerDouble) -> None:
    await client.delete(CONFIG_MAP, "team", "a", uid="u", resource_version="7")
    body = double.seen[-1][4]
    assert {"uid": "u", "resourceVersion": "7"} == body["preconditions"]
    assert "Background" == body["propagationPolicy"]


async def test_deleting_what_is_gone_is_success(client: Client) -> None:
    await client.delete(CONFIG_MAP, "team", "nobody", uid="u", resource_version=None)


@pytest.mark.parametrize(
    ("code", "reason", "truth"),
    [
        (404, "NotFound", "is_not_found"),
        (409, "Conflict", "is_conflict"),
        (409, "AlreadyExists", "is_already_exists"),
        (410, "Expired", "is_gone"),
    ],
)
async def test_refusals_are_told_apart(
    client: Client, double: ServerDouble, code: int, reason: str, truth: str
) -> None:
    double.answers.append(status(code, reason))
    with pytest.raises(ApiError) as caught:
        await client.apply(MAP)
    truths = {
        name for name in ("is_not_found", "is_conflict", "is_already_exists", "is_gone") if getattr(caught.value, name)
    }
    assert {truth} == truths
    assert reason == caught.value.reason
    assert not client.writes


async def test_429_is_waited_out_by_all_requests(client: Client, double: ServerDouble) -> None:
    double.answers.append(status(429, "TooManyRequests", {"Retry-After": "1"}))
    first = asyncio.create_task(client.apply(MAP))
    await asyncio.sleep(0.1)
    await asyncio.gather(first, *(client.get(f"{COLLECTION}/a") for _ in range(5)))
    refused, *later = [entry[0] for entry in double.seen]
    assert 6 == len(later)
    assert min(later) - refused >= 1.0


async def test_endless_429_becomes_an_error(client: Client, double: ServerDouble) -> None:
    double.answers.extend(status(429, "TooManyRequests", {"Retry-After": "0"}) for _ in range(9))
    with pytest.raises(ApiError) as caught:
        await client.apply(MAP)
    assert 429 == caught.value.status
    assert 5 == len(double.seen)


async def test_the_lease_neither_waits_nor_repeats(client: Client, double: ServerDouble) -> None:
    double.answers.append(status(429, "TooManyRequests", {"Retry-After": "9"}))
    with pytest.raises(ApiError):
        await client.get(LEASE.path("team", "x"), urgent=True)
    assert 1 == len(double.seen)


async def test_a_request_that_hangs_ends(server: tuple[ServerDouble, Login]) -> None:
    double, login = server
    double.answers.append(10.0)
    began = asyncio.get_running_loop().time()
    async with Client(login, request_seconds=0.3) as client:
        with pytest.raises(Unreachable):
            await client.apply(MAP)
        assert asyncio.get_running_loop().time() - began < 5


@pytest.mark.parametrize("text", ["", "{", "[]", "<html>"])
async def test_a_torn_answer_is_no_answer(client: Client, double: ServerDouble, text: str) -> None:
    double.answers.append(web.Response(text=text))
    with pytest.raises(Unreachable):
        await client.get(f"{COLLECTION}/a")


async def test_nobody_listens() -> None:
    login = Login(server="http://127.0.0.1:9", tls=None, token=Token(lambda: None))
    async with Client(login) as client:
        with pytest.raises(Unreachable):
            await client.get("/api")


async def test_writes_stop_with_the_lead_and_reads_go_on(client: Client, double: ServerDouble) -> None:
    leads = True
    client.write_only_while(lambda: leads)
    await client.apply(MAP)
    leads = False
    with pytest.raises(NotLeading):
        await client.apply(MAP)
    with pytest.raises(NotLeading):
        await client.delete(CONFIG_MAP, "team", "a", uid="u", resource_version=None)
    await client.get(f"{COLLECTION}/a")
    assert ["PATCH", "GET"] == [entry[1] for entry in double.seen]


async def test_a_rotated_token_is_read_again_and_the_request_repeated(server: tuple[ServerDouble, Login]) -> None:
    double, login = server
    tokens = iter(["Bearer old", "Bearer new"])
    async with Client(dataclasses.replace(login, token=Token(lambda: next(tokens)))) as client:
        double.answers.append(status(401, "Unauthorized"))
        await client.apply(MAP)
    assert ["Bearer old", "Bearer new"] == [entry[5]["Authorization"] for entry in double.seen]
    assert [MAP, MAP] == [entry[4] for entry in double.seen]


async def test_a_token_that_stays_wrong_is_refused(server: tuple[ServerDouble, Login]) -> None:
    double, login = server
    async with Client(dataclasses.replace(login, token=Token(lambda: "Bearer x"))) as client:
        double.answers.append(status(401, "Unauthorized"))
        with pytest.raises(ApiError) as caught:
            await client.get(f"{COLLECTION}/a")
    assert 401 == caught.value.status


async def test_a_slow_token_source_does_not_hold_the_loop() -> None:
    token = Token(lambda: "Bearer slow", slow=True)
    assert "Bearer slow" == await token.header()


async def test_a_pod_answers_through_the_proxy_whatever_its_status(client: Client, double: ServerDouble) -> None:
    double.answers.append(web.json_response({"ready": False}, status=503))
    assert b'{"ready": false}' == await client.get_bytes(f"{COLLECTION}/a")
    double.answers.append(status(403, "Forbidden"))
    with pytest.raises(ApiError):
        await client.get_bytes(f"{COLLECTION}/a")


async def test_every_request_is_told_with_its_outcome(server: tuple[ServerDouble, Login]) -> None:
    double, login = server
    told: list[tuple[str, str, int]] = []
    async with Client(login, on_request=lambda *facts: told.append(facts)) as client:
        await client.apply(MAP)
        double.answers.append(status(409, "Conflict"))
        with pytest.raises(ApiError):
            await client.apply(MAP)
    assert [("apply", "ConfigMap", 200), ("apply", "ConfigMap", 409)] == told


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (CONFIG_MAP.path(), "/api/v1/configmaps"),
        (CONFIG_MAP.path("team", "a"), "/api/v1/namespaces/team/configmaps/a"),
        (RAG_SERVICE.path("team", "a", "status"), "/apis/ragserving.dev/v1alpha1/namespaces/team/ragservices/a/status"),
        (NAMESPACE.path(None, "team"), "/api/v1/namespaces/team"),
        (CONFIG_MAP.path("team", "../secrets/x"), "/api/v1/namespaces/team/configmaps/..%2Fsecrets%2Fx"),
    ],
)
def test_paths(path: str, expected: str) -> None:
    assert expected == path


def test_each_kind_is_found_by_a_body() -> None:
    assert list(ALL) == [kind_of({"apiVersion": kind.api_version, "kind": kind.kind}) for kind in ALL]
    with pytest.raises(KeyError):
        kind_of({"apiVersion": "v1", "kind": "Binding"})


async def test_a_watch_that_ends_inside_a_line_is_broken(client: Client, double: ServerDouble) -> None:
    async def half(_: ServerDouble, response: web.StreamResponse) -> None:
        await response.write(b'{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "2"}}}\n{"type": "MODI')

    double.watch_faults.append(half)
    seen: list[str] = []

    async def watch() -> None:
        async for event in client.watch(CONFIG_MAP, "team", resource_version="1"):
            seen.append(event["type"])  # noqa: PERF401 (what came before the break counts)

    with pytest.raises(Unreachable):
        await watch()
    assert ["BOOKMARK"] == seen
