"""The life of collections on real containers: what outside readers find, what stays to go back to, and what goes."""

import pytest

from .kube import Kube, http, wait_for
from .objects import documents, rag_service

pytestmark = pytest.mark.node

SWEEPS = "ragserving.dev/service=faq,app.kubernetes.io/component=index-sweep"


class Store:
    """The service's own Qdrant, seen from outside with its key."""

    def __init__(self, kube: Kube) -> None:
        self._url = kube.service_address("faq-qdrant")
        self._key = kube.secret("faq-qdrant-key", "api-key")
        self._prefix = f"{kube.namespace}.faq"

    def versions(self) -> list[str]:
        """Of the indexes whose collections are there."""
        answer = http(f"{self._url}/collections", key=self._key)
        return sorted(self._version(one["name"]) for one in answer.body["result"]["collections"])

    def found(self) -> str:
        """Version of the index that outside readers find."""
        answer = http(f"{self._url}/aliases", key=self._key)
        pairs = {one["alias_name"]: one["collection_name"] for one in answer.body["result"]["aliases"]}
        return self._version(pairs.get(self._prefix, ""))

    def _version(self, collection: str) -> str:
        return collection.removeprefix(f"{self._prefix}.").rpartition(".")[0]


def declare(kube: Kube, version: str) -> None:
    """Another index over documents of its own."""
    name = f"documents-of-{version}"
    kube.apply(documents(name, **{"more.md": f"# More\n\nThis is said in {version} only.\n"}))
    kube.patch(
        "ragservice", "faq", {"spec": {"index": {"version": version, "documents": {"configMapRef": {"name": name}}}}}
    )


def settled(kube: Kube, store: Store, alias: str, *versions: str) -> None:
    """These collections are there and no others, and outside readers find that one."""
    kube.wait_condition("faq", "Ready", "True", 60)
    wait_for(
        f"collections {versions}, alias {alias}",
        lambda: (store.versions(), store.found()) == (sorted(versions), alias) or None,
        40,
    )


def test_collections_go_when_nothing_needs_them_and_the_alias_follows_what_serves(module_kube: Kube) -> None:
    kube = module_kube
    kube.apply(documents(), rag_service(release={"history": 2}))
    kube.wait_condition("faq", "Ready", "True", 120)
    store = Store(kube)
    settled(kube, store, "docs-v1", "docs-v1")
    assert [] == kube.list("jobs", SWEEPS)

    declare(kube, "docs-v2")
    settled(kube, store, "docs-v2", "docs-v1", "docs-v2")
    kube.patch("ragservice", "faq", {"spec": {"rollback": {"index": "docs-v1"}}})
    settled(kube, store, "docs-v1", "docs-v1", "docs-v2")

    declare(kube, "docs-given-up")
    wait_for("a build to give up", lambda: "docs-given-up" in store.versions(), 40)
    kube.patch("ragservice", "faq", {"spec": {"rollback": None}})
    declare(kube, "docs-v3")
    job = wait_for("the sweep after the switch", lambda: _sweep_to(kube, "docs-v3"), 60)
    kube.run("delete", "pods", "-l", f"job-name={job}", "--grace-period=0", "--force", "--wait=false")
    settled(kube, store, "docs-v3", "docs-v1", "docs-v3")
    wait_for("the end of the sweep", lambda: [j for j in kube.list("jobs", SWEEPS) if j["status"].get("succeeded")], 20)


def _sweep_to(kube: Kube, version: str) -> str:
    """Name of the sweep Job that moves the alias to this index and may run; empty while there is none."""
    for job in kube.list("jobs", SWEEPS):
        told = {one["name"]: one.get("value", "") for one in job["spec"]["template"]["spec"]["containers"][0]["env"]}
        if f".{version}." in told.get("RAG_SWEEP_TARGET", "") and not job["spec"].get("suspend"):
            return str(job["metadata"]["name"])
    return ""
