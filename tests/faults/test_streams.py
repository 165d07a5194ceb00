"""Events that come late, torn or never, and LISTs whose pages expire: nothing is missed, and nothing is written twice."""

from collections import Counter
from collections.abc import Iterator

import pytest
from rag_operator import names

from tests.cluster.fixtures import Cluster
from tests.control_plane.reconcile.harness import new_kube, until

from .life import Reference, World, world
from .plans import StreamFault

pytestmark = pytest.mark.control_plane
LATE_SECONDS = 2.5
RESYNC_SECONDS = 4
FOUND_SECONDS = 2.5 * RESYNC_SECONDS
SERVICE = "streamed"
UNCOUNTED = ("events", "pods", "ragservices/status")
"""Told or refreshed once more or less, as the moments fall."""


@pytest.fixture(scope="module")
def often(plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A namespace whose operator compares its caches every few seconds, with one settled service."""
    folder = tmp_path_factory.mktemp("often")
    with new_kube(plane, "often") as kube, world(plane, kube, folder, resync_seconds=str(RESYNC_SECONDS)) as made:
        made.create(SERVICE)
        made.served([SERVICE], 1)
        made.quiet()
        yield made


def counted(stage: World, service: str) -> Counter[str]:
    """How often each write was sent."""
    return Counter(w.what for w in stage.proxy.sent(service) if w.what.split()[1] not in UNCOUNTED)


def test_late_events_cost_no_write_twice(stage: World, reference: Reference) -> None:
    """What was written is known from the answer: no second create, apply or delete until the watch tells of the first."""
    calm = counted(stage, "calm")
    stage.proxy.late = LATE_SECONDS
    try:
        stage.create("late")
        stage.served(["late"], 1, 120)
        stage.change("late")
        stage.served(["late"], 2, 120)
        stage.quiet(2 * LATE_SECONDS)
    finally:
        stage.proxy.late = 0.0
    assert {} == counted(stage, "late") - calm
    assert stage.proxy.made("late") == reference.counts[1]


def deleted_service(stage: World) -> str:
    """Delete the API's Service; its uid."""
    body = stage.kube.get("Service", names.api(SERVICE))
    assert body is not None
    stage.kube.delete("Service", names.api(SERVICE))
    return str(body["metadata"]["uid"])


def is_new(stage: World, old: str) -> bool:
    body = stage.kube.get("Service", names.api(SERVICE))
    return body is not None and body["metadata"]["uid"] != old


def test_an_event_that_is_torn_in_the_middle_of_a_stream_is_not_lost(stage: World) -> None:
    stage.create(SERVICE)
    stage.served([SERVICE], 1)
    stage.quiet()
    fault = StreamFault("services", torn=True)
    stage.proxy.stream_faults.append(fault)
    old = deleted_service(stage)
    until(lambda: fault.taken)
    stage.kube.patch("Service", names.qdrant(SERVICE), {"metadata": {"annotations": {"later": "event"}}})
    until(lambda: is_new(stage, old), 10)
    assert stage.process.runs


def test_an_event_that_never_comes_is_found_by_the_resync(often: World) -> None:
    fault = StreamFault("services")
    often.proxy.stream_faults.append(fault)
    old = deleted_service(often)
    until(lambda: fault.taken)
    until(lambda: is_new(often, old), FOUND_SECONDS)


def test_pages_whose_token_expires_are_read_anew(often: World) -> None:
    """Every token does: at last the LIST is read in one page."""
    often.proxy.page_limit, often.proxy.expiring = 1, 1_000_000
    fault = StreamFault("services")
    often.proxy.stream_faults.append(fault)
    try:
        old = deleted_service(often)
        until(lambda: fault.taken)
        until(lambda: is_new(often, old), 2 * FOUND_SECONDS)
        assert often.proxy.expiring < 1_000_000
    finally:
        often.proxy.page_limit = often.proxy.expiring = 0


def test_a_list_in_pages_of_one_is_whole(often: World) -> None:
    often.proxy.page_limit = 1
    try:
        lists = often.proxy.requests["list services"]
        until(lambda: often.proxy.requests["list services"] >= lists + 6, 3 * FOUND_SECONDS)
        before = len(often.proxy.writes)
        often.quiet(RESYNC_SECONDS)
        assert [] == often.proxy.writes[before:]
    finally:
        often.proxy.page_limit = 0
