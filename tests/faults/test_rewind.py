"""etcd is put back to an earlier time under a running operator: versions go back, and what came later never was."""

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rag_operator import names

from tests.cluster.fixtures import PrivateControlPlane
from tests.control_plane.reconcile.harness import Json, Kube, config_map, operator, rag_service, until
from tests.control_plane.reconcile.planes import ROOT
from tests.control_plane.reconcile.test_level_triggered import essence
from tests.unit.runtime.informer_stage import rewind, stage

pytestmark = pytest.mark.control_plane
SPACE = "rewound"
NOTICED_SECONDS = 30.0


@pytest.fixture
def kube(private_control_plane: PrivateControlPlane) -> Iterator[Kube]:
    plane = private_control_plane
    plane.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
    plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    plane.kubectl("create", "namespace", SPACE)
    kube = Kube(plane, SPACE)
    kube.create("ConfigMap", config_map("documents"))
    yield kube
    kube.close()


def down(plane: PrivateControlPlane) -> None:
    """API server and etcd end; the data stays."""
    plane.stop()
    plane.control_plane.processes.stop("etcd")


def up(plane: PrivateControlPlane) -> None:
    plane.control_plane.start_etcd()
    plane.start()


def declared(kube: Kube) -> Json:
    """What the Deployment of the early service is to be."""
    return essence(kube.get("Deployment", names.api("early")) or {})


def stays_away(kube: Kube, service: str) -> bool:
    """Remove the children; they are not made again within a while."""
    for place in kube.children(service):
        kube.delete(*place)
    time.sleep(3)
    return not kube.children(service)


def test_a_store_put_back_to_an_earlier_time_is_noticed(
    kube: Kube, private_control_plane: PrivateControlPlane, tmp_path: Path
) -> None:
    plane = private_control_plane
    data, saved = plane.control_plane.plane.folder / "etcd", tmp_path / "saved"
    with operator(plane, SPACE, tmp_path / "operator.log"):
        kube.create("RagService", rag_service("early"))
        until(lambda: len(kube.children("early")) == 10 and kube.condition("early")[0], 60)
        time.sleep(2)
        wanted = declared(kube)
        down(plane)
        shutil.copytree(data, saved)
        up(plane)
        kube.close()
        kube.create("RagService", rag_service("late"))
        kube.patch("RagService", "early", {"spec": {"api": {"limits": {"maxConcurrentRequests": 16}}}})
        until(lambda: len(kube.children("late")) == 10, 60)
        for number in range(40):
            kube.patch("ConfigMap", "documents", {"data": {"a.md": f"# A\n\n{number}."}})
        down(plane)
        shutil.rmtree(data)
        shutil.copytree(saved, data)
        up(plane)
        kube.close()
        before = kube.get("Service", names.api("early"))
        assert before is not None
        kube.delete("Service", names.api("early"))
        took = until(lambda: kube.get("Service", names.api("early")), 90)
        assert took < NOTICED_SECONDS
        # The caches do not notice in the same moment, so a child may be made for what is no more; its garbage collector is
        # the cluster's. At last it is not made again.
        until(lambda: stays_away(kube, "late"), NOTICED_SECONDS)
        until(lambda: declared(kube) == wanted, NOTICED_SECONDS)


@pytest.mark.parametrize("version", [0, 10_000], ids=["behind", "ahead"])
async def test_a_server_that_was_away_is_compared_whole(version: int) -> None:
    """Over sockets: for a moment it answers no LIST, then it takes a watch from any version and says nothing.

    It may have written so much since that its version is past the one that was seen last.
    """
    async with stage("a", "b") as it:
        await rewind(it)
        it.server.version = max(it.server.version, version)
        it.server.refuse_lists = True
        it.server.cut()
        await asyncio.sleep(0.3)
        it.server.refuse_lists = False
        await it.becomes(a="restored")
