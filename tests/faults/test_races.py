"""Somebody else is faster: the world changes between the operator's look and its write, in the very moment of the write."""

from collections.abc import Callable

import pytest
from rag_operator import names

from tests.control_plane.reconcile.harness import Json, Kube, config_map, rag_service, until

from .life import World
from .plans import Fault, Rule

pytestmark = pytest.mark.control_plane
THEIRS: Json = {"mine": "yes"}


def version(kube: Kube, kind: str, name: str) -> str:
    body = kube.get(kind, name)
    assert body is not None, f"{kind} {name} is gone"
    return str(body["metadata"]["resourceVersion"])


def settings_map(kube: Kube, service: str) -> str:
    """Name of the one ConfigMap of settings."""
    found = [
        body["metadata"]["name"]
        for body in kube.list("ConfigMap", service)
        if body["metadata"]["labels"][names.LABEL_COMPONENT] == names.COMPONENT_SETTINGS
    ]
    (name,) = found
    return str(name)


def test_a_child_whose_name_is_taken_in_the_last_moment(stage: World) -> None:
    service, name = "taken", names.releases("taken")

    def take() -> None:
        stage.kube.create("ConfigMap", config_map(name, **THEIRS))

    rule = Rule(service, "apply configmaps -releases", Fault.OVERTAKEN, take)
    stage.proxy.rules.append(rule)
    stage.create(service)
    until(lambda: stage.kube.condition(service) == ("False", "NameTaken"))
    assert rule.answer == 409
    theirs = stage.kube.get("ConfigMap", name)
    assert theirs is not None
    assert (THEIRS, None) == (theirs["data"], theirs["metadata"].get("labels"))
    stage.kube.delete("ConfigMap", name)
    stage.served([service], 1)


def test_what_only_looks_like_a_child_is_neither_changed_nor_pruned(stage: World) -> None:
    """It carries the service's labels, and is owned by nobody or by another service."""
    kube, service = stage.kube, "labelled"
    kube.create("RagService", rag_service("neighbour"))
    stage.create(service)
    stage.served([service], 1)
    owner = kube.get("RagService", "neighbour")
    assert owner is not None
    reference = {
        "apiVersion": names.API_VERSION,
        "kind": "RagService",
        "name": "neighbour",
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    labels = names.labels(service, names.COMPONENT_PROMPT)
    before = {}
    for name, owners in (("labelled-nobodys", []), ("labelled-neighbours", [reference])):
        body = config_map(name, **THEIRS)
        body["metadata"] |= {"labels": labels, "ownerReferences": owners}
        kube.create("ConfigMap", body)
        before[name] = version(kube, "ConfigMap", name)
    stage.change(service)
    stage.served([service], 2)
    stage.quiet()
    assert before == {name: version(kube, "ConfigMap", name) for name in before}


def overtaken_prune(stage: World, service: str, overtake: Callable[[str], None]) -> tuple[Rule, str]:
    """A change makes a settings map needless; just before its delete arrives, `overtake` is called with its name."""
    stage.create(service)
    stage.served([service], 1)
    stage.quiet()
    old = settings_map(stage.kube, service)
    rule = Rule(service, "delete configmaps -api-HASH", Fault.OVERTAKEN, lambda: overtake(old))
    stage.proxy.rules.append(rule)
    stage.change(service)
    stage.served([service], 2)
    until(lambda: rule.done)
    return rule, old


def test_a_prune_spares_what_took_the_place_of_the_old(stage: World) -> None:
    kube = stage.kube

    def replace(old: str) -> None:
        kube.delete("ConfigMap", old)
        kube.create("ConfigMap", config_map(old, **THEIRS))

    rule, old = overtaken_prune(stage, "replaced", replace)
    stage.quiet()
    assert rule.answer == 409
    theirs = kube.get("ConfigMap", old)
    assert theirs is not None
    assert THEIRS == theirs["data"]


def test_a_prune_spares_what_was_changed_and_tries_again(stage: World) -> None:
    kube = stage.kube

    def edit(old: str) -> None:
        kube.patch("ConfigMap", old, {"metadata": {"annotations": {"team": "theirs"}}})

    rule, old = overtaken_prune(stage, "edited", edit)
    until(lambda: kube.get("ConfigMap", old) is None)
    assert rule.answer == 409


def test_a_status_never_lands_on_the_next_service_of_that_name(stage: World) -> None:
    kube, service = stage.kube, "reborn"
    stage.create(service)
    stage.served([service], 1)

    def replace() -> None:
        kube.delete("RagService", service)
        kube.create("RagService", rag_service(service))

    rule = Rule(service, "apply ragservices/status", Fault.OVERTAKEN, replace)
    stage.proxy.rules.append(rule)
    stage.change(service)
    until(lambda: rule.done and rule.answer)
    assert rule.answer in {404, 409}
    stage.served([service], 1)
    body = kube.get("RagService", service)
    assert body is not None
    assert 1 == body["status"]["observedGeneration"]


def test_an_edit_in_the_moment_of_an_apply_keeps_its_own_fields(stage: World) -> None:
    kube, service = stage.kube, "shared"
    stage.create(service)
    stage.served([service], 1)
    stage.quiet()
    name = names.api(service)

    def edit() -> None:
        kube.patch("Deployment", name, {"metadata": {"annotations": {"team": "theirs"}}, "spec": {"replicas": 5}})

    stage.proxy.rules.append(Rule(service, "apply deployments -api", Fault.OVERTAKEN, edit))
    stage.change(service)
    stage.served([service], 2)
    deployment = kube.get("Deployment", name)
    assert deployment is not None
    assert "theirs" == deployment["metadata"]["annotations"]["team"]
    assert 5 != deployment["spec"]["replicas"]
