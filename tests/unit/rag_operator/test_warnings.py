"""What stands in Events alone becomes a fault, of the right object, at the right time."""

from datetime import timedelta
from typing import Any

import pytest
from rag_contract.reports import ModelsCurrent, ReadyCheck
from rag_operator import names, status
from rag_operator.api import Reason
from rag_operator.cluster import kube_events
from rag_operator.faults import claim_fault, controller_fault, held_fault, pod_fault, probe_fault, ripe_in
from rag_operator.observed import Notice, Pod, PodAnswer, pod_of
from rag_operator.resources.retention import stuck_pods

from .world import NAME, START, observed, running_pod

Json = dict[str, Any]
TIME = "2026-11-21T08:00:00Z"
LATER = START + timedelta(seconds=60)


def pod(**status: Any) -> Pod:
    body = running_pod("p", "qdrant")
    body["status"] = {"startTime": TIME, **status}
    return pod_of(body)


def noted(reason: str, note: str, uid: str = "uid-p") -> tuple[Notice, ...]:
    return (Notice(uid, reason, "an earlier one"), Notice(uid, reason, note), Notice("uid-other", reason, "another's"))


CREATING = {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}
UNREADY = {"containerStatuses": [{"state": {"running": {"startedAt": TIME}}}]}


@pytest.mark.parametrize(
    ("note", "reason", "words"),
    [
        ('MountVolume.SetUp failed for volume "d" : configmap "docs" not found', Reason.ConfigMapMissing, '"docs"'),
        ('MountVolume.SetUp failed for volume "d" : secret "keys" not found', Reason.SecretMissing, '"keys"'),
        ("MountVolume.SetUp failed: the disk is on fire", Reason.VolumePending, "the disk is on fire"),
    ],
)
def test_a_volume_that_is_not_mounted(note: str, reason: Reason, words: str) -> None:
    found = pod_fault(pod(**CREATING), LATER, noted("FailedMount", note))
    assert found is not None
    assert found.reason is reason
    assert words in found.message


def test_a_mount_may_fail_once_at_the_start() -> None:
    assert pod_fault(pod(**CREATING), START + timedelta(seconds=1), noted("FailedMount", "not yet")) is None


def test_a_mount_that_failed_before_the_container_ran_is_history() -> None:
    assert pod_fault(pod(**UNREADY), LATER, noted("FailedMount", "not yet")) is None


def test_a_network_that_is_not_made() -> None:
    found = pod_fault(pod(**CREATING), LATER, noted("FailedCreatePodSandBox", "no addresses left"))
    assert found is not None
    assert found.reason is Reason.StartFailed


