"""The informers, as far as the cluster's parts use them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from .. import names
from ..observed import controller_uid
from ..runtime import kinds
from .differs import applied_by
from .watched import keeper

Json = dict[str, Any]


class Cache(Protocol):
    """One informer."""

    def get(self, namespace: str, name: str) -> Json | None:
        """One object, or None."""

    def by_owner_key(self, owner: str) -> Sequence[Json]:
        """The objects that concern one RagService ("namespace/name")."""

    def absorb(self, obj: Json, *, quiet: bool = False) -> None:
        """Take over the server's answer to our own write; `quiet`: without calling for another pass."""


Caches = Mapping[str, Cache]
"""By the name of each of `watched()`."""


def absorb(caches: Caches, body: Json, *, quiet: bool = False) -> None:
    """Read our own writes: no decision on a state older than this answer."""
    kind = kinds.kind_of(body)
    caches[kind.kind].absorb(keeper(kind)(body), quiet=quiet)


def is_ours(obj: Json, uid: str) -> bool:
    """Controlled by this very RagService; or controlled by nobody, but made by us: somebody took the owner away."""
    owner = controller_uid(obj)
    return owner == uid or (owner is None and bool(applied_by(obj, names.FIELD_MANAGER)))
