"""The vector store's key is deleted while pods hold it, and the operator is killed as it makes another one."""

import json

import pytest
from rag_operator import names

from tests.control_plane.reconcile.harness import MERGE, Json, until

from .life import KILLED_SECONDS, World
from .plans import Fault, Rule

pytestmark = pytest.mark.control_plane
SERVICE = "lost"


def stamps(stage: World) -> set[str | None]:
    """Which making of the key the templates of its holders name."""
    holders = [
        stage.kube.get("StatefulSet", names.qdrant(SERVICE)),
        stage.kube.get("Deployment", names.api(SERVICE)),
    ]
    templates: list[Json] = [holder["spec"]["template"]["metadata"] for holder in holders if holder is not None]
    assert 2 == len(templates)
    return {(template.get("annotations") or {}).get(names.ANNOTATION_KEY) for template in templates}


def misses_its_key(stage: World, pod: str) -> None:
    """What a kubelet says of a pod that names a Secret which is not there."""
    waiting = {"reason": "CreateContainerConfigError", "message": f'secret "{names.qdrant_key(SERVICE)}" not found'}
    container = {"name": "qdrant", "image": "double", "imageID": "double", "restartCount": 0, "ready": False}
    status = {
        "conditions": [{"type": kind, "status": "False"} for kind in ("Ready", "ContainersReady")],
        "containerStatuses": [{**container, "state": {"waiting": waiting}}],
    }
    answer = stage.kube.send("PATCH", stage.kube.path("Pod", pod, "status"), {"status": status}, MERGE)
    assert 200 == answer[0], answer


def told(stage: World) -> str:
    """What there is to say when the operator did not come as far."""
    status = (stage.kube.get("RagService", SERVICE) or {}).get("status")
    return json.dumps([status, [write.what for write in stage.proxy.sent(SERVICE)]])


def test_nobody_goes_on_with_the_old_key(stage: World) -> None:
    kube, key = stage.kube, names.qdrant_key(SERVICE)
    stage.create(SERVICE)
    stage.served([SERVICE], 1)
    stage.quiet()
    assert {None} == stamps(stage)
    stage.proxy.rules.append(Rule(SERVICE, "create secrets -qdrant-key", Fault.KILL_APPLIED))
    kube.delete("Secret", key)
    misses_its_key(stage, f"{names.qdrant(SERVICE)}-0")
    assert stage.process.killed.wait(KILLED_SECONDS), told(stage)
    assert kube.get("Secret", key) is not None
    stage.process.start()
    stage.served([SERVICE], 1)
    stage.quiet()
    (stamp,) = stamps(stage)
    assert stamp is not None
    held = {name: (kube.get("Pod", name) or {})["metadata"] for name in pods_that_hold_it(stage)}
    assert {stamp} == {metadata["annotations"][names.ANNOTATION_KEY] for metadata in held.values()}
    assert 2 == stage.proxy.made(SERVICE)["created secrets -qdrant-key"], "the first one, and one more"


def pods_that_hold_it(stage: World) -> list[str]:
    """Names of the pods of the API and of the vector store, once those of the old templates have gone."""
    held = {names.COMPONENT_API, names.COMPONENT_QDRANT}

    def found() -> list[Json]:
        pods = stage.kube.list("Pod", SERVICE)
        return [pod for pod in pods if pod["metadata"]["labels"][names.LABEL_COMPONENT] in held]

    until(lambda: len(found()) == 2)
    return [pod["metadata"]["name"] for pod in found()]