def test_a_probe_that_fails_says_its_answer() -> None:
    said = noted("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
    found = probe_fault([pod(**UNREADY)], LATER, said)
    assert found is not None
    assert found.reason is Reason.ProbeFailing
    assert "statuscode: 503" in found.message
    assert probe_fault([pod(**UNREADY)], START + timedelta(seconds=7), said) is None
    assert probe_fault([pod_of(running_pod("p", "qdrant"))], LATER, said) is None


def test_a_lost_node() -> None:
    found = pod_fault(pod(**UNREADY), LATER, noted("NodeNotReady", "Node is not ready"))
    assert found is not None
    assert found.reason is Reason.NodeLost


def test_a_container_that_was_just_started_again_still_crashes() -> None:
    last = {"terminated": {"exitCode": 3, "message": "no settings"}}
    status = {"containerStatuses": [{"state": {"running": {"startedAt": TIME}}, "lastState": last}]}
    found = pod_fault(pod(**status), START + timedelta(seconds=2))
    assert found is not None
    assert found.reason is Reason.CrashLoop
    assert pod_fault(pod(**status), LATER) is None


def controller(kind: str, **status: Any) -> Json:
    return {"kind": kind, "metadata": {"name": "c", "uid": "uid-p"}, "spec": {"replicas": 1}, "status": status}


@pytest.mark.parametrize("kind", ["StatefulSet", "Job"])
def test_pods_that_may_not_be_made(kind: str) -> None:
    said = noted(
        "FailedCreate", 'create Pod c-0 in StatefulSet c failed error: pods "c-0" is forbidden: exceeded quota: q'
    )
    found = controller_fault(controller(kind), said)
    assert found is not None
    assert found.reason is Reason.QuotaExceeded
    assert found.message.startswith('Pods of c may not be created: pods "c-0" is forbidden')


@pytest.mark.parametrize(
    "body", [controller("StatefulSet", replicas=1), controller("Job", active=1), controller("Job", failed=1)]
)
def test_what_has_pods_is_not_refused_any_more(body: Json) -> None:
    assert controller_fault(body, noted("FailedCreate", "exceeded quota")) is None


def test_a_held_roll_out_names_the_field() -> None:
    deployment = {"kind": "Deployment", "metadata": {"name": "d"}, "spec": {"paused": True}}
    strategy = {"rollingUpdate": {"partition": 1}}
    stateful_set = {"kind": "StatefulSet", "metadata": {"name": "s"}, "spec": {"updateStrategy": strategy}}
    for body, words in ((deployment, "rollout resume"), (stateful_set, "partition 1")):
        found = held_fault(body)
        assert found is not None
        assert found.reason is Reason.RollOutHeld
        assert words in found.message
    assert held_fault({"kind": "Deployment", "metadata": {"name": "d"}, "spec": {}}) is None


def test_a_provisioner_is_quoted_at_once() -> None:
    claim = {"metadata": {"name": "c", "uid": "uid-p", "creationTimestamp": TIME}, "spec": {}, "status": {}}
    found = claim_fault(claim, START, noted("ProvisioningFailed", 'storageclass "nope" not found'))
    assert found is not None
    assert '"nope" not found' in found.message


def test_the_end_of_a_grace_is_waited_for() -> None:
    claim = {"metadata": {"creationTimestamp": TIME}, "status": {"phase": "Pending"}}
    assert ripe_in([], [claim], START + timedelta(seconds=1)) == pytest.approx(2.1)
    assert ripe_in([], [claim], LATER) is None
    assert ripe_in([pod(**UNREADY)], [], START + timedelta(seconds=1)) == pytest.approx(2.1)
    assert ripe_in([pod(**UNREADY)], [], START + timedelta(seconds=5)) == pytest.approx(3.1)
    assert ripe_in([pod_of(running_pod("p", "api"))], [], START) is None


def event(number: int, name: str = f"{NAME}-qdrant-0", kind: str = "Pod", uid: str = "u") -> Json:
    return {
        "metadata": {"name": f"e{number}", "namespace": "n", "uid": f"e{number}", "resourceVersion": str(number)},
        "regarding": {"kind": kind, "namespace": "n", "name": name, "uid": uid},
        "reason": "Unhealthy",
        "note": f"note {number}" + "x" * 5000,
        "deprecatedSource": {"component": "kubelet"},
    }


class Cache:
    """A double of the informer of Events."""

    def __init__(self, *events: Json) -> None:
        self.events = [kube_events.keep(item) for item in events]

    def by_owner_key(self, owner: str) -> list[Json]:
        return [item for item in self.events if kube_events.subject(item) == owner]


def test_warnings_are_found_by_object_and_in_order() -> None:
    found = kube_events.notices(Cache(event(12), event(9), event(3, uid="former")), [{"metadata": {"uid": "u"}}])
    assert ["note 9", "note 12"] == [notice.note.rstrip("x") for notice in found]
    assert all(len(notice.note) <= kube_events.MAX_NOTE for notice in found)


@pytest.mark.parametrize(
    ("name", "kind"), [("web-1", "Pod"), (f"{NAME}-api", "ReplicaSet"), (f"{NAME}-api", "Service")]
)
def test_of_warnings_about_others_only_the_key_is_kept(name: str, kind: str) -> None:
    kept = kube_events.keep(event(1, name=name, kind=kind))
    assert {"apiVersion", "kind", "metadata"} == set(kept)
    assert kube_events.subject(kept) is None


POD, CLAIM, JOB = "Pod", "PersistentVolumeClaim", "Job"
DIGEST = "0123456789abcdef"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (POD, f"{names.api(NAME)}-6d4b75cb6d-hwt5k"),
        (POD, f"{names.qdrant(NAME)}-0"),
        (POD, f"{names.index_job(NAME, DIGEST)}-x7k2p"),
        (POD, f"{names.index_sweep(NAME, DIGEST)}-x7k2p"),
        (POD, f"{names.model(NAME, DIGEST)}-6d4b75cb6d-hwt5k"),
        (POD, f"{names.model_fetch_job(NAME, DIGEST)}-x7k2p"),
        (CLAIM, names.qdrant_claim(NAME)),
        (CLAIM, names.model_cache(NAME)),
        ("StatefulSet", names.qdrant(NAME)),
        (JOB, names.index_job(NAME, DIGEST)),
        (JOB, names.index_sweep(NAME, DIGEST)),
        (JOB, names.model_fetch_job(NAME, DIGEST)),
    ],
)
def test_warnings_about_every_component_are_kept(kind: str, name: str) -> None:
    found = kube_events.notices(Cache(event(1, name=name, kind=kind)), [{"metadata": {"uid": "u"}}])
    assert ["note 1"] == [notice.note.rstrip("x") for notice in found]


