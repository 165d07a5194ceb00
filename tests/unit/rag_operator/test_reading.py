"""Asking the pods and reading referenced ConfigMaps: what is asked, what is remembered, what is kept."""

from typing import Any

import pytest
from rag_contract.release_table import ReleaseTable
from rag_operator.api import RagService
from rag_operator.cluster.pods import PodDoor, parse_checks
from rag_operator.cluster.references import References
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
        self.current: bytes | Exception = report(TABLE).to_json().encode()
        self.door = PodDoor(self.fetch, lambda: self.time, remember_seconds=600)

    async def fetch(self, pod: Pod, path: str) -> bytes:
        self.asked.append((pod.name, path))
        if path == "/ready":
            return NOT_READY
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
    """A double of the API server's ConfigMaps."""

    def __init__(self) -> None:
        self.time = 0.0
        self.reads = 0
        self.stored: dict[str, Any] = {"documents": {"data": {"a.md": "A", "secret": "s"}}}
        self.references = References(self.get, lambda: self.time)

    async def get(self, namespace: str, name: str) -> Any:
        self.reads += 1
        return self.stored.get(name)


def svc(**spec: Any) -> RagService:
    return RagService.model_validate(service(**spec))


async def test_reference_is_read_once_for_a_while() -> None:
    maps = Maps()
    first = await maps.references.of(svc())
    assert await maps.references.of(svc()) == first
    assert maps.reads == 1
    maps.time = 11
    await maps.references.of(svc())
    assert maps.reads == 2


async def test_missing_reference_is_asked_for_every_time() -> None:
    maps = Maps()
    maps.stored = {}
    assert not (await maps.references.of(svc()))["documents"].found
    maps.stored = {"documents": {}}
    assert (await maps.references.of(svc()))["documents"].found


async def test_only_used_texts_are_kept() -> None:
    maps = Maps()
    prompt = {"prompt": {"version": "v", "system": None, "configMapRef": {"name": "documents", "key": "a.md"}}}
    found = (await maps.references.of(svc(**prompt)))["documents"]
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
    two.stored = {"documents": other}
    a, b = await one.references.of(svc()), await two.references.of(svc())
    assert a["documents"].content_hash != b["documents"].content_hash
