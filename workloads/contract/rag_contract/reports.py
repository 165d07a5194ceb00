"""What the running programs report back to the operator."""

from typing import Literal

from .base import Contract
from .identity import IndexIdentity
from .jobs import JobResult


class PromptReport(Contract):
    """Prompt of a served revision, by name and content hash."""

    version: str
    hash: str


class IndexReport(Contract):
    """Index of a served revision."""

    version: str
    collection: str
    identity: IndexIdentity


class ModelReport(Contract):
    """Model of a served revision."""

    runtime: str
    name: str
    revision: str | None = None
    hash: str = ""


class RevisionReport(Contract):
    """One revision as the answering process holds it; `loaded_at` is RFC 3339, UTC."""

    number: int
    weight: int
    prompt: PromptReport
    index: IndexReport
    model: ModelReport
    loaded_at: str


class ModelsCurrent(Contract):
    """Body of `GET /models/current`. `table_hash` is empty before the first table was loaded."""

    service: str
    api_version: str
    table_hash: str
    revisions: tuple[RevisionReport, ...]


class ReadyCheck(Contract):
    """One check of `GET /ready`: `message` says what is wrong and what to do.

    Beside `ok` it is empty, or a warning: a broken update was refused and the last good one still serves.
    """

    name: Literal["releases", "vector_store", "collections", "api_keys", "draining", "model", "embedder", "smoke"]
    ok: bool
    message: str = ""


class ReadyReport(Contract):
    """Body of `GET /ready` when ready, and under `checks` beside the error body when not."""

    ready: bool
    checks: tuple[ReadyCheck, ...]


class IndexResult(JobResult):
    """The index Job's termination message."""

    version: str
    collection: str
    content_hash: str
    documents: int = 0
    chunks: int = 0
    skipped: int = 0
    disk_bytes: int = 0
    """What the collection takes on disk, estimated; 0 when it was not asked for."""
    alias: str = ""
    """The collection that outside readers find, where this run was to see to that; else empty."""


class SweepResult(JobResult):
    """The sweep Job's termination message.

    `alias` is the collection that outside readers find, read back; `dropped` counts collections, `message` names some.
    """

    alias: str = ""
    dropped: int = 0


IndexStage = Literal["Waiting", "Loading", "Indexing", "Verifying", "Done", "Failed"]


class IndexProgress(Contract):
    """Body of the indexer's `GET /progress` while it runs. Totals are 0 until they are known."""

    stage: IndexStage
    documents_done: int = 0
    documents_total: int = 0
    chunks_done: int = 0
    elapsed_seconds: float = 0.0
