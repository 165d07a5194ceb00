"""`spec.index.refresh.schedule` on a real API server: the operator wakes by itself when the moment comes, by a clock of the test's."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from rag_operator import names
from rag_operator.program import serve
from rag_operator.runtime import login
from rag_operator.runtime.supervise import Supervisor
from rag_operator.settings import PodAccess, Settings

from tests.cluster.fixtures import Cluster

from .harness import Json, Kube, NodeDouble, rag_service, until

pytestmark = pytest.mark.control_plane
NAME = "nightly"


class Clock:
    """The machine's clock, set forward by `ahead`."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
async def clock(plane: Cluster, quiet_kube: Kube) -> AsyncIterator[Clock]:
    """The clock of an operator in this process that watches the namespace."""
    clock, supervisor = Clock(), Supervisor()
    settings = Settings(
        namespace=quiet_kube.namespace,
        leader_election=False,
        metrics_port=0,
        health_port=0,
        pod_access=PodAccess.DIRECT,
        kubeconfig="",
    )
    running = asyncio.create_task(serve(settings, login.load(str(plane.kubeconfig)), clock, supervisor))
    yield clock
    supervisor.stop()
    await asyncio.wait_for(running, 30)


def on_volume(schedule: str) -> Json:
    index = {
        "version": "docs-1",
        "documents": {"persistentVolumeClaim": {"claimName": "manuals"}},
        "refresh": {"schedule": schedule},
    }
    return rag_service(NAME, index=index)


def told(kube: Kube) -> Json:
    """The status."""
    return (kube.get("RagService", NAME) or {}).get("status") or {}


def released(kube: Kube, index: str) -> None:
    until(lambda: told(kube).get("index") == index and kube.condition(NAME)[0] == "True")


def swept(kube: Kube) -> bool:
    """The last word of a release: outside readers find it, and nothing waits."""
    collections = told(kube)["collections"]
    return collections.get("aliasNames") == told(kube)["collection"] and "sweep" not in collections


async def test_a_build_is_made_and_released_when_its_moment_comes(quiet_kube: Kube, clock: Clock) -> None:
    kube, stamp = quiet_kube, "%Y-%m-%dT%H:%M:%SZ"
    moment = (clock() + timedelta(minutes=30)).replace(second=0, microsecond=0)
    kube.create("RagService", on_volume(f"{moment.minute} {moment.hour} * * *"))
    with NodeDouble(kube, NAME):
        await asyncio.to_thread(released, kube, "docs-1")
        assert told(kube)["indexRefresh"]["next"] == moment.strftime(stamp)
        clock.ahead = moment - datetime.now(UTC) - timedelta(seconds=2)
        kube.patch("RagService", NAME, {"metadata": {"annotations": {"team": "looks"}}})
        await asyncio.to_thread(released, kube, "docs-1.2")
        await asyncio.to_thread(until, lambda: swept(kube))
        before = kube.get("RagService", NAME)
        await asyncio.sleep(1)
        assert kube.get("RagService", NAME) == before
    (job,) = builds(kube)
    first, second = (kube.get("RagRevision", f"{NAME}-r{number}") for number in (1, 2))
    assert first is not None
    assert second is not None
    assert "indexSlot" not in first["spec"]
    assert (
        second["spec"]["indexSlot"] == moment.strftime(stamp) == job["metadata"]["annotations"][names.ANNOTATION_SLOT]
    )
    assert told(kube)["indexRefresh"]["next"] == (moment + timedelta(days=1)).strftime(stamp)


def builds(kube: Kube) -> list[Json]:
    """The index Jobs."""
    jobs = kube.list("Job", NAME)
    return [job for job in jobs if job["metadata"]["labels"][names.LABEL_COMPONENT] == names.COMPONENT_INDEX]
