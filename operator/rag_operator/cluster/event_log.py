"""Events that we write for people: one for each thing that happened, counted when it happens again and again.

A service that flaps must not fill the event store: an Event that was written within the last ten minutes is counted up
instead of written anew, and that at most every half minute.
"""

import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from .. import names
from ..runtime import kinds
from ..runtime.bounded import Bounded
from ..runtime.errors import ApiError
from ..runtime.kinds import Kind

Json = dict[str, Any]

SERIES_SECONDS = 600.0
PATCH_SECONDS = 30.0
MAX_REMEMBERED = 4096


class Writer(Protocol):
    """Of the Kubernetes client, what is used here."""

    async def create(self, obj: Json) -> Json:
        """Create an object."""

    async def merge_patch(self, kind: Kind, namespace: str | None, name: str, patch: Json) -> Json:
        """Change one."""


@dataclass(slots=True)
class _Series:
    """An Event that was written. Times are of the monotonic clock."""

    name: str
    started: float
    written: float
    count: int = 1


class EventLog:
    """Losing an Event is no failure of a pass: what the API server refuses is let go."""

    def __init__(self, writer: Writer, monotonic: Callable[[], float]) -> None:
        self._writer = writer
        self._monotonic = monotonic
        self._series: Bounded[tuple[str, str, str, str], _Series] = Bounded(MAX_REMEMBERED)

    async def tell(self, body: Mapping[str, Any], kind: str, reason: str, message: str, now: datetime) -> None:
        """Write an Event about a RagService, or count one up."""
        metadata, time = body["metadata"], self._monotonic()
        key = (metadata["uid"], kind, reason, message)
        series = self._series.get(key)
        try:
            if series is not None and time - series.started < SERIES_SECONDS:
                await self._again(metadata["namespace"], series, time, now)
                return
            event = _event(metadata, kind, reason, message, now)
            self._series.set(key, _Series(event["metadata"]["name"], time, time))
            await self._writer.create(event)
        except ApiError as error:
            self._series.drop(key)
            if error.status not in {403, 404, 409}:
                raise

    async def _again(self, namespace: str, series: _Series, time: float, now: datetime) -> None:
        series.count += 1
        if time - series.written < PATCH_SECONDS:
            return
        series.written = time
        patch = {"series": {"count": series.count, "lastObservedTime": _micro(now)}}
        await self._writer.merge_patch(kinds.EVENT, namespace, series.name, patch)


def _event(metadata: Mapping[str, Any], kind: str, reason: str, message: str, now: datetime) -> Json:
    return {
        "apiVersion": kinds.EVENT.api_version,
        "kind": kinds.EVENT.kind,
        "metadata": {"name": f"{metadata['name']}.{secrets.token_hex(8)}", "namespace": metadata["namespace"]},
        "eventTime": _micro(now),
        "reportingController": f"{names.GROUP}/{names.FIELD_MANAGER}",
        "reportingInstance": socket.gethostname()[:128],
        "action": "Reconcile",
        "type": kind,
        "reason": reason,
        "note": message[:1000],
        "regarding": {
            "apiVersion": names.API_VERSION,
            "kind": kinds.RAG_SERVICE.kind,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
    }


def _micro(time: datetime) -> str:
    """As in `metav1.MicroTime`."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
