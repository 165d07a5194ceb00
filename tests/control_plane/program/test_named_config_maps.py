"""ConfigMaps that RagServices name: their versions are watched, their contents are read once for each version."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rag_operator import names

from tests.cluster.fixtures import Cluster, new_namespace
from tests.control_plane.reconcile.harness import Json, Kube, NodeDouble, config_map, rag_service
from tests.e2e.kube import wait_for

from .conftest import OPERATOR_NAMESPACE
from .process import Running, Start, login

pytestmark = pytest.mark.control_plane
NEVER, OFTEN = 3600, 2
"""Seconds between two resyncs."""


@pytest.fixture
def kube(program_plane: Cluster) -> Iterator[Kube]:
    """A namespace with the ConfigMap `documents` and the service `faq`, which names it."""
    with new_namespace(program_plane, "named") as namespace:
        made = Kube(program_plane, namespace)
        made.create("ConfigMap", config_map("documents"))
        made.create("RagService", rag_service("faq"))
        yield made
        made.close()


@pytest.fixture
def running(kube: Kube, program_plane: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Running]:
    """The operator of that namespace, with the released rights."""
    scope = {
        "RAG_OPERATOR_NAMESPACE": kube.namespace,
        "RAG_OPERATOR_LEASE_NAMESPACE": OPERATOR_NAMESPACE,
        "RAG_OPERATOR_RESYNC_SECONDS": str(request.param),
    }
    with Start(login(program_plane, OPERATOR_NAMESPACE, tmp_path), tmp_path, scope).running() as made:
        yield made


def reads(running: Running) -> float:
    """GETs of ConfigMaps so far."""
    return running.value("rag_operator_api_requests_total", verb="get", kind="ConfigMap")


def says(kube: Kube, kind: str, status: str) -> None:
    wait_for(f"{kind}={status}", lambda: kube.condition("faq", kind)[0] == status, 60)


def status(kube: Kube) -> Json:
    """The status of the service."""
    return dict((kube.get("RagService", "faq") or {}).get("status") or {})


def serves(kube: Kube, revision: int, index: str) -> None:
    """Wait until every pod has said so."""

    def told() -> bool:
        now = status(kube)
        return (now.get("revision"), now.get("index"), kube.condition("faq")[0]) == (revision, index, "True")

    wait_for(f"revision {revision} with {index}", told, 60)


@pytest.mark.parametrize("running", [NEVER], indirect=True)
def test_an_edit_wakes_a_settled_service_that_names_it(kube: Kube, running: Running) -> None:
    """A service that is Ready is looked at again when an event concerns it, and at a resync, of which there is none here.

    Other documents under the same index version are refused, or with refresh.onChange built as the next build of that version.
    """
    others = {"data": {"a.md": "# A\n\nOther text under the same index version."}}
    as_before = {"data": config_map("documents")["data"]}
    with NodeDouble(kube, "faq"):
        serves(kube, 1, "docs-1")
        assert 1 == reads(running)
        table = kube.get("ConfigMap", names.releases("faq"))
        kube.patch("ConfigMap", "documents", others)
        says(kube, "SpecValid", "False")
        assert ("False", "IndexVersionReused") == kube.condition("faq", "SpecValid")
        assert 2 == reads(running)
        message = next(c["message"] for c in status(kube)["conditions"] if c["type"] == "SpecValid")
        for words in (
            'The index "docs-1" of revision 1 has other documents',
            "a new spec.index.version",
            'spec.rollback.index "docs-1"',
        ):
            assert words in message
        assert table == kube.get("ConfigMap", names.releases("faq")), "the old documents are served"
        kube.patch("ConfigMap", "documents", as_before)
        says(kube, "Ready", "True")
        assert 3 == reads(running)
        kube.patch("RagService", "faq", {"spec": {"index": {"refresh": {"onChange": True}}}})
        kube.patch("ConfigMap", "documents", others)
        serves(kube, 2, "docs-1.2")
        kube.patch("ConfigMap", "documents", as_before)
        serves(kube, 1, "docs-1")


@pytest.mark.parametrize("running", [OFTEN], indirect=True)
def test_a_resync_looks_at_every_service_and_reads_nothing(kube: Kube, running: Running) -> None:
    def rounds() -> float:
        return running.value("rag_operator_cache_lists_total", kind="UserConfigMap")

    wait_for("a resync", lambda: rounds() >= 2, 60)
    passes, before = running.value("rag_operator_reconciles_total"), rounds()
    wait_for("two more", lambda: rounds() >= before + 2, 60)
    assert running.value("rag_operator_reconciles_total") > passes
    assert 1 == reads(running)
