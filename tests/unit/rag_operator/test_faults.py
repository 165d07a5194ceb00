"""Facts of pods and claims become the reason and the remedy that a person reads."""

from datetime import timedelta
from typing import Any

import pytest
from rag_operator.api import Reason
from rag_operator.faults import Fault, claim_fault, controller_fault, growth_fault, pod_fault, refusal_fault
from rag_operator.observed import ChildKey, Refusal, pod_of

from .world import START, running_pod

Json = dict[str, Any]


def fault(status: Json, seconds: float = 60) -> Fault | None:
    body = running_pod("p", "api")
    body["status"] = status
    return pod_fault(pod_of(body), START + timedelta(seconds=seconds))


def waiting(word: str, text: str = "", **last: Any) -> Json:
    state = {"state": {"waiting": {"reason": word, "message": text}}, "image": "api:1"}
    return {"containerStatuses": [{**state, **({"lastState": {"terminated": last}} if last else {})}]}


SHORT_PULL = "rpc error: code = Unknown desc = no such host."
LONG_PULL = f'Back-off pulling image "api:1": ErrImagePull: {SHORT_PULL}'


def unscheduled(message: str) -> Json:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "message": message,
        "lastTransitionTime": "2026-11-21T08:00:00Z",
    }
    return {"conditions": [condition]}


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (waiting("ImagePullBackOff"), Reason.ImagePullFailed, '"api:1"'),
        (waiting("ErrImageNeverPull"), Reason.ImagePullFailed, '"api:1"'),
        (waiting("InvalidImageName"), Reason.ImagePullFailed, '"api:1"'),
        (waiting("CreateContainerConfigError", 'secret "k" not found'), Reason.SecretMissing, '"k"'),
        (waiting("CreateContainerConfigError", 'configmap "c" not found'), Reason.ConfigMapMissing, '"c"'),
        (waiting("CrashLoopBackOff", exitCode=3, message="no settings"), Reason.CrashLoop, "no settings"),
        (waiting("CrashLoopBackOff", exitCode=3), Reason.CrashLoop, "kubectl logs p --previous"),
        (waiting("CrashLoopBackOff", exitCode=137, reason="OOMKilled"), Reason.OutOfMemory, "memory limit"),
        (waiting("RunContainerError", "init was OOM-killed (limit too low?)"), Reason.OutOfMemory, "memory limit"),
        (
            waiting("CrashLoopBackOff", exitCode=128, reason="StartError", message="exec: x"),
            Reason.StartFailed,
            "exec: x",
        ),
        (waiting("RunContainerError", "no such user"), Reason.StartFailed, "no such user"),
        (
            waiting("CreateContainerConfigError", "failed to create subPath directory"),
            Reason.DocumentsMissing,
            "index.documents",
        ),
        (waiting("CreateContainerConfigError", "couldn't find key k in Secret ns/s"), Reason.SecretKeyMissing, '"s"'),
        (
            waiting("CreateContainerConfigError", "couldn't find key k in ConfigMap ns/c"),
            Reason.ConfigMapKeyMissing,
            '"k"',
        ),
        (waiting("ImagePullBackOff", LONG_PULL), Reason.ImagePullFailed, "(no such host)"),
        (waiting("ErrImagePull", SHORT_PULL), Reason.ImagePullFailed, "(no such host)"),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
            Reason.Evicted,
            "memory",
        ),
        (
            unscheduled("0/1 nodes are available: 1 Insufficient memory."),
            Reason.InsufficientResources,
            "Insufficient memory",
        ),
        (unscheduled("0/1 nodes are available: 1 node(s) had untolerated taint"), Reason.Unschedulable, "taint"),
        (unscheduled("pod has unbound immediate PersistentVolumeClaims"), Reason.VolumePending, "unbound"),
        (unscheduled('persistentvolumeclaim "docs" not found'), Reason.ClaimMissing, '"docs"'),
    ],
)
def test_a_pod_that_does_not_run_says_why(status: Json, reason: Reason, words: str) -> None:
    found = fault(status)
    assert found is not None
    assert found.reason is reason
    assert words in found.message


@pytest.mark.parametrize("status", [{}, waiting("ContainerCreating"), waiting("PodInitializing"), {"phase": "Pending"}])
def test_a_pod_on_its_way_is_no_fault(status: Json) -> None:
    assert fault(status) is None


def test_running_pod_is_no_fault() -> None:
    assert pod_fault(pod_of(running_pod("p", "api")), START) is None


def test_placing_a_pod_may_take_a_moment() -> None:
    assert fault(unscheduled("0/1 nodes are available"), seconds=2) is None


@pytest.mark.parametrize(("seconds", "found"), [(2, False), (4, True)])
def test_binding_a_claim_may_take_a_moment(seconds: int, found: bool) -> None:
    claim = {
        "metadata": {"name": "c", "creationTimestamp": "2026-11-21T08:00:00Z"},
        "spec": {"storageClassName": "fast"},
        "status": {"phase": "Pending"},
    }
    assert (claim_fault(claim, START + timedelta(seconds=seconds)) is not None) == found


def test_volume_that_cannot_grow_is_a_fault() -> None:
    conditions = [{"type": "ControllerResizeError", "status": "True", "message": "quota of disks"}]
    claim = {"metadata": {"name": "c"}, "spec": {}, "status": {"phase": "Bound", "conditions": conditions}}
    found = growth_fault(claim)
    assert found is not None
    assert "quota of disks" in found.message


def test_controller_that_may_not_create_pods() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "message": 'pods "x" is forbidden: exceeded quota: q'}
    found = controller_fault({"metadata": {"name": "d"}, "status": {"conditions": [condition]}})
    assert found is not None
    assert found.reason is Reason.QuotaExceeded


def test_somebody_elses_object_of_our_name() -> None:
    found = refusal_fault(Refusal(ChildKey("Service", "s"), "api", 409, "NameTaken", ""))
    assert found.reason is Reason.NameTaken
    assert "Service s" in found.message


def test_messages_are_short_single_lines() -> None:
    found = fault(waiting("CrashLoopBackOff", exitCode=1, message="long\n" * 4000))
    assert found is not None
    assert len(found.message) < 700
    assert "\n" not in found.message
