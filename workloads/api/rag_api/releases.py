"""What is served: the release table from a mounted file, validated whole, swapped in atomically.

releases.json --changed--> validate --good--> Loaded table --pick(sticky key)--> one revision per request
                               `----bad---> keep the last good one, say so
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError
from rag_contract.identity import ANALYZER, CHUNKER, IndexIdentity
from rag_contract.release_table import FILE_NAME, Endpoint, ReleaseTable, Revision
from rag_contract.reports import (
    IndexReport,
    ModelReport,
    ModelsCurrent,
    PromptReport,
    ReadyCheck,
    RevisionReport,
)

from .errors import NotReady
from .files import WatchedFile
from .model_keys import ModelKeys

SPOKEN = IndexIdentity(provider="BM25", model=ANALYZER, chunker=CHUNKER)
"""How this process takes the words of a question apart. Vectors come from the embedding server that a release names."""


@dataclass(frozen=True, slots=True)
class LoadedTable:
    """One validated table. `loaded_at` is RFC 3339, UTC."""

    table: ReleaseTable
    hash: str
    loaded_at: str

    def pick(self, sticky: str) -> Revision:
        """The revision for a session, user or key: equal keys see equal revisions while the weights stay.

        The newest revision takes the top of the range, so that raising its weight moves nobody back.
        Raises NotReady when nothing is served.
        """
        revisions = [revision for revision in self.table.revisions if revision.weight]
        if not revisions:
            raise NotReady("No release is served yet: its index is still being built.", retry_after=5)
        if len(revisions) == 1:
            return revisions[0]
        point = int.from_bytes(hashlib.blake2b(sticky.encode(), digest_size=8).digest(), "big") / 2**64 * 100
        for revision in sorted(revisions, key=lambda each: each.number):
            point -= revision.weight
            if point < 0:
                return revision
        return revisions[-1]


class ReleaseStore:
    """Holds the table that is served and watches the file for the next one. `read` is told "good" or "bad" per reading."""

    def __init__(
        self,
        folder: Path,
        *,
        service: str,
        version: str,
        keys: ModelKeys,
        now: Callable[[], datetime],
        read: Callable[[str], None],
    ) -> None:
        self._file = WatchedFile(folder / FILE_NAME)
        self._service = service
        self._version = version
        self._keys = keys
        self._now = now
        self._read = read
        self._problem = ""
        self.loaded: LoadedTable | None = None

    def refresh(self) -> bool:
        """Read the file if it changed. True when another table is served from now on."""
        if not self._file.changed():
            return False
        try:
            table = ReleaseTable.model_validate_json(self._file.read())
            self._accept(table)
        except (OSError, ValidationError, ValueError) as error:
            self._problem = f"{FILE_NAME} cannot be used: {_reason(error)}"
            self._read("bad")
            return False
        self._problem = ""
        self._read("good")
        digest = table.table_hash()
        if self.loaded and self.loaded.hash == digest:
            return False
        stamp = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        self.loaded = LoadedTable(table, digest, stamp)
        return True

    def _accept(self, table: ReleaseTable) -> None:
        if table.service != self._service:
            raise ValueError(f"it is the table of the service {table.service!r}, not of {self._service!r}")
        for revision in table.revisions:
            if problem := _unspoken(revision):
                raise ValueError(f"revision {revision.number} {problem}")
        before = {each.key for each in endpoints(self.loaded.table)} if self.loaded else None
        for key in sorted({each.key for each in endpoints(table) if each.key}):
            # A pod that was started before the key was mounted leaves the new release to pods that have it.
            if before is not None and key not in before and not self._keys.has(key):
                raise ValueError(f"the key {key} of a model server is not mounted: see whether its Secret exists")

    def current(self) -> LoadedTable:
        """The table in force. Raises NotReady before the first one."""
        if self.loaded is None:
            raise NotReady("No release is served yet.", retry_after=5)
        return self.loaded

    def check(self) -> ReadyCheck:
        """Ready when a revision is served; a table that was refused shows as a message beside a good check."""
        if self.loaded is None:
            return ReadyCheck(name="releases", ok=False, message=self._problem or f"{FILE_NAME} was not read yet")
        served = any(revision.weight for revision in self.loaded.table.revisions)
        waiting = "" if served else "The release table is empty: no index is verified yet."
        return ReadyCheck(name="releases", ok=served, message=self._problem or waiting)

    def report(self) -> ModelsCurrent:
        """Body of `/models/current`."""
        loaded = self.loaded
        revisions = tuple(_report(each, loaded.loaded_at) for each in loaded.table.revisions) if loaded else ()
        return ModelsCurrent(
            service=self._service,
            api_version=self._version,
            table_hash=loaded.hash if loaded else "",
            revisions=revisions,
        )


def endpoints(table: ReleaseTable) -> list[Endpoint]:
    """All servers that a table names: of models, embedders and fallbacks."""
    found = [endpoint for revision in table.revisions for endpoint in revision.model.endpoints]
    found += [revision.index.embedder for revision in table.revisions if revision.index.embedder]
    return found + [fallback.endpoint for fallback in table.policy.fallbacks if fallback.endpoint]


def _unspoken(revision: Revision) -> str:
    """Why this process cannot put questions to the revision's index; empty when it can."""
    identity, mode = revision.index.identity, revision.retrieval.mode
    mine = (SPOKEN.analyzer, SPOKEN.normalisation, SPOKEN.chunker)
    if (identity.analyzer, identity.normalisation, identity.chunker) != mine or (
        identity.provider == "BM25" and identity != SPOKEN
    ):
        return (
            f"has an index of {identity.provider} {identity.model} analysed by {identity.analyzer}, this image speaks "
            f"{SPOKEN.analyzer}: build the index anew or use another API image"
        )
    if mode != "Sparse" and (identity.provider == "BM25" or revision.index.embedder is None):
        return f"compares vectors (retrieval {mode}), but its index has none or names no embedding server"
    if mode != "Sparse" and not identity.dimension:
        return "does not say how many dimensions its vectors have"
    return ""


def _report(revision: Revision, loaded_at: str) -> RevisionReport:
    index, model = revision.index, revision.model
    return RevisionReport(
        number=revision.number,
        weight=revision.weight,
        prompt=PromptReport(version=revision.prompt.version, hash=revision.prompt.hash),
        index=IndexReport(version=index.version, collection=index.collection, identity=index.identity),
        model=ModelReport(runtime=model.runtime, name=model.name, revision=model.revision, hash=model.hash),
        loaded_at=loaded_at,
    )


def _reason(error: Exception) -> str:
    """What is wrong, without any of the content: the table holds prompts."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(str(part) for part in first['loc']) or 'file'}: {first['msg']}"
    if isinstance(error, FileNotFoundError):
        return "the file is missing"
    return type(error).__name__ if isinstance(error, OSError) else str(error)
