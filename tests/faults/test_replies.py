"""Each write of create and change is refused, throttled, torn off, or applied without a reply, once: the end is the same."""

import contextlib
import json
import time

import pytest
from rag_operator import names

from tests.control_plane.reconcile.harness import until

from .life import Reference, World, plans, same_end
from .plans import Fault, Rule

pytestmark = pytest.mark.control_plane
FAULTS = (Fault.CONFLICT, Fault.TOO_MANY, Fault.INTERNAL, Fault.UNAVAILABLE, Fault.RESET, Fault.LOST)
IN_FLIGHT_SECONDS = 0.1
"""What was sent at the same moment as the write that was refused."""


def all_met(rules: list[Rule]) -> None:
    """Each went wrong; says which write never came."""
    with contextlib.suppress(AssertionError):
        until(lambda: all(rule.done for rule in rules))
    assert [] == [(rule.service, rule.what) for rule in rules if not rule.done]


def test_of_a_creation(stage: World, reference: Reference) -> None:
    chosen = plans(reference.writes[0], FAULTS)
    rules = [Rule(f"new{number:03}", what, fault) for number, (what, fault) in enumerate(chosen)]
    stage.proxy.rules.extend(rules)
    for rule in rules:
        stage.create(rule.service)
    stage.served([rule.service for rule in rules], 1, 120)
    all_met(rules)
    stage.quiet()
    assert stage.process.starts == 1
    assert stage.process.runs
    same_end(stage, [rule.service for rule in rules], reference, 0)


def test_of_a_change(stage: World, reference: Reference) -> None:
    chosen = plans(reference.writes[1], FAULTS)
    rules = [Rule(f"change{number:03}", what, fault) for number, (what, fault) in enumerate(chosen)]
    services = [rule.service for rule in rules]
    for service in services:
        stage.create(service)
    stage.served(services, 1, 120)
    stage.quiet()
    stage.proxy.rules.extend(rules)
    for service in services:
        stage.change(service)
    stage.served(services, 2, 120)
    all_met(rules)
    stage.quiet()
    assert stage.process.runs
    same_end(stage, services, reference, 1)


def test_retry_after_is_obeyed(stage: World, reference: Reference) -> None:
    """One write is answered 429 with Retry-After 1: nothing at all is sent to the server for that second."""
    rule = Rule("slow", "apply services -api", Fault.TOO_MANY)
    stage.proxy.rules.append(rule)
    stage.create("slow")
    stage.served(["slow"], 1)
    later = [moment - rule.at for moment in stage.proxy.arrived if moment > rule.at + IN_FLIGHT_SECONDS]
    assert min(later) >= 1.0 - IN_FLIGHT_SECONDS


def test_a_refused_write_is_told_and_keeps_no_other_back(stage: World, reference: Reference) -> None:
    rule = Rule("refused", "apply serviceaccounts -api", Fault.FORBIDDEN, times=1_000)
    stage.proxy.rules.append(rule)
    stage.create("refused")
    until(lambda: stage.kube.get("Deployment", names.api("refused")) and stage.kube.list("Job", "refused"))
    until(lambda: stage.kube.condition("refused", "ApiReady") == ("False", "AdmissionRefused"))
    rule.times = 0
    stage.served(["refused"], 1)
    stage.quiet()
    same_end(stage, ["refused"], reference, 0)


def test_without_its_record_a_release_is_not_served(stage: World) -> None:
    """The table names a revision only when its record is stored."""
    rule = Rule("unrecorded", "apply ragrevisions -r*", Fault.FORBIDDEN, times=1_000)
    stage.proxy.rules.append(rule)
    stage.create("unrecorded")
    until(lambda: rule.taken >= 1)
    time.sleep(1.5)
    table = stage.kube.get("ConfigMap", names.releases("unrecorded"))
    assert table is not None
    assert [] == json.loads(table["data"]["releases.json"])["revisions"]
    until(lambda: stage.kube.condition("unrecorded", "ReleaseSettled") == ("False", "AdmissionRefused"))
    assert [] == [entry for status in stage.proxy.statuses("unrecorded") for entry in status["history"]]
    rule.times = 0
    stage.served(["unrecorded"], 1)


def test_a_server_that_is_in_trouble_is_asked_at_a_growing_distance(stage: World) -> None:
    rule = Rule("troubled", "apply serviceaccounts -api", Fault.UNAVAILABLE, times=1_000)
    stage.proxy.rules.append(rule)
    stage.create("troubled")
    until(lambda: rule.taken)
    time.sleep(5)
    assert 3 <= rule.taken <= 10
    rule.times = 0
    stage.served(["troubled"], 1)
