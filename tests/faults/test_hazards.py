"""What other operators got wrong, tried on this one: README.md says which test is about which hazard."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator

import pytest
from rag_operator import names

from tests.cluster.fixtures import PrivateControlPlane
from tests.control_plane.reconcile.harness import Json, Kube, rag_service, until
from tests.control_plane.reconcile.test_crash import served

from .life import World

pytestmark = pytest.mark.control_plane
LIMITS: Json = {"spec": {"api": {"limits": {"maxConcurrentRequests": 16}}}}
MANAGER = "kube-controller-manager"


@contextlib.contextmanager
def frozen(plane: PrivateControlPlane) -> Iterator[None]:
    """Deployments and StatefulSets are stored and nobody acts on them."""
    pid = plane.control_plane.processes.pid(MANAGER)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def frozen_controllers(plane: PrivateControlPlane) -> Iterator[None]:
    """The same until the test ends."""
    with frozen(plane):
        yield


@pytest.fixture
def hazard(stage: World, request: pytest.FixtureRequest) -> str:
    """A settled service of the test's own."""
    service = request.node.name.removeprefix("test_").replace("_", "")[:30]
    stage.create(service)
    stage.served([service], 1)
    stage.quiet()
    return str(service)


def stored(kube: Kube, kind: str, name: str) -> Json:
    body = kube.get(kind, name)
    assert body is not None, f"{kind} {name}"
    return body


def ready(status: Json) -> Json:
    return next(c for c in status["conditions"] if c["type"] == "Ready")


def test_ready_waits_for_the_controllers_to_see_the_change(
    stage: World, hazard: str, request: pytest.FixtureRequest
) -> None:
    """The Deployment still has the status of its earlier generation, in which all was well."""
    request.getfixturevalue("frozen_controllers")
    told = len(stage.proxy.statuses(hazard))
    stage.kube.patch("RagService", hazard, LIMITS)
    until(lambda: stored(stage.kube, "RagService", hazard)["status"]["observedGeneration"] == 2)
    time.sleep(1.5)
    claims = [ready(status) for status in stage.proxy.statuses(hazard)[told:] if status["observedGeneration"] == 2]
    assert claims
    assert {2} == {claim["observedGeneration"] for claim in claims}
    assert "True" not in {claim["status"] for claim in claims}


def test_what_waits_for_readiness_takes_the_repair(stage: World) -> None:
    """Never ready, and the edit that would heal it is applied all the same."""
    image = "example.com/broken:1"
    stage.nodes.images_missing.add(image)
    body = rag_service("unready")
    body["spec"]["api"] = {"image": image}
    stage.kube.create("RagService", body)
    until(lambda: stage.kube.get("Deployment", names.api("unready")))
    stage.quiet()
    assert stage.kube.condition("unready")[0] != "True"
    stage.kube.patch("RagService", "unready", {"spec": {"api": {"image": "example.com/whole:1"}}})
    until(lambda: image_of(stage.kube, "Deployment", names.api("unready")) == "example.com/whole:1")
    stage.served(["unready"], 2)  # an image that the user names is part of a release


def image_of(kube: Kube, kind: str, name: str) -> str:
    return str(stored(kube, kind, name)["spec"]["template"]["spec"]["containers"][0]["image"])


def api_pods(kube: Kube, service: str) -> set[str]:
    """Their uids."""
    pods = kube.list("Pod", service)
    return {p["metadata"]["uid"] for p in pods if p["metadata"]["labels"][names.LABEL_COMPONENT] == names.COMPONENT_API}


