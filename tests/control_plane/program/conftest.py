"""A control plane of these tests' own with the released CRDs, rights and admission policies, and the operator's account on it.

The plugin OwnerReferencesPermissionEnforcement is on, as some distributions have it.
"""

import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.fixtures import Cluster, new_control_plane, new_namespace
from tests.cluster.settings import from_environment

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[3]
OPERATOR_NAMESPACE = "rag-operator-system"
USER = f"system:serviceaccount:{OPERATOR_NAMESPACE}:rag-operator"


def built(cluster: Cluster, folder: str) -> list[Json]:
    """The objects of one kustomization."""
    text = cluster.kubectl("kustomize", str(ROOT / folder))
    return [document for document in yaml.safe_load_all(text) if document]


@dataclass(frozen=True)
class Account:
    """kubectl in one namespace as somebody else."""

    cluster: Cluster
    namespace: str
    user: str = USER

    def run(self, *words: str, stdin: str | None = None) -> tuple[bool, str]:
        """Whether kubectl succeeded, and what it said."""
        plane = self.cluster.control_plane.plane
        command = [str(plane.programs / "kubectl"), f"--kubeconfig={plane.kubeconfig}", f"--as={self.user}"]
        command += [f"--namespace={self.namespace}", *words]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode == 0, done.stdout + done.stderr

    def apply(self, *objects: Json, dry_run: bool = True) -> tuple[bool, str]:
        """Server-side apply, by default without keeping anything."""
        moved = [{**o, "metadata": {**o["metadata"], "namespace": self.namespace}} for o in objects]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": moved})
        flags = ["--server-side", "--force-conflicts", "--field-manager=rag-operator"]
        return self.run("apply", *flags, *(["--dry-run=server"] if dry_run else []), "-f", "-", stdin=text)

    def create(self, obj: Json) -> tuple[bool, str]:
        """Create without keeping anything: of Secrets the operator may do no more."""
        moved = {**obj, "metadata": {**obj["metadata"], "namespace": self.namespace}}
        return self.run("create", "--dry-run=server", "-f", "-", stdin=json.dumps(moved))

    def patch(self, plural: str, name: str, change: Json) -> tuple[bool, str]:
        """Merge patch of a core object without keeping anything. By HTTP: kubectl would read the object first."""
        authority = self.cluster.control_plane.authority
        context = ssl.create_default_context(cafile=str(authority.certificate))
        context.load_cert_chain(*map(str, authority.issue("admin", "/O=system:masters/CN=admin")))
        url = f"{self.cluster.server}/api/v1/namespaces/{self.namespace}/{plural}/{name}?dryRun=All"
        headers = {"Content-Type": "application/merge-patch+json", "Impersonate-User": self.user}
        request = urllib.request.Request(url, json.dumps(change).encode(), headers, method="PATCH")
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as answer:
                return True, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return False, error.read().decode()

    def can(self, verb: str, resource: str, *, namespace: str | None = None) -> bool:
        """`kubectl auth can-i`."""
        words = ["auth", "can-i", verb, resource, *([f"--namespace={namespace}"] if namespace else [])]
        return self.run(*words)[1].strip().endswith("yes")


@pytest.fixture(scope="package")
def program_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """etcd, API server and controller manager with everything of config/default but the operator's pods."""
    settings = from_environment(os.environ)
    plugins = "NodeRestriction,OwnerReferencesPermissionEnforcement"
    folder = tmp_path_factory.mktemp("program")
    with new_control_plane(settings, folder, controllers=True, admission=plugins) as plane:
        plane.apply(
            *[o for o in built(plane, "config/default") if o["kind"] in {"Namespace", "CustomResourceDefinition"}]
        )
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        plane.apply(*[o for o in built(plane, "config/default") if o["kind"] != "Deployment"])
        yield plane


@pytest.fixture
def space(program_plane: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh namespace that takes restricted pods only."""
    with new_namespace(program_plane, request.node.name) as name:
        yield name


@pytest.fixture
def account(program_plane: Cluster, space: str) -> Account:
    """The operator's service account in that namespace."""
    return Account(program_plane, space)
