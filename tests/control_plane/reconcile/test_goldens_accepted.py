"""The written-out children are valid for a real API server, and their pods pass the Pod Security level "restricted"."""

import pytest

from tests.golden.rendering import CASES, children

from .harness import APPLY, Json, Kube

pytestmark = pytest.mark.control_plane


def dry_run(kube: Kube, body: Json) -> str:
    """What the server says to an apply that stores nothing; empty when it takes the object. Unknown fields are refused."""
    query = "dryRun=All&fieldManager=test&force=true&fieldValidation=Strict"
    path = kube.path(body["kind"], body["metadata"]["name"])
    status, answer = kube.send("PATCH", f"{path}?{query}", body, APPLY)
    return "" if status in {200, 201} else str(answer.get("message"))


def here(kube: Kube, body: Json) -> Json:
    """The same object in the test's namespace, without an owner that does not exist there."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "ownerReferences"}
    return {**body, "metadata": {**metadata, "namespace": kube.namespace}}


@pytest.mark.parametrize("case", CASES)
def test_every_child_is_accepted(quiet_kube: Kube, case: str) -> None:
    refused = {f"{c['kind']} {c['metadata']['name']}": dry_run(quiet_kube, here(quiet_kube, c)) for c in children(case)}
    assert {name: message for name, message in refused.items() if message} == {}


def pods(case: str) -> list[Json]:
    """A pod from each template, as its controller would make it."""
    found = []
    for child in children(case):
        template = child.get("spec", {}).get("template")
        if template is None:
            continue
        spec: Json = dict(template["spec"])
        spec.pop("serviceAccountName", None)
        claims = child["spec"].get("volumeClaimTemplates", ())
        volumes = [{"name": c["metadata"]["name"], "persistentVolumeClaim": {"claimName": "x"}} for c in claims]
        spec["volumes"] = [*spec["volumes"], *volumes]
        name = f"{child['kind'].lower()}-pod"
        found.append({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {}}, "spec": spec})
    return found


@pytest.mark.parametrize("case", CASES)
def test_every_pod_passes_restricted(quiet_kube: Kube, case: str) -> None:
    assert pods(case)
    for pod in pods(case):
        assert dry_run(quiet_kube, here(quiet_kube, pod)) == ""


def test_a_pod_that_is_not_restricted_is_refused_here(quiet_kube: Kube) -> None:
    """Else the test above would prove nothing."""
    pod = pods("minimal")[0]
    main = {**pod["spec"]["containers"][0], "securityContext": {}}
    loose = {**pod, "spec": {**pod["spec"], "containers": [main]}}
    assert "violates PodSecurity" in dry_run(quiet_kube, here(quiet_kube, loose))
