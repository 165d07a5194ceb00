"""What was compared and needs no comparison again, until the stored object or what is wanted of it changes."""

import hashlib
from typing import Any

import orjson

from ..runtime.bounded import Bounded

MAX_REMEMBERED = 65536


class Settled:
    """Remembers by uid and part of an object: this version is as this wish wants it."""

    def __init__(self) -> None:
        self._memory: Bounded[tuple[str, str], tuple[str, bytes]] = Bounded(MAX_REMEMBERED)

    def holds(self, metadata: dict[str, Any], wanted: bytes, part: str = "") -> bool:
        """It was found to be so."""
        return self._memory.get((metadata["uid"], part)) == (metadata["resourceVersion"], wanted)

    def remember(self, metadata: dict[str, Any], wanted: bytes, part: str = "") -> None:
        """It is so."""
        self._memory.set((metadata["uid"], part), (metadata["resourceVersion"], wanted))


def digest(body: Any) -> bytes:
    """Equal for equal bodies."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest()
