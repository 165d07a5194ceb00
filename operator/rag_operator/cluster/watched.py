"""What the operator watches, what is kept of each object, and which RagService an object concerns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .. import names
from ..runtime import kinds
from ..runtime.kinds import Kind
from . import kube_events

Json = dict[str, Any]
Trim = Callable[[Json], Json]

SERVICE = kinds.RAG_SERVICE
CHILDREN: tuple[Kind, ...] = (
    kinds.CONFIG_MAP,
    kinds.SERVICE,
    kinds.SERVICE_ACCOUNT,
    kinds.DEPLOYMENT,
    kinds.STATEFUL_SET,
    kinds.JOB,
    kinds.POD_DISRUPTION_BUDGET,
    kinds.RAG_REVISION,
)
"""Kinds that we make. Secrets are not among them: they are made, never read."""
FOLLOWED: tuple[Kind, ...] = (kinds.POD, kinds.PERSISTENT_VOLUME_CLAIM)
"""Kinds that others make from ours."""
USER_CONFIG_MAPS = "UserConfigMap"
"""The informer of ConfigMaps that are not ours: RagServices may name them."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One informer: its kind, the labels it asks for (None: all), and what it keeps of an object.

    `name` tells informers apart; `metadata_only`: the server sends nothing else.
    """

    name: str
    kind: Kind
    label_selector: str | None
    trim: Trim
    field_selector: str | None = None
    metadata_only: bool = False


def watched() -> tuple[Watched, ...]:
    """All informers that `KubernetesCluster` needs."""
    kind = kinds.CONFIG_MAP
    return (
        Watched(SERVICE.kind, SERVICE, None, keeper(SERVICE)),
        *(Watched(made.kind, made, names.LABEL_SERVICE, keeper(made)) for made in (*CHILDREN, *FOLLOWED)),
        Watched(USER_CONFIG_MAPS, kind, f"!{names.LABEL_SERVICE}", version_only, metadata_only=True),
        Watched(kinds.EVENT.kind, kinds.EVENT, None, kube_events.keep, kube_events.SELECTOR),
    )


def key_for(obj: Mapping[str, Any]) -> tuple[str, str] | None:
    """Namespace and name of the RagService that an object concerns, by kind or label; None when by neither."""
    metadata = obj["metadata"]
    if obj.get("kind") == SERVICE.kind and obj.get("apiVersion") == names.API_VERSION:
        return metadata["namespace"], metadata["name"]
    service = (metadata.get("labels") or {}).get(names.LABEL_SERVICE)
    return (metadata["namespace"], service) if service else None


def owner_key(obj: Mapping[str, Any]) -> str | None:
    """`key_for` as one text: what the informers index by. Warnings are indexed by the object that they are about."""
    if obj.get("kind") == kinds.EVENT.kind:
        return kube_events.subject(obj)
    key = key_for(obj)
    return "/".join(key) if key is not None else None


def version_only(obj: Json) -> Json:
    """Of a ConfigMap of which a cluster may have very many: which one, in which version."""
    metadata = obj["metadata"]
    return {
        "apiVersion": kinds.CONFIG_MAP.api_version,
        "kind": kinds.CONFIG_MAP.kind,
        "metadata": {
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
    }


def keeper(kind: Kind) -> Trim:
    """What to keep of an object of this kind. Items of a list carry no kind, and most of managedFields is other people's: ours is all that is compared."""

    def keep(obj: Json) -> Json:
        metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
        ours = [e for e in obj["metadata"].get("managedFields") or () if e.get("manager") == names.FIELD_MANAGER]
        if ours and kind != kinds.POD:
            metadata["managedFields"] = ours
        body = {**obj, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
        if kind == kinds.POD:
            body.pop("spec", None)
        return body

    return keep
