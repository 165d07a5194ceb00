"""The life of collections on real containers: what outside readers find, what stays to go back to, and what goes."""

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

from tests.bench.processes import pod_processes

from .kube import Json, Kube, http, wait_for
from .objects import QUESTION, documents, rag_service

pytestmark = pytest.mark.node

PARTS = "ragserving.dev/service=faq,app.kubernetes.io/component="
SWEEPS = PARTS + "index-sweep"
LONG = "".join(f"Paragraph {number} of a long text that takes its time.\n\n" for number in range(12_000))
FOREIGN = "somebody-elses"


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
        return self._version(self.named())

    def named(self) -> str:
        """The collection that they find; empty for none."""
        answer = http(f"{self._url}/aliases", key=self._key)
        pairs = {one["alias_name"]: one["collection_name"] for one in answer.body["result"]["aliases"]}
        return str(pairs.get(self._prefix, ""))

    def send(self, method: str, path: str, body: Json | None = None) -> Json:
        """What Qdrant answers to a change by another hand."""
        answer = http(self._url + path, body=body, key=self._key, method=method)
        assert answer.status == 200, answer
        return answer.body

    @contextlib.contextmanager
    def alias_taken(self) -> Iterator[None]:
        """The name for outside readers names a collection of somebody else meanwhile."""
        self.send("PUT", f"/collections/{FOREIGN}", {})
        move = {"create_alias": {"collection_name": FOREIGN, "alias_name": self._prefix}}
        self.send("POST", "/collections/aliases", {"actions": [move]})
        yield
        assert FOREIGN == self.named()
        self.send("DELETE", f"/collections/{FOREIGN}")

    @contextlib.contextmanager
    def of_another_identity(self, version: str) -> Iterator[None]:
        """A collection says meanwhile that it was built by another analyzer."""
        listed = http(f"{self._url}/collections", key=self._key).body["result"]["collections"]
        (name,) = (one["name"] for one in listed if self._version(one["name"]) == version)
        stamp = self.send("GET", f"/collections/{name}")["result"]["config"]["metadata"]["rag"]
        other = stamp | {"identity": stamp["identity"] | {"model": "another"}}
        self.send("PATCH", f"/collections/{name}", {"metadata": {"rag": other}})
        yield
        self.send("PATCH", f"/collections/{name}", {"metadata": {"rag": stamp}})

    def _version(self, collection: str) -> str:
        return collection.removeprefix(f"{self._prefix}.").rpartition(".")[0]


def declare(kube: Kube, version: str, text: str = "") -> None:
    """Another index over documents of its own."""
    name = f"documents-of-{version}"
    kube.apply(documents(name, **{"more.md": f"# More\n\nThis is said in {version} only.\n\n{text}"}))
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
    check_that_another_identity_is_not_served(kube, store)

    declare(kube, "docs-v2")
    settled(kube, store, "docs-v2", "docs-v1", "docs-v2")
    kube.patch("ragservice", "faq", {"spec": {"rollback": {"index": "docs-v1"}}})
    settled(kube, store, "docs-v1", "docs-v1", "docs-v2")

    declare(kube, "docs-given-up", LONG)
    wait_for("a build to give up", lambda: "docs-given-up" in store.versions(), 40, 0.02)
    kill_build(kube)
    kube.patch("ragservice", "faq", {"spec": {"rollback": None}})
    with store.alias_taken():
        declare(kube, "docs-v3")
        job = wait_for("the sweep after the switch", lambda: _sweep_to(kube, "docs-v3"), 60)
        wait_for("word of the alias", lambda: f"names the collection {FOREIGN}" in swept(kube), 20)
        assert "True" == kube.condition("faq", "Ready")[0]
    kube.run("delete", "pods", "-l", f"job-name={job}", "--grace-period=0", "--force", "--wait=false")
    settled(kube, store, "docs-v3", "docs-v1", "docs-v3")
    wait_for("the end of the sweep", lambda: [j for j in kube.list("jobs", SWEEPS) if j["status"].get("succeeded")], 20)


def check_that_another_identity_is_not_served(kube: Kube, store: Store) -> None:
    """It is refused from the next look on, and told."""
    key = kube.secret("faq-client-key", "api-key")
    (pod,) = kube.list("pods", PARTS + "api")
    url = f"http://{pod['status']['podIP']}:8000"
    with store.of_another_identity("docs-v1"):
        wait_for("not ready", lambda: 503 == http(f"{url}/ready").status, 5)
        assert 503 == http(f"{url}/query", body={"question": QUESTION}, key=key).status
        _, _, message = kube.wait_condition("faq", "IndexReady", "False", 20, reason="CollectionMissing")
        assert "the release names another identity" in message
    settled(kube, store, "docs-v1", "docs-v1")
    assert 200 == http(f"{url}/query", body={"question": QUESTION}, key=key).status


def kill_build(kube: Kube) -> None:
    """End the indexer in the middle of its work, without a last word."""
    running = [
        process for pod in kube.list("pods", PARTS + "index") for process in pod_processes(pod["metadata"]["uid"])
    ]
    assert running
    for process in running:
        os.kill(process, signal.SIGKILL)


def swept(kube: Kube) -> str:
    """What the status says of the sweep that is under way; empty for none."""
    status = (kube.get("ragservice", "faq") or {})["status"]
    return str(status["collections"].get("sweep", ""))


def _sweep_to(kube: Kube, version: str) -> str:
    """Name of the sweep Job that moves the alias to this index and may run; empty while there is none."""
    for job in kube.list("jobs", SWEEPS):
        told = {one["name"]: one.get("value", "") for one in job["spec"]["template"]["spec"]["containers"][0]["env"]}
        if f".{version}." in told.get("RAG_SWEEP_TARGET", "") and not job["spec"].get("suspend"):
            return str(job["metadata"]["name"])
    return ""