def test_an_api_image_that_does_not_start_in_time_is_taken_back_and_no_former_pod_goes(
    stage: World, hazard: str, plane: PrivateControlPlane
) -> None:
    """Its Deployment would try for ever; ten minutes are told by its status, which its controller would write."""
    kube, bad, name = stage.kube, "example.com/second:1", names.api(hazard)
    stage.nodes.images_missing.add(bad)
    former, image = api_pods(kube, hazard), image_of(kube, "Deployment", name)
    kube.patch("RagService", hazard, {"spec": {"api": {"image": bad}}})
    until(lambda: image_of(kube, "Deployment", name) == bad)
    until(lambda: stored(kube, "Deployment", name)["status"].get("updatedReplicas") == 1)
    assert former < api_pods(kube, hazard), "a new pod beside the former ones"
    with frozen(plane):
        live = stored(kube, "Deployment", name)
        assert live["spec"]["replicas"] == live["status"]["availableReplicas"]
        late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "Late."}
        told = {"observedGeneration": live["metadata"]["generation"], "conditions": [late]}
        kube.patch("Deployment", name, {"status": told}, "status")
        until(lambda: image_of(kube, "Deployment", name) == image)
    until(lambda: api_pods(kube, hazard) == former)
    until(lambda: kube.condition(hazard, "ApiReady") == ("False", "ApiReturned"))
    stage.quiet()
    assert image == image_of(kube, "Deployment", name), "it is not tried again by itself"
    kube.patch("RagService", hazard, {"spec": {"api": {"image": None}}})
    stage.served([hazard], 1)
    assert former == api_pods(kube, hazard)


def test_a_model_key_that_no_record_names_any_more_exchanges_no_pod(stage: World) -> None:
    """It leaves what is needed in the middle of a move: when the last record that names it goes."""
    kube, service = stage.kube, "keyed"
    reference = {"name": "models", "key": "token"}
    external = {"url": "https://models.example.com", "model": "served", "apiKeySecretRef": reference}
    model = {"runtime": "External", "external": external}
    kube.create("RagService", rag_service(service, release={"history": 1}, model=model))
    stage.served([service], 1)
    stage.quiet()
    former = api_pods(kube, service)
    generation = stored(kube, "Deployment", names.api(service))["metadata"]["generation"]
    kube.patch("RagService", service, {"spec": {"model": {"runtime": "Extractive", "external": None}}})
    stage.served([service], 2)
    until(lambda: kube.get("RagRevision", names.revision(service, 1)) is None)
    stage.quiet()
    assert former == api_pods(kube, service)
    assert generation == stored(kube, "Deployment", names.api(service))["metadata"]["generation"]


def test_a_store_that_never_started_is_healed_by_the_edit_alone(stage: World, hazard: str) -> None:
    """The StatefulSet's controller waits for ever for a pod of the bad template (kubernetes#67250)."""
    image = "example.com/qdrant-broken:1"
    stage.nodes.images_missing.add(image)
    old = image_of(stage.kube, "StatefulSet", names.qdrant(hazard))
    stage.kube.patch("RagService", hazard, {"spec": {"vectorStore": {"qdrant": {"image": image}}}})
    pod = f"{names.qdrant(hazard)}-0"
    until(
        lambda: (
            (stage.kube.get("Pod", pod) or {"spec": {"containers": [{"image": ""}]}})["spec"]["containers"][0]["image"]
            == image
        )
    )
    until(lambda: stage.kube.condition(hazard)[0] == "False")
    stage.kube.patch("RagService", hazard, {"spec": {"vectorStore": {"qdrant": {"image": old}}}})
    until(lambda: image_of(stage.kube, "StatefulSet", names.qdrant(hazard)) == old)
    stage.served([hazard], 1, 30)


def test_nothing_is_made_for_a_service_that_is_going(stage: World, hazard: str) -> None:
    kube = stage.kube
    kube.patch("RagService", hazard, {"metadata": {"finalizers": ["example.com/hold"]}})
    kube.delete("RagService", hazard)
    time.sleep(0.5)
    before = len(stage.proxy.sent(hazard))
    kube.delete("Service", names.api(hazard))
    kube.delete("Deployment", names.api(hazard))
    time.sleep(2)
    assert kube.get("Service", names.api(hazard)) is None
    assert [] == stage.proxy.sent(hazard)[before:]
    kube.patch("RagService", hazard, {"metadata": {"finalizers": None}})
    until(lambda: not kube.children(hazard), 30)


