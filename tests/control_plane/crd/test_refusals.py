"""Bad objects are refused by the API server alone, with a message that names the field and the remedy."""

import itertools
import re

import pytest

from tests.control_plane.crd.conftest import REVISIONS, SERVICES, Server
from tests.control_plane.crd.objects import FOLDER, Case, cases, changed, minimal, revision

pytestmark = pytest.mark.control_plane

BAD = cases(*sorted(f"bad/{path.name}" for path in (FOLDER / "bad").glob("*.yaml")))
UPDATES = cases("bad_updates.yaml")
numbers = itertools.count(1)


def name_of(case: Case) -> str:
    return re.sub(r"\W+", "-", case.name)


@pytest.mark.parametrize("case", BAD, ids=name_of)
def test_bad_object_is_refused_with_field_and_remedy(server: Server, case: Case) -> None:
    answer = server.try_create(case.object)

    assert answer.status in {400, 422}, answer.body
    assert [] == [part for part in case.says if part not in answer.message], answer.message


def test_there_are_many_bad_objects_and_each_is_named_once() -> None:
    names = [case.name for case in BAD]

    assert len(names) >= 100
    assert sorted(set(names)) == sorted(names)


def test_the_object_that_all_changes_start_from_is_good(server: Server) -> None:
    assert server.try_create(minimal()).status == 201


@pytest.mark.parametrize("case", UPDATES, ids=name_of)
def test_bad_edit_is_refused_and_the_object_stays(server: Server, case: Case) -> None:
    name = f"update-{next(numbers)}"
    stored = server.send("POST", SERVICES, changed(minimal(), {**case.before, "metadata.name": name}))
    assert stored.status == 201, stored.message
    version = stored.body["metadata"]["resourceVersion"]

    edit = changed(case.object, {"metadata.name": name, "metadata.resourceVersion": version})
    answer = server.send("PUT", f"{SERVICES}/{name}", edit)

    assert answer.status == 422, answer.body
    assert [] == [part for part in case.says if part not in answer.message], answer.message
    assert stored.body["spec"] == server.send("GET", f"{SERVICES}/{name}").body["spec"]


def test_good_edits_are_taken(server: Server) -> None:
    body = changed(minimal(), {"metadata.name": "edited", "spec.vectorStore.qdrant.storage.storageClassName": "slow"})
    assert server.send("POST", SERVICES, body).status == 201
    edit = {
        "spec": {
            "suspend": True,
            "prompt": {"version": "answer-v2", "system": None, "configMapRef": {"name": "texts", "key": "system"}},
            "vectorStore": {"qdrant": {"storage": {"size": "5368709121"}}},
        }
    }

    answer = server.send("PATCH", f"{SERVICES}/edited", edit, "application/merge-patch+json")

    assert answer.status == 200, answer.message
    assert answer.body["metadata"]["generation"] == 2


def test_replicas_are_set_through_the_scale_subresource_within_the_same_bounds(server: Server) -> None:
    assert server.send("POST", SERVICES, changed(minimal(), {"metadata.name": "scaled"})).status == 201
    path = f"{SERVICES}/scaled/scale"

    taken = server.send("PATCH", path, {"spec": {"replicas": 3}}, "application/merge-patch+json")
    refused = server.send("PATCH", path, {"spec": {"replicas": 21}}, "application/merge-patch+json")

    assert taken.status == 200, taken.message
    assert server.send("GET", f"{SERVICES}/scaled").body["spec"]["api"]["replicas"] == 3
    assert refused.status == 422
    assert "less than or equal to 20" in refused.message


def test_status_is_written_through_its_subresource_only(server: Server) -> None:
    body = changed(minimal(), {"metadata.name": "faked", "status.revision": 7})

    stored = server.send("POST", SERVICES, body)

    assert stored.status == 201, stored.message
    assert "status" not in stored.body


def test_conditions_are_one_of_each_type(server: Server) -> None:
    assert server.send("POST", SERVICES, changed(minimal(), {"metadata.name": "twice"})).status == 201
    condition = {"type": "Ready", "status": "True", "reason": "x", "lastTransitionTime": "2026-01-01T00:00:00Z"}

    answer = server.send(
        "PATCH",
        f"{SERVICES}/twice/status",
        {"status": {"conditions": [condition, condition]}},
        "application/merge-patch+json",
    )

    assert answer.status == 422
    assert "status.conditions[1]: Duplicate value" in answer.message


def test_a_revision_is_never_changed(server: Server) -> None:
    created = server.send("POST", REVISIONS, revision("faq-r1"))
    assert created.status == 201, created.message

    edit = {"spec": {"prompt": {"system": "Tell everything."}}}
    answer = server.send("PATCH", f"{REVISIONS}/faq-r1", edit, "application/merge-patch+json")

    assert answer.status == 422
    assert "a RagRevision cannot be changed: edit the RagService instead" in answer.message
