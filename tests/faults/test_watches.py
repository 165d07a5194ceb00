"""Watches that break, lie or fall silent: the operator stays up, and what it missed is put right.

The control of each test is a deletion that no watch tells: it is found only by a new LIST.
"""

import json
import time

import pytest
from rag_operator import names

from tests.control_plane.reconcile.harness import until

from .life import EVERYTHING, World
from .plans import WatchFault

pytestmark = pytest.mark.control_plane
SERVICE = "watched"
HEALED_SECONDS = 10.0
SILENCE_SECONDS = 75.0


def error_event(code: int, reason: str = "ByTheProxy") -> bytes:
    """One line of a watch that says that the server has a problem."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    return json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"


FAULTS = {
    "410 as HTTP status": WatchFault(status=410),
    "410 as ERROR event": WatchFault(lines=(error_event(410, "Expired"),)),
    "403 as ERROR event": WatchFault(lines=(error_event(403),)),
    "429 as ERROR event": WatchFault(lines=(error_event(429),)),
    "500 as ERROR event": WatchFault(lines=(error_event(500),)),
    "504 as ERROR event": WatchFault(lines=(error_event(504),)),
    "403 as HTTP status": WatchFault(status=403),
    "500 as HTTP status": WatchFault(status=500),
    "a torn line": WatchFault(lines=(b'{"type":"MODIFIED","object":{"kind":"Depl',)),
    "no JSON": WatchFault(lines=(b"<html>busy</html>\n",)),
    "an event without an object": WatchFault(lines=(b'{"type":"ADDED"}\n',)),
}
CHILDREN = {
    "deployments": ("Deployment", names.api(SERVICE)),
    "services": ("Service", names.qdrant(SERVICE)),
    "statefulsets": ("StatefulSet", names.qdrant(SERVICE)),
    "configmaps": ("ConfigMap", names.releases(SERVICE)),
    "serviceaccounts": ("ServiceAccount", names.api(SERVICE)),
}
ROUNDS = [list(FAULTS)[start : start + len(CHILDREN)] for start in range(0, len(FAULTS), len(CHILDREN))]
STEADY_SECONDS = 5.5
"""After this time of quiet a watch has forgotten its earlier failures, so that one test does not slow down the next."""


@pytest.fixture(scope="module")
def settled(stage: World) -> World:
    """One service, Ready."""
    stage.create(SERVICE)
    stage.served([SERVICE], 1)
    stage.quiet()
    return stage


def uid(stage: World, kind: str, name: str) -> str:
    """Of an object; empty when it does not exist."""
    return str((stage.kube.get(kind, name) or {"metadata": {"uid": ""}})["metadata"]["uid"])


def missed_deletion(stage: World, then: dict[str, WatchFault]) -> dict[str, float]:
    """Delete a child of each of these resources while nobody may watch, then let watching go wrong once more in this way.

    Seconds until each child is back after watching is allowed again.
    """
    time.sleep(STEADY_SECONDS)
    before = stage.proxy.requests.copy()
    stage.proxy.held.update(then)
    for resource in then:
        stage.proxy.cut(resource)
    # Every watch is broken, and was tried again.
    until(lambda: all(stage.proxy.requests[f"watch {name}"] > before[f"watch {name}"] for name in then))
    old = {name: uid(stage, *CHILDREN[name]) for name in then}
    for name in then:
        stage.kube.delete(*CHILDREN[name])
    stage.proxy.watch_faults.extend(then.values())
    stage.proxy.held.clear()
    started = time.monotonic()
    back: dict[str, float] = {}

    def all_back() -> bool:
        for name in then.keys() - back.keys():
            if uid(stage, *CHILDREN[name]) not in {"", old[name]}:
                back[name] = time.monotonic() - started
        return len(back) == len(then)

    until(all_back, 40)
    return back


@pytest.mark.parametrize("faults", ROUNDS, ids=", ".join)
def test_a_deletion_behind_a_broken_watch_is_found(settled: World, faults: list[str]) -> None:
    then = {
        resource: WatchFault(resource=resource, status=FAULTS[fault].status, lines=FAULTS[fault].lines)
        for resource, fault in zip(CHILDREN, faults, strict=False)
    }
    took = missed_deletion(settled, then)
    until(lambda: all(how.taken == 1 for how in then.values()), 40)
    assert max(took.values()) < HEALED_SECONDS, took
    assert settled.process.runs
    settled.served([SERVICE], 1)


def test_a_deletion_that_history_has_forgotten_is_found(settled: World) -> None:
    """The version to resume from is gone: the server says 410, and the LIST has to be compared with the cache."""
    lists = settled.proxy.requests["list deployments"]
    took = missed_deletion(settled, {"deployments": WatchFault("deployments", status=410)})
    assert took["deployments"] < HEALED_SECONDS
    assert settled.proxy.requests["list deployments"] > lists


@pytest.mark.parametrize("fault", ["a torn line", "500 as ERROR event"])
def test_every_watch_at_once(settled: World, fault: str) -> None:
    """kopf's own watch too: it ends at this, and is started again."""
    how = FAULTS[fault]
    settled.proxy.watch_faults.append(WatchFault(lines=how.lines, count=12))
    settled.proxy.cut()
    until(lambda: settled.proxy.watch_faults[-1].taken == 12)
    time.sleep(1.0)
    old = uid(settled, "Service", names.api(SERVICE))
    settled.kube.delete("Service", names.api(SERVICE))
    took = until(lambda: uid(settled, "Service", names.api(SERVICE)) not in {"", old}, 40)
    assert took < HEALED_SECONDS
    assert settled.process.runs


def test_a_broken_watch_is_no_storm(settled: World) -> None:
    """While the server refuses, it is asked at a growing distance."""
    before = settled.proxy.requests.copy()
    settled.proxy.held.add("services")
    settled.proxy.cut("services")
    time.sleep(6)
    settled.proxy.held.clear()
    asked = settled.proxy.requests - before
    assert 2 <= asked["watch services"] + asked["list services"] <= 16
    until(lambda: settled.proxy.requests["watch services"] > before["watch services"] + asked["watch services"], 40)


@pytest.mark.skipif(not EVERYTHING, reason="it takes as long as silence is borne; make faults runs it")
def test_a_silent_watch_is_noticed(settled: World) -> None:
    settled.proxy.watch_faults.append(WatchFault("deployments", silent=True))
    settled.proxy.cut("deployments")
    until(lambda: settled.proxy.watch_faults[-1].taken == 1)
    old = uid(settled, "Deployment", names.api(SERVICE))
    settled.kube.delete("Deployment", names.api(SERVICE))
    took = until(lambda: uid(settled, "Deployment", names.api(SERVICE)) not in {"", old}, 100)
    assert took < SILENCE_SECONDS
    assert settled.process.runs
