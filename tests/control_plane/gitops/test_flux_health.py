"""Flux's health expressions, evaluated by the API server's own CEL on statuses that the operator wrote.

Flux evaluates with the object's fields as variables, an admission policy with the object: `status` becomes `object.status`. Each
expression is a policy that warns when it is false; the statuses are sent as dry runs.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.fixtures import Cluster
from tests.control_plane.reconcile.conftest import quiet_kube
from tests.control_plane.reconcile.harness import Json, Kube, rag_service, until
from tests.unit.gitops.statuses import recorded

__all__ = ["quiet_kube"]
pytestmark = pytest.mark.control_plane

FILE = Path(__file__).resolve().parents[3] / "config" / "gitops" / "flux" / "handbook.yaml"
(CHECK,) = yaml.safe_load(FILE.read_text())["spec"]["healthCheckExprs"]
WORDS = ("inProgress", "failed", "current")
STATUSES = recorded()


def objects(name: str, namespace: str) -> list[Json]:
    """The policy of one expression, and its binding to one namespace."""
    kind = {"apiVersion": "admissionregistration.k8s.io/v1"}
    called = f"flux-{name.lower()}"
    expression = re.sub(r"(?<![\w.])(status|metadata)\.", r"object.\1.", CHECK[name])
    rule = {
        "apiGroups": ["ragserving.dev"],
        "apiVersions": ["*"],
        "operations": ["UPDATE"],
        "resources": ["ragservices/status"],
    }
    spec: Json = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": expression, "message": f"not-{name}"}],
    }
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    binding = {"policyName": called, "validationActions": ["Warn"], "matchResources": here}
    return [
        {**kind, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": called}, "spec": spec},
        {**kind, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": called}, "spec": binding},
    ]


class Health:
    """Which of the three expressions hold for a status."""

    def __init__(self, plane: Cluster, kube: Kube) -> None:
        self._plane = plane.control_plane.plane
        self._kube = kube
        kube.create("RagService", rag_service("probe"))
        kube.patch("RagService", "probe", {"spec": {"api": {"drainSeconds": 9}}})

    def of(self, body: dict[str, Any]) -> set[str]:
        """The words of those that hold; generations are kept as far apart as they were."""
        generation = (self._kube.get("RagService", "probe") or {})["metadata"]["generation"]
        behind = body["metadata"]["generation"] - body["status"]["observedGeneration"]
        status = {**body["status"], "observedGeneration": generation - behind}
        command = [
            str(self._plane.programs / "kubectl"),
            f"--kubeconfig={self._plane.kubeconfig}",
            "-n",
            self._kube.namespace,
        ]
        command += ["patch", "ragservice", "probe", "--subresource=status", "--type=merge", "--dry-run=server"]
        done = subprocess.run(
            [*command, "-p", json.dumps({"status": status})], capture_output=True, text=True, check=False
        )
        assert 0 == done.returncode, done.stderr
        return {word for word in WORDS if f"not-{word}" not in done.stderr}


@pytest.fixture
def health(plane: Cluster, quiet_kube: Kube) -> Iterator[Health]:
    """With the policies in force."""
    made = [obj for word in WORDS for obj in objects(word, quiet_kube.namespace)]
    plane.apply(*made)
    found = Health(plane, quiet_kube)
    until(lambda: {"current"} == found.of(STATUSES["ready"]), 30)
    yield found
    for obj in made:
        plane.kubectl("delete", obj["kind"], obj["metadata"]["name"])


def test_flux_tells_the_states_apart(health: Health) -> None:
    seen = {name: health.of(body) for name, body in STATUSES.items() if "status" in body}
    # In progress is asked first, then failed, then current.
    assert {"current"} == seen["ready"]
    assert {"failed"} == seen["broken"]
    assert {"inProgress"} == seen["starting"] == seen["silent"] == seen["suspended"]
    assert "inProgress" in seen["edited"]
