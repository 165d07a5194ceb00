"""Writing the status: when, and only when it differs."""

from collections.abc import Callable
from typing import Any

from .. import names
from ..observed import condition_of
from ..runtime.bounded import Bounded
from ..runtime.client import Client
from .caches import Caches, absorb
from .settled import Settled, digest
from .watched import SERVICE

Json = dict[str, Any]

MAX_REMEMBERED = 65536
PACE_SECONDS = 0.5
PART = "status"


class Statuses:
    """`wrote` must be told of every write about a RagService: what follows it is told once."""

    def __init__(self, client: Client, caches: Caches, monotonic: Callable[[], float]) -> None:
        self._client = client
        self._caches = caches
        self._monotonic = monotonic
        self._settled = Settled()
        self._written: Bounded[str, float] = Bounded(MAX_REMEMBERED)

    def wrote(self, service_uid: str) -> None:
        """Something of this service was just written."""
        self._written.set(service_uid, self._monotonic())

    def due(self, body: Json, desired: Json) -> float:
        """Seconds until this status should be written.

        Right after a write of ours the controllers of the children answer it with a burst of changes, which is told once.
        Never late are: that Ready is True, for then nothing more is expected; and that a Ready turned, unless the stored
        status itself says that it is about an earlier spec.
        """
        stored = body.get("status") or {}
        written = self._written.get(body["metadata"]["uid"])
        verdict = _ready(desired)
        if written is None or stored == desired or verdict == "True":
            return 0.0
        current = stored.get("observedGeneration") == body["metadata"].get("generation")
        if current and _ready(stored) not in {"", verdict}:
            return 0.0
        return max(0.0, written + PACE_SECONDS - self._monotonic())

    async def write(self, body: Json, desired: Json) -> bool:
        """Apply the status of a RagService or RagRevision when it differs from the stored one. True when it was written."""
        metadata = body["metadata"]
        if desired == (body.get("status") or {}):
            return False
        wanted = digest(desired)
        if self._settled.holds(metadata, wanted, PART):
            return False
        patch = {
            "apiVersion": names.API_VERSION,
            "kind": body["kind"],
            # The version is a precondition: an object of the same name that came later has its own status. A uid is none, for the
            # API server takes over no metadata with a status.
            "metadata": {key: metadata[key] for key in ("name", "namespace", "resourceVersion")},
            "status": desired,
        }
        answer = await self._client.apply(patch, subresource="status")
        if answer["metadata"]["resourceVersion"] == metadata["resourceVersion"]:
            self._settled.remember(answer["metadata"], wanted, PART)
            return False
        # Whatever else was changed meanwhile and concerns us has another generation.
        absorb(self._caches, answer, quiet=answer["metadata"].get("generation") == metadata.get("generation"))
        if body["kind"] == SERVICE.kind:
            self.wrote(metadata["uid"])
        return True


def _ready(status: Json) -> str:
    condition = condition_of(status, "Ready")
    return str(condition["status"]) if condition is not None else ""
