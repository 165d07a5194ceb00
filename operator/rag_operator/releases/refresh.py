"""Builds of one index version by `spec.index.refresh.schedule`: which of its moments is to be built. Pure.

A slot is a moment of the schedule, as text in UTC. It stands for what lay on the volume then: it is part of the hash of the
index, and empty for a build that an edit asked for.

    no build of the declared index is recorded   -> no slot: the first build, as without a schedule
    a Job builds a slot, and has not failed      -> that slot: what was begun is finished first
    suspended, index gone back to, no schedule   -> the slot of the newest build: nothing is started
    the last moment until now is after the newest build, and after the schedule was first seen -> that moment
    else                                         -> the slot of the newest build
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rag_contract.identity import IndexIdentity

from .. import names
from ..api import RagServiceSpec
from ..observed import Observed, component_of, finished
from .identity import index_hash
from .records import Record, Records
from .schedule import following, last, stamp


@dataclass(frozen=True, slots=True)
class Refresh:
    """The declared schedule. Moments after `since` count: when this schedule was first seen, as the status remembers.

    `due` is the last moment until now, `next` the first one after it; both empty while none is to be built (suspended, the index
    gone back to) and with a `problem`, which says why the schedule means nothing.
    """

    schedule: str
    since: str
    due: str = ""
    next: str = ""
    problem: str = ""


def refresh_of(observed: Observed, now: datetime, *, pinned: bool) -> Refresh | None:
    """None without a schedule. `pinned`: the index is gone back to."""
    schedule = observed.service.spec.index.refresh.schedule
    if schedule is None:
        return None
    stored = observed.status.get("indexRefresh") or {}
    since = str(stored["since"]) if stored.get("schedule") == schedule else stamp(now)
    try:
        due, following_one = stamp(last(schedule, now)), stamp(following(schedule, now))
    except ValueError as error:
        return Refresh(schedule, since, problem=str(error))
    if pinned or observed.service.spec.suspend:
        return Refresh(schedule, since)
    return Refresh(schedule, since, due, following_one)


def builds_of(spec: RagServiceSpec, identity: IndexIdentity, records: Records) -> tuple[Record, ...]:
    """Records of the declared index, whichever slot they were built for, the oldest build first."""
    hashes = {slot: index_hash(spec, identity, slot) for slot in {record.slot for record in records.values()}}
    found = (record for record in records.values() if record.revision.index.hash == hashes[record.slot])
    return tuple(sorted(found, key=lambda record: record.slot))


def wanted_slot(
    observed: Observed, identity: IndexIdentity, builds: tuple[Record, ...], refresh: Refresh | None
) -> str:
    """The slot whose build is to serve; empty for the build that the edit of the version asks for."""
    newest = builds[-1].slot if builds else ""
    begun = max(_begun(observed, identity), default="")
    if begun > newest:
        return begun
    if refresh is None or not builds:
        return newest
    released = newest or min(record.created for record in builds)
    return refresh.due if refresh.due > max(refresh.since, released) else newest


def _begun(observed: Observed, identity: IndexIdentity) -> Iterable[str]:
    """Slots of the Jobs that build the declared index, or have just built it."""
    for job in observed.of_kind("Job"):
        slot = (job["metadata"].get("annotations") or {}).get(names.ANNOTATION_SLOT, "")
        if not slot or component_of(job) != names.COMPONENT_INDEX:
            continue
        built = names.index_job(observed.service.metadata.name, index_hash(observed.service.spec, identity, slot))
        end = finished(job)
        if job["metadata"]["name"] == built and (end is None or end[0] != "Failed"):
            yield slot
