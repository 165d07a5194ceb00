"""Asking the pods and reading referenced ConfigMaps: what is asked, what is remembered, what is kept."""

import asyncio
import json
from typing import Any

import pytest
from rag_contract.release_table import ReleaseTable
from rag_operator.api import RagService
from rag_operator.cluster.pods import PodDoor, parse_checks
from rag_operator.cluster.references import References, Referrers
from rag_operator.observed import Pod, pod_of
from rag_operator.runtime.errors import Unreachable

from .world import merged, report, running_pod, service

TABLE = ReleaseTable(service="handbook")
NOT_READY = b'{"error":{},"ready":false,"checks":[{"name":"releases","ok":true},{"name":"api_keys","ok":false,"message":"none"}]}'


class Pods:
    """A double of the pods' HTTP side."""

    def __init__(self) -> None:
        self.time = 0.0
        self.asked: list[tuple[str, str]] = []
        self.ready = NOT_READY
        self.current: bytes | Exception = report(TABLE).to_json().encode()
        self.door = PodDoor(self.fetch, lambda: self.time, remember_seconds=600)

    async def fetch(self, pod: Pod, path: str) -> bytes:
        self.asked.append((pod.name, path))
        if path == "/ready":
            return self.ready
        if isinstance(self.current, Exception):
            raise self.current
        return self.current


def pod(**status: Any) -> Pod:
    return pod_of(merged(running_pod("p", "api"), {"status": status}))


async def test_agreeing_answer_of_a_ready_pod_is_asked_once() -> None:
    pods = Pods()
    for _ in range(3):
        answers = await pods.door.ask([pod()], TABLE.table_hash())
    assert answers["p"].models == report(TABLE)
    assert pods.asked == [("p", "/models/current")]


async def test_pod_of_a_later_release_may_say_more() -> None:
    pods = Pods()
    told = json.loads(report(TABLE).to_json())
    pods.current = json.dumps({**told, "reranker": "none"}).encode()
    pods.ready = (
        b'{"checks":[{"name":"reranker","ok":false},{"name":"releases","ok":false,"message":"none","since":"now"}]}'
    )
    answers = await pods.door.ask([pod(conditions=[])], TABLE.table_hash())
    assert answers["p"].models == report(TABLE)
    assert [check.name for check in answers["p"].checks] == ["releases"]


async def test_answer_is_asked_anew_after_restart_other_table_or_resync() -> None:
    pods = Pods()
    await pods.door.ask([pod()], TABLE.table_hash())
    other = [{"containerID": "c2", "restartCount": 1, "state": {"running": {}}}]
    await pods.door.ask([pod(containerStatuses=other)], TABLE.table_hash())
    await pods.door.ask([pod()], "another table")
    await pods.door.ask([pod()], TABLE.table_hash())
    pods.time = 601
    await pods.door.ask([pod()], TABLE.table_hash())
    assert len(pods.asked) == 5


async def test_ready_pod_that_is_asked_closely_is_soon_asked_again() -> None:
    pods = Pods()
    pods.ready = b'{"checks":[{"name":"model","ok":true,"message":""}]}'
    for pods.time in (0, 20, 40):
        answers = await pods.door.ask([pod()], TABLE.table_hash(), closely=True)
    assert answers["p"].checks == ()
    assert [path for _, path in pods.asked] == ["/models/current", "/ready"] * 2


async def test_ready_pod_for_whose_model_something_stands_in_is_asked_each_time() -> None:
    pods = Pods()
    pods.ready = (
        b'{"checks":[{"name":"vector_store","ok":true},{"name":"model","ok":true,"message":"A fallback answers."}]}'
    )
    for _ in range(2):
        answers = await pods.door.ask([pod()], TABLE.table_hash(), closely=True)
    assert [(check.name, check.ok) for check in answers["p"].checks] == [("model", True)]
    assert [path for _, path in pods.asked] == ["/models/current", "/ready"] * 2


async def test_pod_that_is_no_longer_ready_is_asked_although_it_agreed() -> None:
    pods = Pods()
    await pods.door.ask([pod()], TABLE.table_hash())
    await pods.door.ask([pod(conditions=[{"type": "Ready", "status": "False"}])], TABLE.table_hash())
    assert [path for _, path in pods.asked] == ["/models/current", "/models/current", "/ready"]


async def test_pod_that_is_not_ready_says_which_checks_fail() -> None:
    pods = Pods()
    conditions = [{"type": "Ready", "status": "False"}]
    answers = await pods.door.ask([pod(conditions=conditions)], TABLE.table_hash())
    assert [(check.name, check.message) for check in answers["p"].checks] == [("api_keys", "none")]


@pytest.mark.parametrize("fault", [OSError(), TimeoutError(), Unreachable("no"), b"<html>", b'{"service":1}'])
async def test_silence_and_nonsense_are_no_answer_and_are_not_remembered(fault: bytes | Exception) -> None:
    pods = Pods()
    pods.current = fault
    for _ in range(2):
        answers = await pods.door.ask([pod()], TABLE.table_hash())
    assert answers["p"].models is None
    assert answers["p"].error
    assert len(pods.asked) == 2


@pytest.mark.parametrize("status", [{"podIP": ""}, {"containerStatuses": []}])
async def test_pod_that_does_not_run_is_not_asked(status: dict[str, Any]) -> None:
    pods = Pods()
    assert await pods.door.ask([pod(**status)], "") == {}
    assert pods.asked == []


