"""What users install is accepted by a real API server, fits Pod Security "restricted", and gives the least rights."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.fixtures import Cluster
from tests.cluster.report import BenchError
from tests.cluster.settings import Settings

pytestmark = pytest.mark.control_plane
ROOT = Path(__file__).resolve().parents[3]
ACCOUNT = "rag-operator"

MAY = [
    ("list", "ragservices.ragserving.dev"),
    ("patch", "ragservices.ragserving.dev/status"),
    ("create", "ragrevisions.ragserving.dev"),
    ("patch", "deployments.apps"),
    ("delete", "jobs.batch"),
    ("create", "secrets"),
    ("patch", "pods"),
    ("delete", "pods"),
    ("patch", "persistentvolumeclaims"),
    ("create", "persistentvolumeclaims"),
    ("create", "leases.coordination.k8s.io"),
    ("create", "events.events.k8s.io"),
    ("list", "events.events.k8s.io"),
    ("watch", "events.events.k8s.io"),
]
MAY_NOT = [
    ("get", "secrets"),
    ("list", "secrets"),
    ("watch", "secrets"),
    ("patch", "secrets"),
    ("delete", "secrets"),
    ("patch", "ragservices.ragserving.dev"),
    ("delete", "ragservices.ragserving.dev"),
    ("create", "pods"),
    ("create", "pods/exec"),
    ("get", "pods/proxy"),
    ("delete", "persistentvolumeclaims"),
    ("create", "rolebindings.rbac.authorization.k8s.io"),
    ("patch", "customresourcedefinitions.apiextensions.k8s.io"),
    ("list", "nodes"),
    ("delete", "events.events.k8s.io"),
    ("update", "leases.coordination.k8s.io"),  # of any name but its own
    ("delete", "leases.coordination.k8s.io"),
]


def build(settings: Settings, folder: Path) -> list[dict[str, Any]]:
    """The objects of one kustomization, as the bench's own kubectl builds them."""
    done = subprocess.run(
        [str(settings.bin / "kubectl"), "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def dry_run(cluster: Cluster, *objects: dict[str, Any]) -> None:
    """Server-side validation of everything, strict about unknown fields. Raises with the server's words."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text
    )


def in_namespace(objects: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    """The objects moved to another namespace, the Namespace itself left out."""
    text = json.dumps([o for o in objects if o["kind"] != "Namespace"])
    moved: list[dict[str, Any]] = json.loads(text.replace("rag-operator-system", namespace))
    return moved


@pytest.mark.parametrize("folder", ["config/default", "tests/demo/overlay", "tests/demo/overlay-local-images"])
def test_the_installation_is_accepted(cluster: Cluster, bench_settings: Settings, namespace: str, folder: str) -> None:
    objects = build(bench_settings, ROOT / folder)
    assert {"CustomResourceDefinition", "Deployment", "ClusterRole"} <= {o["kind"] for o in objects}
    dry_run(cluster, *in_namespace(objects, namespace))


def test_the_network_policy_is_accepted(cluster: Cluster, bench_settings: Settings, namespace: str) -> None:
    policy = yaml.safe_load((ROOT / "config/network-policy/network_policy.yaml").read_text())
    policy["metadata"]["namespace"] = namespace
    dry_run(cluster, policy)


def test_the_operators_pod_is_restricted(cluster: Cluster, bench_settings: Settings, namespace: str) -> None:
    objects = build(bench_settings, ROOT / "config/namespaced")
    deployment = next(o for o in objects if o["kind"] == "Deployment")
    template = deployment["spec"]["template"]
    template["spec"]["serviceAccountName"] = "default"
    # The namespace enforces "restricted": the API server itself refuses a pod that is not.
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] |= {"name": "operator", "namespace": namespace}
    dry_run(cluster, pod)

    template["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(BenchError, match="violates PodSecurity"):
        dry_run(cluster, pod)


def test_the_operator_has_these_rights_and_no_others(
    cluster: Cluster, bench_settings: Settings, namespace: str
) -> None:
    objects = in_namespace(build(bench_settings, ROOT / "config/namespaced"), namespace)
    cluster.apply(*[o for o in objects if o["kind"] in {"ServiceAccount", "Role", "RoleBinding"}])

    allowed = [can(cluster, namespace, namespace, *right) for right in MAY]
    refused = [can(cluster, namespace, namespace, *right) for right in MAY_NOT]
    elsewhere = can(cluster, namespace, "default", "list", "configmaps")

    assert [r for r, ok in zip(MAY, allowed, strict=True) if not ok] == []
    assert [r for r, ok in zip(MAY_NOT, refused, strict=True) if ok] == []
    assert not elsewhere


def can(cluster: Cluster, account_namespace: str, namespace: str, verb: str, resource: str) -> bool:
    """The API server's own answer about the operator's service account."""
    plural, _, subresource = resource.partition("/")
    name, _, group = plural.partition(".")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{account_namespace}:{ACCOUNT}",
            "resourceAttributes": {
                "namespace": namespace,
                "verb": verb,
                "group": group,
                "resource": name,
                "subresource": subresource,
            },
        },
    }
    answer = cluster.request("/apis/authorization.k8s.io/v1/subjectaccessreviews", "POST", review)
    return bool(answer["status"]["allowed"])
