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
from ..runtime.errors import ApiError, RuntimeFault
from ..runtime.kinds import Kind

Json = dict[str, Any]
Key = tuple[str, str, str, str]
"""uid of the RagService, type, reason, message."""

SERIES_SECONDS = 600.0
PATCH_SECONDS = 30.0
MAX_REMEMBERED = 4096
MAX_TRIES = 5
LET_GO = frozenset({403, 404, 409})
"""The namespace ends, or an Event of that name is there."""


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


@dataclass(slots=True)
class _Owed:
    """An Event that could not be written yet. Its name stays, so that one which was stored unheard is not stored twice."""

    event: Json
    tries: int = 0


class EventLog:
    """What the API server refuses is let go. What it could not take is kept in this process: `tell` and `retell` raise, so that
    the pass is repeated, and `retell` tries again, `MAX_TRIES` times in all."""

    def __init__(self, writer: Writer, monotonic: Callable[[], float]) -> None:
        self._writer = writer
        self._monotonic = monotonic
        self._series: Bounded[Key, _Series] = Bounded(MAX_REMEMBERED)
        self._owed: Bounded[Key, _Owed] = Bounded(MAX_REMEMBERED)

    async def tell(self, body: Mapping[str, Any], kind: str, reason: str, message: str, now: datetime) -> None:
        """Write an Event about a RagService, or count one up."""
        metadata = body["metadata"]
        key = (metadata["uid"], kind, reason, message)
        series = self._series.get(key)
        if series is not None and self._monotonic() - series.started < SERIES_SECONDS:
            await self._again(key, metadata["namespace"], series, now)
            return
        if key not in self._owed:
            self._owed.set(key, _Owed(_event(metadata, kind, reason, message, now)))
        await self._create(key)

    async def retell(self, service_uid: str) -> None:
        """Write what could not be written about this RagService when it happened."""
        for key in [key for key in self._owed if key[0] == service_uid]:
            await self._create(key)

    async def _create(self, key: Key) -> None:
        owed = self._owed.get(key)
        if owed is None:
            return
        owed.tries += 1
        try:
            await self._writer.create(owed.event)
        except RuntimeFault as error:
            refused = isinstance(error, ApiError) and error.status in LET_GO
            if refused or owed.tries >= MAX_TRIES:
                self._owed.drop(key)
            if not refused:
                raise
            if not (isinstance(error, ApiError) and error.is_already_exists):
                return
        time = self._monotonic()
        self._owed.drop(key)
        self._series.set(key, _Series(owed.event["metadata"]["name"], time, time))

    async def _again(self, key: Key, namespace: str, series: _Series, now: datetime) -> None:
        series.count += 1
        time = self._monotonic()
        if time - series.written < PATCH_SECONDS:
            return
        series.written = time
        patch = {"series": {"count": series.count, "lastObservedTime": _micro(now)}}
        try:
            await self._writer.merge_patch(kinds.EVENT, namespace, series.name, patch)
        except ApiError as error:
            self._series.drop(key)
            if error.status not in LET_GO:
                raise


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
