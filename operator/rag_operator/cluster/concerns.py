"""Which RagServices a change concerns, and whether they should be looked at before all else.

Urgent is what somebody wants (an edit of a spec, of a ConfigMap that it names), what somebody did to a child of ours, and
everything about a service that says Ready, for its status may be untrue now. The rest is the answer of controllers and pods
to our own writes: it comes in bursts, and can wait until others have got their children.
"""

from collections.abc import Iterator
from typing import Any

from ..observed import condition_of
from ..runtime import kinds
from .caches import Caches
from .references import Referrers
from .watched import CHILDREN, SERVICE, key_for

Json = dict[str, Any]
Key = tuple[str, str]
MADE_BY_US = frozenset(kind.kind for kind in CHILDREN)
SIGNS = ("uid", "generation", "managedFields", "ownerReferences", "labels", "deletionTimestamp")


class Concerns:
    """Is told of every change in the caches."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self._referrers = Referrers()

    def of(self, old: Json | None, new: Json | None) -> dict[Key, bool]:
        """Namespace and name of each RagService, with whether it is urgent. Both sides count: a child that changes hands
        concerns the former and the new service."""
        touched = _touched(old, new)
        found: dict[Key, bool] = {}
        for obj in (old, new):
            for key in self._keys(obj) if obj is not None else ():
                found[key] = touched or self._says_ready(key)
        self._learn(old, new)
        return found

    def _keys(self, obj: Json) -> Iterator[Key]:
        metadata, kind = obj["metadata"], obj["kind"]
        if kind == kinds.EVENT.kind:
            about = obj.get("regarding")
            obj = self._caches[about["kind"]].get(about["namespace"], about["name"]) or {} if about else {}
        key = key_for(obj) if obj else None
        if key is not None:
            yield key
        if kind == kinds.CONFIG_MAP.kind:
            yield from self._referrers.of(metadata["namespace"], metadata["name"])

    def _learn(self, old: Json | None, new: Json | None) -> None:
        service = new or old
        if service is not None and service["kind"] == SERVICE.kind:
            metadata = service["metadata"]
            self._referrers.put((metadata["namespace"], metadata["name"]), new)

    def _says_ready(self, key: Key) -> bool:
        service = self._caches[SERVICE.kind].get(*key)
        condition = condition_of((service or {}).get("status") or {}, "Ready")
        return condition is not None and condition["status"] == "True"


def _touched(old: Json | None, new: Json | None) -> bool:
    """Somebody wants something else, or has his hands on a child: not merely a status that moves on.

    A field of ours that others change leaves our entry in managedFields; an edit of a spec raises the generation.
    """
    known = old or new
    if known is None or known["kind"] not in MADE_BY_US | {SERVICE.kind}:
        return False
    if old is None or new is None:
        return True
    before, after = old["metadata"], new["metadata"]
    signs = (*SIGNS, "resourceVersion") if known["kind"] == kinds.CONFIG_MAP.kind else SIGNS
    return any(before.get(field) != after.get(field) for field in signs)
