"""A build by schedule on real containers: what was written on the volume meanwhile is answered from, and no answer is missing."""

from collections.abc import Iterator
from typing import Any

import pytest
from rag_operator.api.compute import IndexResources
from rag_operator.resources import pod

from .kube import Json, Kube, http, wait_for
from .objects import DOCUMENTS, QUESTION, rag_service
from .states.parts import INDEXER

pytestmark = pytest.mark.node

CLAIM: Json = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "manuals"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
}
PATH = "/manuals"
WRITE = f"import os, pathlib; pathlib.Path('{PATH}/leave.md').write_text(os.environ['TEXT'])"
OLD, NEW = "14 days", "15 days"
EVERY_MINUTE = "* * * * *"


def write(kube: Kube, days: str) -> None:
    """Store one document on the volume, by a pod of this name: "14 days" and the like."""
    name = "writes-" + days.replace(" ", "-")
    text = DOCUMENTS["leave.en.md"].replace(OLD, days)
    main = pod.container(
        "main",
        INDEXER,
        IndexResources(),
        command=["python3", "-c", WRITE],
        env=[{"name": "TEXT", "value": text}],
        volumeMounts=[{"name": "manuals", "mountPath": PATH}],
    )
    volume = {"name": "manuals", "persistentVolumeClaim": {"claimName": "manuals"}}
    spec = pod.pod_spec(main, [volume], restartPolicy="Never")
    kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    kube.run("wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")


def answers(kube: Kube) -> Iterator[dict[str, Any]]:
    """Answers of the service to one question, one after the other. A refused or failed one ends the test."""
    address, key = kube.service_address("faq-api"), kube.secret("faq-client-key", "api-key")
    while True:
        answer = http(f"{address}/query", body={"question": QUESTION}, key=key)
        assert answer.status == 200, answer
        yield answer.body


def pods(kube: Kube) -> set[str]:
    """uids of the API pods."""
    return {p["metadata"]["uid"] for p in kube.list("pods", "app.kubernetes.io/component=api")}


def test_documents_on_a_volume_are_built_anew_when_the_time_comes_and_can_be_gone_back_from(kube: Kube) -> None:
    index = {
        "version": "manuals-v1",
        "documents": {"persistentVolumeClaim": {"claimName": "manuals"}},
        "refresh": {"schedule": EVERY_MINUTE},
    }
    kube.apply(CLAIM)
    write(kube, OLD)
    kube.apply(rag_service(index=index, api={"drainSeconds": 5, "limits": {"requestsPerMinute": 0}}))
    kube.wait_condition("faq", "Ready", "True", 120)
    before, told = pods(kube), answers(kube)
    first = next(told)
    assert OLD in first["answer"]

    write(kube, NEW)
    after = wait_for("an answer from the new document", lambda: newer(next(told)), 150, 0.5)
    assert after["index_version"].startswith("manuals-v1.")
    assert after["revision"] > first["revision"]
    kube.patch("ragservice", "faq", {"spec": {"index": {"refresh": None}}})
    kube.wait_condition("faq", "Ready", "True", 30)
    record = kube.get("ragrevision", f"faq-r{after['revision']}")
    assert record is not None
    assert record["spec"]["indexSlot"]

    kube.patch("ragservice", "faq", {"spec": {"rollback": {"index": "manuals-v1"}}})
    wait_for("an answer from the old document", lambda: OLD in next(told)["answer"], 15, 0.1)
    kube.wait_condition("faq", "Ready", "True", 30)
    assert pods(kube) == before


def newer(answer: dict[str, Any]) -> dict[str, Any] | None:
    """An answer from the new document; none other than from the old one may come before it."""
    assert OLD in answer["answer"] or NEW in answer["answer"], answer
    return answer if NEW in answer["answer"] else None
