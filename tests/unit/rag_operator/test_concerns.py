"""Which services a change concerns, and which changes come first."""

from typing import Any

import pytest
from rag_operator import names
from rag_operator.cluster.concerns import Concerns
from rag_operator.cluster.watched import USER_CONFIG_MAPS, version_only

from .world import KEY, NAMESPACE, merged, running_pod, service

Json = dict[str, Any]


class CacheDouble:
    """Holds what it is given."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Json] = {}

    def get(self, namespace: str, name: str) -> Json | None:
        return self.objects.get((namespace, name))

    def by_owner_key(self, owner: str) -> list[Json]:
        return []

    def absorb(self, obj: Json, *, quiet: bool = False) -> None:
        """Nobody asks for it."""


@pytest.fixture
def caches() -> dict[str, CacheDouble]:
    return {kind: CacheDouble() for kind in ("RagService", "Pod", "ConfigMap", USER_CONFIG_MAPS)}


@pytest.fixture
def concerns(caches: dict[str, CacheDouble]) -> Concerns:
    return Concerns(caches)


def child(kind: str = "Deployment", **metadata: Any) -> Json:
    base = {
        "namespace": NAMESPACE,
        "name": "handbook-api",
        "uid": "u",
        "resourceVersion": "1",
        "generation": 1,
        "labels": names.labels("handbook", "api"),
        "managedFields": [{"manager": names.FIELD_MANAGER, "fieldsV1": {"f:spec": {}}}],
    }
    return {"kind": kind, "metadata": base | metadata}


def pod() -> Json:
    return {"kind": "Pod", **running_pod("handbook-api-0", "api")}


def config_map(version: int) -> Json:
    metadata = {"namespace": NAMESPACE, "name": "documents", "uid": "d", "resourceVersion": str(version)}
    return version_only({"metadata": metadata, "data": {"a": "b"}})


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 2},
        {"managedFields": []},
        {"labels": {names.LABEL_SERVICE: "handbook"}},
        {"ownerReferences": []},
        {"deletionTimestamp": "now"},
        {"uid": "other"},
    ],
    ids=str,
)
def test_hands_on_a_child_are_urgent(concerns: Concerns, change: Json) -> None:
    assert {KEY: True} == concerns.of(child(), child(**change))


def test_a_child_that_goes_or_comes_is_urgent(concerns: Concerns) -> None:
    assert {KEY: True} == concerns.of(child(), None)
    assert {KEY: True} == concerns.of(None, child())


def test_an_edit_of_a_release_table_is_urgent(concerns: Concerns) -> None:
    assert {KEY: True} == concerns.of(child("ConfigMap"), child("ConfigMap", resourceVersion="2"))


@pytest.mark.parametrize(("ready", "urgent"), [("True", True), ("False", False), (None, False)])
def test_what_follows_is_urgent_only_while_the_status_says_ready(
    concerns: Concerns, caches: dict[str, CacheDouble], ready: str | None, urgent: bool
) -> None:
    conditions = [{"type": "Ready", "status": ready}] if ready else []
    caches["RagService"].objects[KEY] = {**service(), "status": {"conditions": conditions}}
    assert {KEY: urgent} == concerns.of(child(), child(resourceVersion="2", annotations={"by": "controller"}))
    assert {KEY: urgent} == concerns.of(None, pod())


def test_an_edit_of_the_spec_is_urgent_and_a_status_is_not(concerns: Concerns) -> None:
    body = service()
    assert {KEY: True} == concerns.of(None, body)
    assert {KEY: True} == concerns.of(body, merged(body, {"metadata": {"generation": 2}}))
    assert {KEY: False} == concerns.of(body, {**body, "status": {"conditions": []}})


def test_a_child_that_changes_hands_concerns_both(concerns: Concerns) -> None:
    other = child(labels=names.labels("other", "api"))
    assert {KEY: True, (NAMESPACE, "other"): True} == concerns.of(child(), other)


def test_a_config_map_of_a_user_is_urgent_for_whoever_names_it(concerns: Concerns) -> None:
    assert {} == concerns.of(None, config_map(1))
    concerns.of(None, service())
    assert {KEY: True} == concerns.of(config_map(1), config_map(2))
    assert {KEY: True} == concerns.of(config_map(2), None)
    concerns.of(service(), None)
    assert {} == concerns.of(None, config_map(3))


def test_a_warning_concerns_the_service_of_what_it_is_about(concerns: Concerns, caches: dict[str, CacheDouble]) -> None:
    about = {"kind": "Pod", "namespace": NAMESPACE, "name": "handbook-api-0", "uid": "u"}
    event: Json = {"kind": "Event", "metadata": {"namespace": NAMESPACE, "name": "e"}, "regarding": about}
    assert {} == concerns.of(None, event)
    caches["Pod"].objects[NAMESPACE, "handbook-api-0"] = pod()
    assert {KEY: False} == concerns.of(None, event)
    assert {} == concerns.of(None, {"kind": "Event", "metadata": event["metadata"]})
