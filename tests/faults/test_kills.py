"""SIGKILL at every write of create, change and delete, then a restart: the same end, every object made and deleted once.

The selection that every run takes has each write once, with one of the three moments; `make faults` takes all three.
"""

import pytest
from rag_operator import names

from tests.control_plane.reconcile.harness import until

from .life import EVERYTHING, KILLED_SECONDS, Reference, World, plans, same_end
from .plans import KILLS, Fault, Rule

pytestmark = pytest.mark.control_plane


def killed_at(stage: World, service: str, what: str, fault: Fault) -> None:
    """Wait until the operator was killed at this write, and start it again."""
    rule = next(rule for rule in stage.proxy.rules if rule.service == service)
    assert stage.process.killed.wait(KILLED_SECONDS), f"{service} never wrote {what!r} ({fault})"
    assert rule.done
    stage.process.start()


def test_at_every_write_of_a_creation(stage: World, reference: Reference) -> None:
    services = []
    for number, (what, fault) in enumerate(plans(reference.writes[0], KILLS)):
        services.append(f"new{number:03}")
        stage.proxy.rules.append(Rule(services[-1], what, fault))
        stage.create(services[-1])
        killed_at(stage, services[-1], what, fault)
    stage.served(services, 1, 120)
    stage.quiet()
    # The refresh of a pod's volumes is in the record only when the pod did not see the table by itself.
    assert len(services) >= len([what for what in reference.writes[0] if not what.startswith("patch pods")]) >= 14
    same_end(stage, services, reference, 0)


def test_at_every_write_of_a_change(stage: World, reference: Reference) -> None:
    chosen = plans(reference.writes[1], KILLS)
    services = [f"change{number:03}" for number in range(len(chosen))]
    for service in services:
        stage.create(service)
    stage.served(services, 1, 120)
    stage.quiet()
    for service, (what, fault) in zip(services, chosen, strict=True):
        stage.proxy.rules.append(Rule(service, what, fault))
        stage.change(service)
        killed_at(stage, service, what, fault)
    stage.served(services, 2, 120)
    stage.quiet()
    assert any(what.startswith("delete") for what, _ in chosen)
    same_end(stage, services, reference, 1)


def test_a_deletion_at_any_moment_of_a_creation_leaves_nothing(stage: World, reference: Reference) -> None:
    """Deletion itself is the garbage collector's: the operator writes nothing for it, and must not write after it."""
    whats = reference.writes[0] if EVERYTHING else reference.writes[0][::5]
    services = []
    for number, what in enumerate(whats):
        services.append(f"gone{number:03}")
        stage.proxy.rules.append(Rule(services[-1], what, Fault.KILL_APPLIED))
        stage.create(services[-1])
        assert stage.process.killed.wait(KILLED_SECONDS), what
        stage.kube.delete("RagService", services[-1])
        stage.process.start()
    secrets = [name(service) for service in services for name in (names.qdrant_key, names.client_key)]
    until(lambda: not any(stage.kube.children(service) for service in services), 30)
    until(lambda: not any(stage.kube.get("Secret", secret) for secret in secrets), 30)
    stage.quiet()
    assert not any(stage.kube.children(service) for service in services)


def test_deleting_a_settled_service_costs_no_write(stage: World, reference: Reference) -> None:
    stage.create("last")
    stage.served(["last"], 1)
    stage.quiet()
    before = len(stage.proxy.writes)
    stage.kube.delete("RagService", "last")
    until(lambda: not stage.kube.children("last"), 30)
    stage.quiet()
    assert [] == stage.proxy.writes[before:]
