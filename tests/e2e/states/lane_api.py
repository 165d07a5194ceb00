"""Rows about the API: its image, its room, its keys, and hands on its children."""

import hashlib
import json
from collections.abc import Callable

from .facts import ended, listening, no_pods, silent, unplaced, waiting
from .parts import ABSENT, INDEXER, PULLS, SILENT, born, both, by_hand, edit, gone, kill, secret
from .place import Json, Place
from .run import Healed, Lane, Row, nothing

SLOW = 8.0
"""Seconds that a container may take to answer for the first time."""
KEYS = json.dumps([{"id": "team", "sha256": hashlib.sha256(b"open sesame").hexdigest(), "tenant": "default"}])
OWN_IMAGE = edit(api={"image": None})
ROOM = edit(api={"resources": {"requests": {"cpu": "40m", "memory": None}, "limits": {"memory": None}}})


def rows_of_image() -> list[Row]:
    """spec.api.image."""
    wrong = ("ApiReady", "CrashLoop", ("exit code", "kubectl logs"))
    return [
        Row("api image from nowhere", edit(api={"image": ABSENT}), "ApiReady", "ImagePullFailed",
            (ABSENT, "registry.invalid", "check its name"), OWN_IMAGE, waiting("api", *PULLS)),
        Row("api image of an unknown tag", edit(api={"image": "registry.invalid/api:no-such-tag"}), "ApiReady",
            "ImagePullFailed", ("no-such-tag", "its tag"), OWN_IMAGE, waiting("api", *PULLS)),
        Row("api image is the indexer's", edit(api={"image": INDEXER}), *wrong, OWN_IMAGE, ended("api")),
        Row("api image listens to nobody", edit(api={"image": SILENT}), "ApiReady", "ProbeFailing",
            ("does not answer", "refused"), OWN_IMAGE, silent("api", SLOW)),
    ]  # fmt: skip


def rows_of_room() -> list[Row]:
    """spec.api.resources and replicas."""
    return [
        Row("api asks for more CPU than there is", edit(api={"resources": {"requests": {"cpu": "900"}}}), "ApiReady",
            "InsufficientResources", ("Insufficient cpu", "Lower the requests"), ROOM, unplaced("api")),
        Row("api asks for more memory than there is",
            edit(api={"resources": {"requests": {"memory": "900Gi"}, "limits": {"memory": "900Gi"}}}), "ApiReady",
            "InsufficientResources", ("Insufficient memory",), ROOM, unplaced("api")),
        Row("api has too little memory",
            edit(api={"resources": {"requests": {"memory": "16Mi"}, "limits": {"memory": "16Mi"}}}), "ApiReady",
            "OutOfMemory", ("raise the memory limit",), ROOM, ended("api")),
        Row("api is scaled to zero", edit(api={"replicas": 0}), "ApiReady", "ScaledToZero", ("spec.api.replicas",),
            edit(api={"replicas": 1}), no_pods),
        Row("api pod is deleted", kill("api"), "ApiReady", "ApiStarting", ("pods are ready",), nothing),
        Row("api roll-out is paused by hand",
            both(by_hand("deployments", "{}-api", spec={"paused": True}), edit(api={"limits": {"requestsPerMinute": 7}})),
            "ApiReady", "RollOutHeld", ("rollout resume",), by_hand("deployments", "{}-api", spec={"paused": None})),
    ]  # fmt: skip


def rows_of_keys() -> list[Row]:
    """The Secret with the clients' keys."""

    def named(name: str, key: str = "keys.json") -> Json:
        return {"auth": {"keysSecretRef": {"name": name, "key": key}}}

    return [
        Row("keys Secret is missing", born(api=named("clients")), "ApiReady", "ApiKeysMissing", ('"clients"', "Secret"),
            secret("clients", keys_json=KEYS), listening("api"), ready_reasons=("WaitingForIndex", "IndexBuilding")),
        Row("keys Secret lacks the key", edit(api=named("clients", "other.json")), "ApiReady", "ApiKeysMissing",
            ('"clients"', '"other.json"'), secret("clients", keys_json=KEYS, other_json=KEYS), listening("api")),
        Row("keys are no JSON", both(secret("broken", keys_json="{"), edit(api=named("broken"))), "ApiReady",
            "ApiKeysMissing", ('"broken"', "cannot be used"), secret("broken", keys_json=KEYS), listening("api")),
        Row("keys are an empty list", both(secret("empty", keys_json="[]"), edit(api=named("empty"))), "ApiReady",
            "ApiKeysMissing", ('"empty"', "no key"), secret("empty", keys_json=KEYS), listening("api")),
    ]  # fmt: skip


def scaled_back(place: Place) -> bool:
    """The Deployment asks for one pod."""
    return bool((place.get("deployments", f"{place.name}-api") or {"spec": {}})["spec"].get("replicas") == 1)


def selector_back(place: Place) -> bool:
    """The Service finds the API's pods again, and no others."""
    body = place.get("services", f"{place.name}-api") or {"spec": {}}
    return bool(body["spec"].get("selector", {}).get("app.kubernetes.io/component") == "api")


def marked(plural: str, name: str) -> Callable[[Place], bool]:
    """Labels and owner are there."""

    def probe(place: Place) -> bool:
        metadata = (place.get(plural, name.format(place.name)) or {"metadata": {}})["metadata"]
        labelled = (metadata.get("labels") or {}).get("ragserving.dev/service") == place.name
        return labelled and bool(metadata.get("ownerReferences"))

    return probe


def table_back(place: Place) -> bool:
    """The release table is one again."""
    body = place.get("configmaps", f"{place.name}-releases") or {"data": {}}
    return "answer-v1" in body["data"].get("releases.json", "")


def service_back(place: Place) -> bool:
    """The Service exists."""
    return place.get("services", f"{place.name}-api") is not None


def hands() -> list[Healed]:
    """Edits of children that are undone."""
    unlabelled = {"metadata": {"labels": None}}
    return [
        Healed("api is scaled by hand", by_hand("deployments", "{}-api", spec={"replicas": 3}), scaled_back),
        Healed("service selector is edited", by_hand("services", "{}-api", spec={"selector": {"app.kubernetes.io/component": "x"}}), selector_back),
        Healed("service is deleted", gone("services", "{}-api"), service_back),
        Healed("deployment loses labels", by_hand("deployments", "{}-api", **unlabelled), marked("deployments", "{}-api")),
        Healed("service loses its owner", by_hand("services", "{}-api", metadata={"ownerReferences": None}), marked("services", "{}-api")),
        Healed("release table is edited", by_hand("configmaps", "{}-releases", data={"releases.json": "{}"}), table_back),
    ]  # fmt: skip


LANES = [
    Lane("image", rows_of_image()),
    Lane("room", rows_of_room()),
    Lane("keys", rows_of_keys(), born=True),
    Lane("hands", hands()),
]
