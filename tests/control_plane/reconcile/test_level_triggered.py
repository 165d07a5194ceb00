"""Whatever happens to the children by hand, what was declared is back within two seconds, and nothing is written at rest."""

import json
import time
from collections.abc import Iterator

import pytest
from rag_operator import names

from tests.cluster.fixtures import Cluster

from .harness import Json, Kube, NodeDouble, config_map, rag_service, until

pytestmark = pytest.mark.control_plane
HEALED_SECONDS = 2.0
MAIN = "handbook"
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


@pytest.fixture(scope="module")
def handbook(kube: Kube) -> Iterator[Kube]:
    """A settled service, Ready by the word of the doubles."""
    kube.create("RagService", rag_service(MAIN))
    with NodeDouble(kube, MAIN):
        is_ready(kube)
        yield kube


def is_ready(kube: Kube) -> None:
    """Wait until the main service is Ready; shows its conditions when it does not become so."""
    try:
        until(lambda: kube.condition(MAIN) == ("True", "AllChecksPassed"))
    except AssertionError as error:
        raise AssertionError(json.dumps((kube.get("RagService", MAIN) or {}).get("status"), indent=1)) from error


def calls_of_the_operator(plane: Cluster, offset: int, namespace: str) -> list[tuple[str, str]]:
    """(verb, resource) of its answered requests about the namespace since `offset`, streams apart."""
    found = []
    for event in plane.audit(offset):
        agent, about = event.get("userAgent", ""), event.get("objectRef") or {}
        if agent.startswith("rag-operator") and about.get("namespace") == namespace and event["verb"] != "watch":
            found.append((event["verb"], about.get("resource", "")))
    return found


def test_without_a_node_nothing_is_claimed_to_be_ready(kube: Kube) -> None:
    kube.create("RagService", rag_service("nodeless"))
    until(lambda: len(kube.children("nodeless")) == 10)
    until(lambda: kube.condition("nodeless")[0])
    assert kube.condition("nodeless")[0] == "False"
    assert kube.condition("nodeless", "ReleaseSettled")[0] == "False"
    assert "revision" not in (kube.get("RagService", "nodeless") or {})["status"]
    for secret in ("nodeless-qdrant-key", "nodeless-client-key"):
        assert kube.get("Secret", secret) is not None
    kube.delete("RagService", "nodeless")


def test_ready_with_everything_reported(handbook: Kube) -> None:
    status = (handbook.get("RagService", MAIN) or {})["status"]
    assert (status["revision"], status["prompt"], status["index"], status["api"]) == (1, "answer-v1", "docs-1", "1/1")
    assert status["observedGeneration"] == 1
    assert len(status["conditions"]) == 10


def test_settled_service_costs_no_request(handbook: Kube, plane: Cluster) -> None:
    time.sleep(0.5)
    offset = plane.audit_log.stat().st_size
    time.sleep(4)
    assert calls_of_the_operator(plane, offset, handbook.namespace) == []


def test_foreign_writes_to_a_child_cost_no_write(handbook: Kube, plane: Cluster) -> None:
    offset = plane.audit_log.stat().st_size
    for number in range(5):
        for kind, name in (
            ("Service", names.api(MAIN)),
            ("StatefulSet", names.qdrant(MAIN)),
            ("ConfigMap", names.releases(MAIN)),
        ):
            handbook.patch(kind, name, {"metadata": {"annotations": {"team": str(number)}}})
        time.sleep(0.1)
    time.sleep(0.5)
    calls = calls_of_the_operator(plane, offset, handbook.namespace)
    assert [call for call in calls if call[0] in WRITES] == []


def test_each_deleted_child_is_back(handbook: Kube) -> None:
    slowest = 0.0
    for (kind, name), before in handbook.children(MAIN).items():
        handbook.delete(kind, name)
        uid = before["metadata"]["uid"]

        def back(kind: str = kind, name: str = name, uid: str = uid) -> bool:
            found = handbook.get(kind, name)
            return found is not None and found["metadata"]["uid"] != uid

        slowest = max(slowest, until(back, HEALED_SECONDS))
    assert slowest < HEALED_SECONDS
    is_ready(handbook)


