"""Install and remove: CRDs, operator, the sample and its namespace."""

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from .kubectl import Kubectl
from .place import ROOT, Place
from .screen import DemoError, Screen

OPERATOR_NAMESPACE = "rag-operator-system"
NAMESPACE = "rag-demo"
SAMPLE = "config/samples/handbook.yaml"
SERVICE = "handbook"
CRD = "ragservices.ragserving.dev"
SOURCE = "ragserving.dev/demo-source"
"""Annotation: hash of what the images are built from. With another hash the pods are made anew."""

_SOURCES = ("Dockerfile", "requirements", "operator", "workloads", "tests/qdrant_standin", SAMPLE)


def source_hash(root: Path = ROOT) -> str:
    """12 hex digits over every file that reaches an image, and the sample."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        top = root / name
        for path in sorted(p for p in ([top] if top.is_file() else top.rglob("*")) if p.is_file()):
            if "__pycache__" not in path.parts and ".egg-info" not in str(path):
                digest.update(f"{path.relative_to(root)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def deploy(place: Place, kubectl: Kubectl, screen: Screen, source: str) -> None:
    """Install CRDs and operator and wait until it runs. Raises DemoError with its pods and log when it does not."""
    manifest = stamped(place.manifest(), source)
    screen.step("installing the CRDs and the operator")
    kubectl.run("apply", "--server-side", "--force-conflicts", "--field-manager=rag-demo", "-f", "-", stdin=manifest)
    for name in ("ragservices", "ragrevisions"):
        kubectl.run("wait", "--for=condition=Established", f"crd/{name}.ragserving.dev", "--timeout=30s")
    rollout = ["rollout", "status", "deployment/rag-operator", "-n", OPERATOR_NAMESPACE, "--timeout=150s"]
    try:
        kubectl.run(*rollout, seconds=160)
    except DemoError as error:
        raise DemoError(f"the operator does not come up: {error}") from error
    screen.step(f"the operator runs (namespace {OPERATOR_NAMESPACE}, source {source})")


def operator_restarts(kubectl: Kubectl) -> dict[str, int]:
    """How often each of the operator's pods was started anew, by uid."""
    text = kubectl.run(
        "get", "pods", "-n", OPERATOR_NAMESPACE, "-l", "app.kubernetes.io/component=manager", "-o", "json"
    )
    return {
        pod["metadata"]["uid"]: sum(c["restartCount"] for c in pod.get("status", {}).get("containerStatuses", []))
        for pod in json.loads(text)["items"]
    }


def stamped(manifest: str, source: str) -> str:
    """The manifest with the source's hash on the operator's pods: other code under the same tag rolls them."""
    documents: list[dict[str, Any]] = [d for d in yaml.safe_load_all(manifest) if d]
    for document in documents:
        if document["kind"] == "Deployment":
            document["spec"]["template"]["metadata"].setdefault("annotations", {})[SOURCE] = source
    return yaml.safe_dump_all(documents, allow_unicode=True, sort_keys=False)


def prepare_namespace(kubectl: Kubectl, screen: Screen, source: str) -> None:
    """The demonstration's namespace, under Pod Security "restricted"; made anew when the code has changed since."""
    found = kubectl.get("namespace", NAMESPACE)
    if found and found["metadata"].get("annotations", {}).get(SOURCE) != source:
        screen.step(f"the code has changed since the last time: removing namespace {NAMESPACE}")
        remove_sample(kubectl)
    body = yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": NAMESPACE,
                "annotations": {SOURCE: source},
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        }
    )
    kubectl.run("apply", "--server-side", "--field-manager=rag-demo", "-f", "-", stdin=body)


def apply_sample(kubectl: Kubectl) -> None:
    """The sample RagService with its documents, as a user would apply it."""
    flags = ["--server-side", "--force-conflicts", "--field-manager=rag-demo", "--validate=strict"]
    kubectl.run("apply", *flags, "-n", NAMESPACE, "-f", SAMPLE)


def remove_sample(kubectl: Kubectl) -> None:
    """Delete the demonstration's namespace with everything in it, its volume too, and wait until it is gone."""
    if kubectl.get("crd", CRD) and kubectl.get("namespace", NAMESPACE):
        # The pods first: the namespace controller would look again only after half of their grace period.
        kubectl.run(
            "delete", "ragservices", "--all", "-n", NAMESPACE, "--cascade=foreground", "--timeout=120s", seconds=130
        )
    kubectl.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s", seconds=130)


def undeploy(place: Place, kubectl: Kubectl, screen: Screen) -> None:
    """Remove every RagService, the demonstration, the operator and the CRDs. Doing it twice is fine."""
    if not place.answers():
        screen.step("no cluster answers: nothing to remove")
        return
    if kubectl.get("crd", CRD):
        screen.step("deleting all RagServices (volumes with deletionPolicy Retain stay)")
        kubectl.run("delete", "ragservices", "--all", "--all-namespaces", "--timeout=120s", seconds=130)
    screen.step(f"deleting namespace {NAMESPACE}, the operator and the CRDs")
    remove_sample(kubectl)
    manifest = place.manifest()
    kubectl.run("delete", "--ignore-not-found", "--timeout=120s", "-f", "-", stdin=manifest, seconds=180)
    screen.step("removed")