def test_the_set_of_conditions_is_constant(stage: World) -> None:
    """Through all of a life, failures included: a condition that comes and goes cannot be waited for."""
    service = "steady"
    body = rag_service(service)
    body["spec"]["index"]["documents"]["configMapRef"]["name"] = "absent"
    stage.kube.create("RagService", body)
    until(lambda: stage.kube.condition(service, "IndexReady") == ("False", "ConfigMapMissing"))
    stage.kube.patch("RagService", service, {"spec": {"index": {"documents": {"configMapRef": {"name": "documents"}}}}})
    stage.served([service], 1)
    stage.kube.patch("RagService", service, {"spec": {"prompt": {"system": "Other words, same version."}}})
    until(lambda: stage.kube.condition(service, "SpecValid")[0] == "False")
    stage.kube.patch(
        "RagService", service, {"spec": {"prompt": {"system": "Answer from the sources."}, "suspend": True}}
    )
    until(lambda: stage.kube.condition(service, "Suspended")[0] == "True")
    stage.kube.patch("RagService", service, {"spec": {"suspend": False}})
    stage.served([service], 1)
    told = [[condition["type"] for condition in status["conditions"]] for status in stage.proxy.statuses(service)]
    assert len(told) >= 5  # one for each thing waited for
    assert [told[0]] * len(told) == told
    assert len(set(told[0])) == len(told[0]) >= 10


def test_ready_needs_the_word_of_the_pods(stage: World) -> None:
    """The kubelet calls them ready; they themselves say nothing."""
    service = "mute"
    stage.nodes.mute.add(service)
    stage.create(service)
    until(lambda: stage.kube.condition(service) == ("Unknown", "ApiUnreachable"), 30)
    time.sleep(1)
    assert "True" not in {ready(status)["status"] for status in stage.proxy.statuses(service)}
    stage.nodes.mute.discard(service)
    for pod in stage.kube.list("Pod", service):
        if pod["metadata"]["labels"][names.LABEL_COMPONENT] == names.COMPONENT_API:
            stage.kube.delete("Pod", pod["metadata"]["name"])
    stage.served([service], 1)


def test_the_old_index_serves_until_the_new_one_is_verified(stage: World, hazard: str) -> None:
    """And a prompt that is gone back to meanwhile is served at once, in the old index."""
    kube = stage.kube

    def serving() -> Json:
        table = stored(kube, "ConfigMap", names.releases(hazard))
        (revision,) = json.loads(table["data"]["releases.json"])["revisions"]
        return dict(revision)

    first = serving()
    kube.patch("RagService", hazard, {"spec": {"prompt": {"version": "answer-v2", "system": "Be brief."}}})
    stage.served([hazard], 2)
    before = serving()
    stage.nodes.jobs_waiting.add(hazard)
    kube.patch("RagService", hazard, {"spec": {"index": {"version": "docs-2"}}})
    until(lambda: kube.condition(hazard, "IndexReady") == ("False", "IndexBuilding"))
    time.sleep(1)
    assert before == serving()
    kube.patch("RagService", hazard, {"spec": {"rollback": {"prompt": "answer-v1", "index": "docs-2"}}})
    until(lambda: kube.condition(hazard) == ("False", "RollbackTargetUnknown"))
    assert before == serving(), "what is not built yet is not kept, and half of what was asked for is not done"
    kube.patch("RagService", hazard, {"spec": {"rollback": {"index": None}}})
    until(lambda: stored(kube, "RagService", hazard)["status"]["revision"] == 1)
    assert first == serving()
    assert ("False", "IndexBuilding") == kube.condition(hazard, "IndexReady")
    stage.nodes.jobs_waiting.discard(hazard)
    stage.served([hazard], 3)
    assert ("answer-v1", "docs-2") == (serving()["prompt"]["version"], serving()["index"]["version"])


