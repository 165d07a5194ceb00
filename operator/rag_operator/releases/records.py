"""What was released, as the RagRevisions and the stored table tell it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError
from rag_contract.release_table import FILE_NAME, ReleaseTable, Revision

from .. import names
from ..api import RagRevision, RevisionState
from ..observed import Json, Observed
from .identity import revision_hash

FULL = 100


@dataclass(frozen=True, slots=True)
class Record:
    """One RagRevision. `image` ran the API; it is part of the content only where the user named it (`image_declared`).

    `left` is when it last stopped serving (RFC 3339), empty when it never did. `serves`: as far as the pods have confirmed. `hash` is by today's rules, which an
    earlier operator may not have had. `slot` is the moment of the refresh schedule that the index was built for, empty for other
    builds; `created` is when the record was made. Both are RFC 3339 in UTC.
    """

    revision: Revision
    hash: str
    image: str = ""
    image_declared: bool = False
    left: str = ""
    serves: bool = False
    slot: str = ""
    created: str = ""

    @property
    def declared_image(self) -> str | None:
        """The API image that the user asked for, None for the operator's default."""
        return self.image if self.image_declared else None


Records = Mapping[int, Record]


def read_records(observed: Observed) -> Records:
    """By rising number; one that cannot be read is left out (its schema is the API server's to keep)."""
    found: dict[int, Record] = {}
    for body in observed.of_kind("RagRevision"):
        record = record_of(body)
        if record is not None:
            found[record.revision.number] = record
    return dict(sorted(found.items()))


def record_of(body: Json) -> Record | None:
    """The record in a RagRevision's body, None when it cannot be read."""
    try:
        read = RagRevision.model_validate(body)
        content = read.spec.to_contract(FULL)
    except ValidationError:
        return None
    image, declared = read.spec.image or "", read.spec.image_declared
    digest = revision_hash(content, image if declared else None)
    slot, created = read.spec.index_slot or "", str(body["metadata"].get("creationTimestamp") or "")
    if read.status is None:
        return Record(content, digest, image, declared, slot=slot, created=created)
    serves = read.status.state is RevisionState.SERVING
    return Record(content, digest, image, declared, read.status.left or "", serves, slot, created)


def live_table(observed: Observed) -> ReleaseTable:
    """The table as stored; empty when it is absent or was broken by hand."""
    name = observed.service.metadata.name
    body = observed.child("ConfigMap", names.releases(name))
    try:
        return ReleaseTable.model_validate_json(((body or {}).get("data") or {}).get(FILE_NAME, ""))
    except ValidationError:
        return ReleaseTable(service=name)


def served_before(observed: Observed, records: Records, live: ReleaseTable) -> Revision | None:
    """What was served until now: the number in the stored table; when that is lost the one in status, else the newest."""
    hint = observed.status.get("revision")
    if live.revisions:
        stored = live.revisions[0]
        known = records.get(stored.number)
        return (known.revision if known is not None else stored).model_copy(update={"weight": FULL})
    if isinstance(hint, int) and hint in records:
        return records[hint].revision
    return records[max(records)].revision if records else None


def numbered(
    content: Revision, image: str | None, observed: Observed, records: Records, live: ReleaseTable
) -> Revision:
    """Equal content keeps its number; new content gets one that was never used. `image` is the declared API image."""
    wanted = revision_hash(content, image)
    for record in records.values():
        if record.hash == wanted:
            return record.revision.model_copy(update={"weight": FULL})
    for row in live.revisions:  # its record was lost, and with it the image: the rest of the content tells
        if row.number not in records and revision_hash(row, image) == wanted:
            return row.model_copy(update={"weight": FULL})
    return content.model_copy(update={"number": max(_used(observed, live), default=0) + 1})


def _used(observed: Observed, live: ReleaseTable) -> list[int]:
    """Numbers that were given away, also those of records that cannot be read."""
    status = observed.status
    numbers: list[object] = [row.number for row in live.revisions]
    numbers += [(body.get("spec") or {}).get("number") for body in observed.of_kind("RagRevision")]
    numbers += [entry.get("number") for entry in status.get("history") or ()] + [status.get("revision")]
    return [number for number in numbers if isinstance(number, int)]


def kept(numbers: Iterable[int], records: Records, always: Iterable[int], keep: int) -> tuple[int, ...]:
    """Which of the numbers to keep, rising: `always`, the newest, and those that served last, `keep` in all.

    The newest is where the spec goes forward to again. Who came back to an old revision and left it again may want to
    return to it: what counts is when it last served, not its number.
    """
    rising = sorted(numbers)
    chosen = {*always, *rising[-1:]}

    def last_served(number: int) -> tuple[bool, str, int]:
        record = records.get(number)
        return (record.serves, record.left, number) if record is not None else (False, "", number)

    for number in sorted(rising, key=last_served, reverse=True):
        if len(chosen) >= keep:
            break
        chosen.add(number)
    return tuple(sorted(chosen & set(rising)))
