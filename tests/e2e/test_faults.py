"""What only the cluster can tell becomes a condition with a remedy, and is healed when the fault is gone."""

import hashlib
import json

import pytest

from .kube import Kube, http, wait_for
from .objects import QUESTION, documents, rag_service

pytestmark = pytest.mark.node


def test_missing_documents_are_named_and_healed_by_creating_them(kube: Kube) -> None:
    kube.apply(rag_service())
    _, _, message = kube.wait_condition("faq", "IndexReady", "False", 20, reason="ConfigMapMissing")
    assert "docs" in message
    assert kube.condition("faq", "Ready")[0] == "False"
    kube.apply(documents())
    kube.wait_condition("faq", "Ready", "True", 120)


def test_missing_key_secrets_are_named_and_healed_by_creating_them(kube: Kube) -> None:
    kube.apply(
        documents(),
        rag_service(
            api={"auth": {"keysSecretRef": {"name": "clients", "key": "keys.json"}}},
            vectorStore={
                "qdrant": {"storage": {"size": "1Gi"}, "apiKeySecretRef": {"name": "qdrant-admin", "key": "key"}}
            },
        ),
    )
    _, _, message = kube.wait_condition("faq", "VectorStoreReady", "False", 60, reason="SecretMissing")
    assert "qdrant-admin" in message
    kube.run("create", "secret", "generic", "qdrant-admin", "--from-literal=key=chosen-by-the-team")
    kube.wait_condition("faq", "VectorStoreReady", "True", 120)
    _, _, message = kube.wait_condition("faq", "ApiReady", "False", 60, reason="ApiKeysMissing")
    assert "clients" in message
    table = json.dumps([{"id": "team", "sha256": hashlib.sha256(b"open sesame").hexdigest(), "tenant": "default"}])
    kube.run("create", "secret", "generic", "clients", f"--from-literal=keys.json={table}")
    kube.wait_condition("faq", "Ready", "True", 150)
    answer = http(f"{kube.service_address('faq-api')}/query", body={"question": QUESTION}, key="open sesame")
    assert "14" in answer.body["answer"]


def test_an_image_that_cannot_be_pulled_is_named(kube: Kube) -> None:
    kube.apply(documents(), rag_service(api={"image": "registry.invalid/none:1"}))
    _, _, message = kube.wait_condition("faq", "ApiReady", "False", 60, reason="ImagePullFailed")
    assert "registry.invalid/none:1" in message


def test_deletion_policy_delete_removes_the_volume(kube: Kube) -> None:
    service = rag_service()
    service["spec"]["deletionPolicy"] = "Delete"
    kube.apply(documents(), service)
    wait_for("the volume claim", lambda: kube.get("pvc", "storage-faq-qdrant-0"), 30)
    kube.run("delete", "ragservice", "faq")
    wait_for("no volume claim", lambda: not kube.list("pvc"), 60)


def test_suspend_stops_the_pods_and_keeps_the_data(kube: Kube) -> None:
    kube.apply(documents(), rag_service())
    kube.wait_condition("faq", "Ready", "True", 120)
    kube.patch("ragservice", "faq", {"spec": {"suspend": True}})
    kube.wait_condition("faq", "Suspended", "True", 20)
    assert ("False", "Suspended") == kube.condition("faq", "Ready")[:2]
    running = "ragserving.dev/service=faq,app.kubernetes.io/component in (api,qdrant)"
    wait_for("no pods", lambda: not kube.list("pods", running), 90)
    kube.patch("ragservice", "faq", {"spec": {"suspend": False}})
    kube.wait_condition("faq", "Ready", "True", 120)


def test_a_killed_operator_changes_nothing(kube: Kube, operator: Kube) -> None:
    kube.apply(documents(), rag_service())
    operator.run("delete", "pod", "-l", "app.kubernetes.io/name=rag-operator", "--grace-period=0", "--force")
    kube.wait_condition("faq", "Ready", "True", 120)
    kinds = "deployments,statefulsets,jobs,services,configmaps,ragrevisions"
    before = {(o["kind"], o["metadata"]["name"]): o["metadata"]["resourceVersion"] for o in kube.list(kinds)}
    operator.run("delete", "pod", "-l", "app.kubernetes.io/name=rag-operator", "--grace-period=0", "--force")
    operator.run("rollout", "status", "deployment/rag-operator", "--timeout=60s")
    kube.wait_condition("faq", "Ready", "True", 30)
    assert before == {(o["kind"], o["metadata"]["name"]): o["metadata"]["resourceVersion"] for o in kube.list(kinds)}
