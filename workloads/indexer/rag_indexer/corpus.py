"""The document folder as a stream of points: find, read, parse, chunk, encode. No network."""

import json
import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from rag_contract import payload
from rag_contract.analysis import SparseVector, encode_document, terms
from rag_contract.environment import IndexerEnvironment

from . import documents, files
from .chunking import Chunk, chunks
from .documents import Document
from .errors import Unreadable
from .parsers import PARSERS

log = logging.getLogger("rag_indexer")

_POINTS = uuid.UUID("6f1d0b52-4c0f-5d0e-9a57-3b1c9e0f7a21")
"""Name space of point ids. Any fixed value does; another one would build the same points anew."""


@dataclass(frozen=True, slots=True)
class Point:
    """One chunk as the store holds it. Equal ids mean equal payloads: the id is a UUIDv5 over all of it."""

    id: str
    fields: dict[str, object]
    vector: SparseVector
    text: str
    """What stands for the chunk in a search: its text under its title and headings."""


@dataclass(slots=True)
class Corpus:
    """Counts grow while `points` is consumed; they are final when it ends."""

    settings: IndexerEnvironment
    paths: list[str]
    skipped: list[files.Skipped]
    read: int = 0
    """Files done, skipped ones included."""
    documents: int = 0
    """Documents that gave at least one chunk."""
    _ids: dict[tuple[str, str], str] = field(default_factory=dict)

    def points(self) -> Iterator[Point]:
        """All points, document by document, in the order of the paths."""
        for path in self.paths:
            try:
                found = 0
                for point in self._of(path):
                    found += 1
                    yield point
                if not found:
                    raise Unreadable("holds no text")
                self.documents += 1
            except Unreadable as error:
                self._skip(path, str(error))
            self.read += 1

    def _of(self, path: str) -> Iterator[Point]:
        text = files.read(Path(self.settings.documents_path, path))
        parsed = PARSERS[PurePosixPath(path).suffix.lower()](text)
        document = documents.document(path, parsed, self.settings.tenant)
        first = self._ids.setdefault((document.tenant, document.id), path)
        if first != path:
            raise Unreadable(f"its id {document.id!r} is already that of {first}: give it one of its own")
        for chunk in chunks(document, self.settings.max_characters, self.settings.overlap_characters):
            if made := point(document, chunk):
                yield made

    def _skip(self, path: str, reason: str) -> None:
        self.skipped.append(files.Skipped(path, reason))
        log.warning("document skipped", extra={"path": path, "reason": reason})


def scan(settings: IndexerEnvironment) -> Corpus:
    """The files of the folder. Raises IndexFailure when it is missing."""
    paths, skipped = files.find(Path(settings.documents_path), frozenset(PARSERS))
    for one in skipped:
        log.warning("document skipped", extra={"path": one.path, "reason": one.reason})
    return Corpus(settings, paths, skipped)


def searched(title: str, heading: str, text: str) -> str:
    """What stands for a chunk in a search, by words and by vectors."""
    return f"{title}\n{heading}\n{text}"


def point(document: Document, chunk: Chunk) -> Point | None:
    """The point of a chunk; None when nothing in it can be searched for (rules, bare punctuation).

    Title and headings are part of the vector, so that a section is found by what it is called.
    """
    if not terms(chunk.text):
        return None
    fields: dict[str, object] = {
        payload.DOCUMENT_ID: document.id,
        payload.CHUNK_ID: chunk.id(document),
        payload.ORDINAL: chunk.ordinal,
        payload.TITLE: document.title,
        payload.HEADING: chunk.heading,
        payload.URL: document.url,
        payload.PAGE: None,
        payload.LINE_START: chunk.line_start,
        payload.LINE_END: chunk.line_end,
        payload.TENANT: document.tenant,
        payload.ROLES: list(document.roles),
        payload.TEXT: chunk.text,
    }
    name = json.dumps(fields, ensure_ascii=False, sort_keys=True)
    text = searched(document.title, chunk.heading, chunk.text)
    return Point(str(uuid.uuid5(_POINTS, name)), fields, encode_document(text), text)
