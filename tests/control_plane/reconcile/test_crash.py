"""Killed at any moment and started again, the operator ends where an undisturbed one ends; a restart alone writes nothing."""

import contextlib
import json
import random
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from rag_operator import names

from tests.cluster.fixtures import Cluster

from .harness import Json, Kube, NodeDouble, Operator, operator, rag_service, until
from .test_level_triggered import WRITES, calls_of_the_operator, essence

pytestmark = pytest.mark.control_plane
ROUNDS = 6
SEED = 20261121
PROMPT_2: Json = {"spec": {"prompt": {"version": "answer-v2", "system": "Be brief."}}}


def served(kube: Kube, service: str, revision: int) -> bool:
    """Ready, with this revision, and the records say so too."""
    status = (kube.get("RagService", service) or {}).get("status") or {}
    if kube.condition(service) != ("True", "AllChecksPassed") or status.get("revision") != revision:
        return False
    records = kube.list("RagRevision", service)
    return [revision] == [r["spec"]["number"] for r in records if r.get("status", {}).get("state") == "Serving"]


def end_state(kube: Kube, service: str) -> dict[str, Any]:
    """Everything made for a service, and its status, with the service's name and what differs by nature taken out.

    By kind and name; names that differ in a hash alone share a list. RagRevisions are taken with their status, which is ours.
    """
    children, body = kube.children(service), kube.get("RagService", service) or {}
    found = [(f"{kind} {name}", essence(child)) for (kind, name), child in children.items()]
    found += [
        (f"{k} {n} status", untimed(child.get("status"))) for (k, n), child in children.items() if k == "RagRevision"
    ]
    found.append(("status", untimed(body["status"])))
    text = json.dumps(found, sort_keys=True)
    for owner in (*children.values(), body):
        text = text.replace(owner["metadata"]["uid"], "UID")
    # Hashes cover settings and collections, which hold the name of the service.
    text = re.sub(r"\b([0-9a-f]{8}){1,2}\b", "HASH", text.replace(service, "SERVICE"))
    result: dict[str, Any] = {}
    for name, what in json.loads(text):
        result.setdefault(name, []).append(mask(what))
    for alike in result.values():
        alike.sort(key=lambda what: json.dumps(what, sort_keys=True))
    return result


TIMES = frozenset({"lastTransitionTime", "since", "left"})


def untimed(told: Any) -> Any:
    """A status without its times; that there is one is kept."""
    if isinstance(told, dict):
        return {key: "TIME" if key in TIMES else untimed(value) for key, value in told.items()}
    return [untimed(entry) for entry in told] if isinstance(told, list) else told


def mask(body: Json | None) -> Json | None:
    """Addresses that the API server gives, and labels of Jobs that hold a uid."""
    if body is None:
        return None
    spec = body.get("spec") or {}
    for field in ("clusterIP", "clusterIPs", "selector" if "completions" in spec else "clusterIP"):
        spec.pop(field, None)
    template = spec.get("template", {}).get("metadata", {}).get("labels", {})
    for label in [label for label in template if "controller-uid" in label]:
        del template[label]
    owned = body.get("labels") or {}
    for label in [label for label in owned if "controller-uid" in label]:
        del owned[label]
    return body


def versions(kube: Kube, service: str) -> dict[tuple[str, str], str]:
    """Of the children that no controller writes a status to."""
    still = {"ConfigMap", "Service", "ServiceAccount", "RagRevision"}
    return {k: body["metadata"]["resourceVersion"] for k, body in kube.children(service).items() if k[0] in still}


def test_killed_at_random_moments_it_ends_in_the_same_state(quiet_kube: Kube, plane: Cluster, tmp_path: Path) -> None:
    kube, dice = quiet_kube, random.Random(SEED)
    process = Operator(plane, kube.namespace, tmp_path / "killed.log")
    kube.create("RagService", rag_service("tried"))
    with NodeDouble(kube, "tried"), NodeDouble(kube, "calm1"):
        for number in range(ROUNDS):
            process.start()
            moment = dice.uniform(0.0, 0.6)
            if number == 0:
                until(lambda: kube.list("ConfigMap", "tried"))
            else:
                time.sleep(1.0)
            time.sleep(moment)
            if number == ROUNDS // 2:
                until(lambda: served(kube, "tried", 1))
                kube.patch("RagService", "tried", PROMPT_2)
                time.sleep(moment / 10)
            process.end(signal.SIGKILL)
            if number > ROUNDS // 2:
                victims = sorted(kube.children("tried"))
                kube.delete(*dice.choice([v for v in victims if v[0] not in {"RagRevision", "Job"}]))
        with operator(plane, kube.namespace, tmp_path / "last.log"):
            until(lambda: served(kube, "tried", 2), 30)
            kube.create("RagService", rag_service("calm1"))
            until(lambda: served(kube, "calm1", 1))
            kube.patch("RagService", "calm1", PROMPT_2)
            until(lambda: served(kube, "calm1", 2))
            with contextlib.suppress(AssertionError):  # the comparison below says in what they differ
                until(lambda: end_state(kube, "tried") == end_state(kube, "calm1"), 10)
            assert end_state(kube, "tried") == end_state(kube, "calm1")


def test_restart_of_a_settled_operator_writes_nothing(quiet_kube: Kube, plane: Cluster, tmp_path: Path) -> None:
    kube = quiet_kube
    kube.create("RagService", rag_service("still"))
    with NodeDouble(kube, "still"):
        with operator(plane, kube.namespace, tmp_path / "first.log"):
            until(lambda: served(kube, "still", 1))
            time.sleep(0.5)
        before = versions(kube, "still")
        offset = plane.audit_log.stat().st_size
        with operator(plane, kube.namespace, tmp_path / "second.log"):
            until(lambda: ("list", "ragservices") in calls_of_the_operator(plane, offset, kube.namespace))
            time.sleep(2)
        calls = calls_of_the_operator(plane, offset, kube.namespace)
        assert [call for call in calls if call[0] in WRITES] == []
        assert versions(kube, "still") == before


def test_two_operators_at_once_do_no_harm(quiet_kube: Kube, plane: Cluster, tmp_path: Path) -> None:
    kube = quiet_kube
    first = operator(plane, kube.namespace, tmp_path / "one.log")
    second = operator(plane, kube.namespace, tmp_path / "two.log")
    with NodeDouble(kube, "shared"), first, second:
        time.sleep(2)
        kube.create("RagService", rag_service("shared"))
        until(lambda: served(kube, "shared", 1))
        kube.patch("RagService", "shared", PROMPT_2)
        until(lambda: served(kube, "shared", 2))
        kube.delete("Service", names.api("shared"))
        until(lambda: kube.get("Service", names.api("shared")))
        time.sleep(1)
        offset = plane.audit_log.stat().st_size
        time.sleep(3)
        assert calls_of_the_operator(plane, offset, kube.namespace) == []
        assert len(kube.list("RagRevision", "shared")) == 2
