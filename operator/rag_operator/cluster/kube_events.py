"""Kubernetes' warnings about our pods, claims and children: why a volume is not mounted, a pod not created, a probe not answered.

Such facts stand in Events alone. They carry no labels, so all warnings are watched but those about RagServices, which are our
own; of one that cannot be about an object of ours only the key is kept.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from .. import names
from ..observed import Notice
from ..runtime import kinds

Json = dict[str, Any]

SELECTOR = "type=Warning,regarding.kind!=RagService,regarding.kind!=Node"
MAX_NOTE = 1024
RUNNING = (names.COMPONENT_API, names.COMPONENT_QDRANT, names.COMPONENT_INDEX, names.COMPONENT_MODEL)
OURS = re.compile(rf"-({'|'.join(RUNNING)})(-|$)")
"""In the name of every pod, claim, StatefulSet and Job of a RagService: what other components' names begin with, too."""
ABOUT = frozenset({"Pod", "PersistentVolumeClaim", "StatefulSet", "Job"})


class Warnings(Protocol):
    """An informer of Events."""

    def by_owner_key(self, owner: str) -> Sequence[Json]:
        """The warnings about one object, by `subject`."""


def keep(event: Json) -> Json:
    """What is kept of an Event."""
    metadata = {key: event["metadata"].get(key, "") for key in ("name", "namespace", "uid", "resourceVersion")}
    body: Json = {"apiVersion": kinds.EVENT.api_version, "kind": kinds.EVENT.kind, "metadata": metadata}
    about = event.get("regarding") or {}
    if about.get("kind") in ABOUT and OURS.search(about.get("name", "")):
        body["regarding"] = {key: about.get(key, "") for key in ("kind", "namespace", "name", "uid")}
        body["reason"], body["note"] = event.get("reason", ""), (event.get("note") or "")[:MAX_NOTE]
    return body


def subject(event: Mapping[str, Any]) -> str | None:
    """What an Event is about, as one text; None when it cannot be ours."""
    about = event.get("regarding")
    return about["uid"] or None if about else None


def notices(cache: Warnings, objects: Iterable[Mapping[str, Any]]) -> tuple[Notice, ...]:
    """All warnings about these objects, the oldest first."""
    found = [event for obj in objects for event in cache.by_owner_key(obj["metadata"]["uid"])]
    found.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
    return tuple(Notice(event["regarding"]["uid"], event["reason"], event["note"]) for event in found)