def test_scaling_by_somebody_elses_autoscaler_is_followed_and_not_fought(stage: World, hazard: str) -> None:
    """An autoscaler writes the scale of the RagService, which is the one place where replicas are declared."""
    kube = stage.kube
    status, _ = kube.send(
        "PATCH", kube.path("RagService", hazard, "scale"), {"spec": {"replicas": 3}}, "application/merge-patch+json"
    )
    assert 200 == status
    until(lambda: stored(kube, "Deployment", names.api(hazard))["spec"]["replicas"] == 3)
    until(lambda: served(kube, hazard, 1), 30)
    stage.quiet()
    assert 1 == sum(w.what == "apply deployments -api" for w in stage.proxy.sent(hazard)[1:]) - 1
    assert 3 == stored(kube, "RagService", hazard)["spec"]["api"]["replicas"]


def test_single_pods_can_be_evicted(stage: World, hazard: str) -> None:
    """A budget over one replica would hold a node's drain for ever."""
    kube = stage.kube
    kube.patch("RagService", hazard, {"spec": {"api": {"replicas": 1}}})
    stage.served([hazard], 1)
    until(lambda: not kube.list("PodDisruptionBudget", hazard))
    stage.quiet()
    for pod in kube.list("Pod", hazard):
        if pod["metadata"]["labels"][names.LABEL_COMPONENT] != names.COMPONENT_INDEX:
            name = pod["metadata"]["name"]
            eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
            assert 201 == kube.send("POST", kube.path("Pod", name, "eviction"), eviction)[0], name
    kube.patch("RagService", hazard, {"spec": {"api": {"replicas": 2}}})
    until(lambda: kube.list("PodDisruptionBudget", hazard))


def would_be_stored(kube: Kube) -> Json:
    """What the API server would make of a new RagService now."""
    status, body = kube.send("POST", f"{kube.path('RagService')}?dryRun=All", rag_service("younger"))
    assert status == 201, body
    return body


def test_a_new_default_moves_no_service_that_exists(stage: World, hazard: str, plane: PrivateControlPlane) -> None:
    """Defaults are stored with the object when it is created, so a release with other ones changes nothing that serves."""
    crd = "ragservices.ragserving.dev"
    schema = plane.get("crd", crd)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"][
        "properties"
    ]
    before = stored(stage.kube, "RagService", hazard)["spec"]
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/retrieval/"
    changes = [("default/topK", 7), ("properties/topK/default", 7)]
    writes = len(stage.proxy.sent(hazard))
    patch = [{"op": "replace", "path": path + where, "value": value} for where, value in changes]
    plane.kubectl("patch", "crd", crd, "--type=json", "-p", json.dumps(patch))
    try:
        until(lambda: would_be_stored(stage.kube)["spec"]["retrieval"]["topK"] == 7)  # the server takes a moment
        stage.create("younger")
        assert stored(stage.kube, "RagService", "younger")["spec"]["retrieval"]["topK"] == 7
        stage.quiet()
        assert before == stored(stage.kube, "RagService", hazard)["spec"]
        assert [] == stage.proxy.sent(hazard)[writes:]
    finally:
        back = [{**change, "value": schema["retrieval"]["default"]["topK"]} for change in patch]
        plane.kubectl("patch", "crd", crd, "--type=json", "-p", json.dumps(back))


def test_what_is_stored_holds_no_trap(stage: World, hazard: str) -> None:
    """No file that misses updates (subPath), and no volume of one node under pods that are replaced beside each other."""
    templates = [
        stored(stage.kube, "Deployment", names.api(hazard))["spec"],
        stored(stage.kube, "StatefulSet", names.qdrant(hazard))["spec"],
        *(job["spec"] for job in stage.kube.list("Job", hazard)),
    ]
    assert len(templates) >= 3
    for spec in templates:
        pod = spec["template"]["spec"]
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            for mount in container.get("volumeMounts", []):
                volume = next((v for v in pod.get("volumes", []) if v["name"] == mount["name"]), None) or {}
                assert "subPath" not in mount or "configMap" not in volume
        if "strategy" in spec and spec["strategy"]["type"] == "RollingUpdate":
            assert not [v for v in pod["volumes"] if "persistentVolumeClaim" in v]