@pytest.mark.parametrize("body", [b"", b"[]", b'{"checks":3}', b'{"checks":[{"name":"x"}]}'])
def test_unknown_readiness_answer_has_no_checks(body: bytes) -> None:
    assert parse_checks(body) == ()


class Maps:
    """A double of the API server's ConfigMaps, and of the cache of their versions."""

    def __init__(self) -> None:
        self.reads = 0
        self.stored: dict[str, Any] = {}
        self.version = 7
        self.put({"data": {"a.md": "A", "secret": "s"}})
        self.references = References(self.known, self.get)

    def put(self, content: dict[str, Any], uid: str = "u") -> None:
        self.version += 1
        self.stored["documents"] = {"metadata": {"uid": uid, "resourceVersion": str(self.version)}, **content}

    def known(self, namespace: str, name: str) -> Any:
        found = self.stored.get(name)
        return found and {"metadata": found["metadata"]}

    async def get(self, namespace: str, name: str) -> Any:
        self.reads += 1
        await asyncio.sleep(0)
        return self.stored.get(name)


def svc(**spec: Any) -> RagService:
    return RagService.model_validate(service(**spec))


async def test_each_version_is_read_once_however_many_services_name_it() -> None:
    maps = Maps()
    first = await asyncio.gather(*(maps.references.of(svc()) for _ in range(5)))
    assert 1 == maps.reads
    maps.put({"data": {"a.md": "B"}})
    second = await maps.references.of(svc())
    assert 2 == maps.reads
    assert first[0]["documents"].content_hash != second["documents"].content_hash


async def test_one_that_was_read_newer_than_the_cache_knows_is_not_read_again() -> None:
    maps = Maps()
    await maps.references.of(svc())
    maps.stored["documents"]["metadata"]["resourceVersion"] = "3"
    await maps.references.of(svc())
    assert 1 == maps.reads


async def test_another_one_of_the_same_name_and_version_is_read() -> None:
    maps = Maps()
    await maps.references.of(svc())
    maps.version -= 1
    maps.put({"data": {"a.md": "B"}}, uid="other")
    await maps.references.of(svc())
    assert 2 == maps.reads


async def test_missing_reference_costs_no_read_and_is_found_when_it_comes() -> None:
    maps = Maps()
    maps.stored = {}
    assert not (await maps.references.of(svc()))["documents"].found
    assert 0 == maps.reads
    maps.put({})
    assert (await maps.references.of(svc()))["documents"].found


async def test_one_that_went_while_it_was_read_is_missing() -> None:
    maps = Maps()
    maps.references = References(lambda namespace, name: {"metadata": {"uid": "u", "resourceVersion": "1"}}, maps.get)
    maps.stored = {}
    assert not (await maps.references.of(svc()))["documents"].found


async def test_one_that_is_cached_whole_is_not_read() -> None:
    maps = Maps()
    maps.references = References(lambda namespace, name: maps.stored[name], maps.get)
    assert 2 == (await maps.references.of(svc()))["documents"].size
    assert 0 == maps.reads


async def test_a_text_that_nobody_asked_for_before_is_read_too() -> None:
    maps = Maps()
    await maps.references.of(svc())
    for _ in range(2):
        found = (await maps.references.of(svc(**PROMPT)))["documents"]
        await maps.references.of(svc())
    assert {"a.md": "A"} == found.texts
    assert 2 == maps.reads


PROMPT = {"prompt": {"version": "v", "system": None, "configMapRef": {"name": "documents", "key": "a.md"}}}


async def test_only_used_texts_are_kept() -> None:
    maps = Maps()
    found = (await maps.references.of(svc(**PROMPT)))["documents"]
    assert found.texts == {"a.md": "A"}
    assert found.size == 2


@pytest.mark.parametrize(
    "other",
    [
        {"data": {"a.md": "A", "secret": "t"}},
        {"data": {"a.md": "A"}, "binaryData": {"secret": "s"}},
        {"data": {"a.md": "As", "ecret": "s"}},
        {"data": {"a.mdA": "", "secret": "s"}},
    ],
)
async def test_content_hash_tells_contents_apart(other: dict[str, Any]) -> None:
    one, two = Maps(), Maps()
    two.put(other)
    a, b = await one.references.of(svc()), await two.references.of(svc())
    assert a["documents"].content_hash != b["documents"].content_hash


def named(prompt: str | None, documents: str | None) -> dict[str, Any]:
    references = [name and {"name": name} for name in (prompt, documents)]
    spec = {"prompt": {"configMapRef": references[0]}, "index": {"documents": {"configMapRef": references[1]}}}
    return {"spec": spec}


def test_services_are_found_by_the_config_maps_that_they_name() -> None:
    referrers, one, two = Referrers(), ("team", "one"), ("team", "two")
    referrers.put(one, named("texts", "documents"))
    referrers.put(two, named(None, "documents"))
    assert (one, two) == referrers.of("team", "documents")
    assert () == referrers.of("other", "documents")
    referrers.put(one, named("texts", None))
    assert ((two,), (one,)) == (referrers.of("team", "documents"), referrers.of("team", "texts"))
    referrers.put(one, None)
    referrers.put(two, None)
    assert ((), ()) == (referrers.of("team", "documents"), referrers.of("team", "texts"))
    assert ({}, {}) == (referrers._named, referrers._by_map)