def world_of_qdrant(revision: str, *, ready: bool, generation: int = 2) -> Any:
    body = running_pod(f"{NAME}-qdrant-0", "qdrant")
    body["metadata"]["labels"]["controller-revision-hash"] = revision
    body["status"]["conditions"] = [{"type": "Ready", "status": str(ready)}]
    stateful_set = {
        "kind": "StatefulSet",
        "metadata": {"name": f"{NAME}-qdrant", "generation": 2},
        "status": {"observedGeneration": generation, "updateRevision": "new"},
    }
    return observed(children={("StatefulSet", f"{NAME}-qdrant"): stateful_set}, pods=(pod_of(body),))


def test_only_a_pod_that_is_stuck_on_an_old_template_goes() -> None:
    assert [f"{NAME}-qdrant-0"] == [p["metadata"]["name"] for p in stuck_pods(world_of_qdrant("old", ready=False))]
    assert [] == stuck_pods(world_of_qdrant("old", ready=True))
    assert [] == stuck_pods(world_of_qdrant("new", ready=False))
    assert [] == stuck_pods(world_of_qdrant("old", ready=False, generation=1))


def answer(table: str, *, keys: bool = True) -> PodAnswer:
    models = ModelsCurrent(service=NAME, api_version="1", table_hash=table, revisions=())
    return PodAnswer(models=models, checks=() if keys else (ReadyCheck(name="api_keys", ok=False, message="none"),))


def marked(mark: str) -> Pod:
    body = running_pod("p", "api")
    body["metadata"]["annotations"] = {names.ANNOTATION_TABLE: mark}
    return pod_of(body)


def test_a_pod_is_touched_once_for_a_table() -> None:
    assert status.touch_mark(marked("t0"), answer("t0"), "t1", START) == "t1"
    assert status.touch_mark(marked("t1"), answer("t0"), "t1", START) is None
    assert status.touch_mark(marked("t1/3"), answer("t0"), "t1", START) is None
    assert status.touch_mark(marked(""), answer("t1"), "t1", START) is None
    assert status.touch_mark(marked("t0"), None, "t1", START) is None


def test_a_pod_that_was_told_of_another_table_meanwhile_is_told_again() -> None:
    """From t1 to t0 and at once back to t1: it reports t1 and may be about to load t0."""
    assert status.touch_mark(marked("t0"), answer("t1"), "t1", START) == "t1"


def test_a_pod_without_keys_is_touched_every_few_seconds() -> None:
    first = status.touch_mark(marked("t"), answer("t", keys=False), "t", START)
    assert first is not None
    again = [
        status.touch_mark(marked(first), answer("t", keys=False), "t", START + timedelta(seconds=s)) for s in (1, 6)
    ]
    assert again[0] is None
    assert again[1] not in {None, first}