EDITS: list[tuple[str, str, Json]] = [
    ("ConfigMap", "handbook-releases", {"data": {"releases.json": "{}"}}),
    ("ConfigMap", "handbook-releases", {"data": None}),
    ("Service", "handbook-api", {"spec": {"selector": {"app.kubernetes.io/component": "other"}}}),
    ("Service", "handbook-qdrant", {"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}}),
    ("ServiceAccount", "handbook-api", {"automountServiceAccountToken": True}),
    ("Deployment", "handbook-api", {"spec": {"replicas": 4}}),
    ("Deployment", "handbook-api", {"spec": {"template": {"spec": {"automountServiceAccountToken": True}}}}),
    ("Deployment", "handbook-api", {"metadata": {"ownerReferences": None}}),
    ("Deployment", "handbook-api", {"metadata": {"labels": {names.LABEL_SERVICE: None}}}),
    ("StatefulSet", "handbook-qdrant", {"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}}),
    ("StatefulSet", "handbook-qdrant", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}}),
    ("StatefulSet", "handbook-qdrant", {"metadata": {"ownerReferences": None, "labels": None}}),
]


@pytest.mark.parametrize(("kind", "name", "edit"), EDITS)
def test_each_edit_is_undone_and_foreign_fields_stay(handbook: Kube, kind: str, name: str, edit: Json) -> None:
    before = handbook.get(kind, name)
    assert before is not None
    handbook.patch(kind, name, {"metadata": {"annotations": {"team": "theirs"}}})
    edited = handbook.patch(kind, name, edit)
    assert essence(edited) != essence(before)
    took = until(lambda: essence(handbook.get(kind, name) or {}) == essence(before), HEALED_SECONDS)
    assert took < HEALED_SECONDS
    after = handbook.get(kind, name)
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["annotations"]["team"] == "theirs"


def essence(body: Json) -> Json:
    """What was declared of an object, and who owns it."""
    kept = {key: value for key, value in body.items() if key not in {"metadata", "status"}}
    metadata = body.get("metadata", {})
    return {**kept, "labels": metadata.get("labels"), "owners": metadata.get("ownerReferences")}


def test_prompt_edit_is_served_without_touching_a_workload(handbook: Kube) -> None:
    is_ready(handbook)
    before = handbook.get("Deployment", names.api(MAIN))
    assert before is not None
    prompt = {"version": "answer-v2", "system": "Be brief."}
    handbook.patch("RagService", MAIN, {"spec": {"prompt": prompt}})
    until(lambda: ((handbook.get("RagService", MAIN) or {})["status"]).get("revision") == 2)
    is_ready(handbook)
    after = handbook.get("Deployment", names.api(MAIN))
    assert after is not None
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    handbook.patch(
        "RagService", MAIN, {"spec": {"prompt": {"version": "answer-v1", "system": "Answer from the sources."}}}
    )
    until(lambda: ((handbook.get("RagService", MAIN) or {})["status"]).get("revision") == 1)


def test_reused_prompt_version_is_refused_and_the_old_one_serves(handbook: Kube) -> None:
    handbook.patch("RagService", MAIN, {"spec": {"prompt": {"system": "Other words."}}})
    until(lambda: handbook.condition(MAIN, "SpecValid") == ("False", "PromptVersionReused"))
    table = handbook.get("ConfigMap", names.releases(MAIN))
    assert table is not None
    assert "Other words." not in table["data"]["releases.json"]
    handbook.patch("RagService", MAIN, {"spec": {"prompt": {"system": "Answer from the sources."}}})
    is_ready(handbook)


def test_known_text_under_the_name_of_another_is_refused_and_takes_no_name(handbook: Kube) -> None:
    """Half a revert: answer-v1 with the text that answer-v2 had."""
    for number, text in ((2, "Be brief."), (1, "Answer from the sources.")):
        prompt = {"version": f"answer-v{number}", "system": text}
        handbook.patch("RagService", MAIN, {"spec": {"prompt": prompt}})

        def served(wanted: int = number) -> bool:
            return bool((handbook.get("RagService", MAIN) or {})["status"].get("revision") == wanted)

        until(served)
    before = handbook.get("ConfigMap", names.releases(MAIN))
    assert before is not None
    handbook.patch("RagService", MAIN, {"spec": {"prompt": {"version": "answer-v1", "system": "Be brief."}}})
    until(lambda: handbook.condition(MAIN, "SpecValid") == ("False", "PromptVersionReused"))
    table = handbook.get("ConfigMap", names.releases(MAIN))
    assert table is not None
    assert table["data"] == before["data"]
    assert {body["spec"]["number"] for body in handbook.list("RagRevision", MAIN)} == {1, 2}
    handbook.patch("RagService", MAIN, {"spec": {"prompt": {"system": "Answer from the sources."}}})
    is_ready(handbook)


def test_missing_documents_are_named_and_creating_them_heals(kube: Kube) -> None:
    body = rag_service("waiting")
    body["spec"]["index"]["documents"]["configMapRef"]["name"] = "late"
    kube.create("RagService", body)
    until(lambda: kube.condition("waiting", "IndexReady") == ("False", "ConfigMapMissing"))
    assert kube.list("Job", "waiting") == []
    kube.create("ConfigMap", config_map("late"))
    until(lambda: kube.list("Job", "waiting"), 15)
    kube.delete("RagService", "waiting")


def test_somebody_elses_object_is_left_alone(kube: Kube) -> None:
    kube.create("ConfigMap", config_map("taken-releases", mine="yes"))
    kube.create("RagService", rag_service("taken"))
    until(lambda: kube.condition("taken") == ("False", "NameTaken"))
    kept = kube.get("ConfigMap", "taken-releases")
    assert kept is not None
    assert kept["data"] == {"mine": "yes"}
    assert "ownerReferences" not in kept["metadata"]
    kube.delete("ConfigMap", "taken-releases")
    until(lambda: kube.condition("taken")[1] != "NameTaken", 15)
    kube.delete("RagService", "taken")


def test_deletion_takes_everything_but_the_retained_volume(kube: Kube) -> None:
    kube.create("RagService", rag_service("gone"))
    until(lambda: len(kube.children("gone")) == 10)
    until(lambda: kube.list("PersistentVolumeClaim", "gone"))
    kube.delete("RagService", "gone")
    until(lambda: not kube.children("gone"), 30)
    until(lambda: kube.get("Secret", "gone-qdrant-key") is None, 30)
    assert len(kube.list("PersistentVolumeClaim", "gone")) == 1
