"""Environment variables by which the operator configures the workloads: written and read by the same models.

Secrets are not here: `QDRANT_API_KEY_VARIABLE` comes from a `secretKeyRef`, API keys come as a mounted file.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from .base import Contract
from .identity import IndexIdentity

QDRANT_API_KEY_VARIABLE = "RAG_QDRANT_API_KEY"
EMBEDDING_API_KEY_VARIABLE = "RAG_EMBEDDING_API_KEY"
"""Key of the index Job for the embedding server; unset when that wants none."""

RELEASES_PATH = "/etc/rag/releases"
API_KEYS_PATH = "/etc/rag/keys"
API_KEYS_FILE = "keys.json"
"""A JSON list of `ApiKey`."""
MODEL_KEYS_PATH = "/etc/rag/model-keys"
"""One file for each key of a model or embedding server, where `Endpoint.key` says."""
DOCUMENTS_PATH = "/documents"
TERMINATION_PATH = "/dev/termination-log"
API_PORT = 8000
INDEXER_PORT = 8001


class Environment(Contract):
    """Variables under one prefix. An unknown variable with the prefix is an error: a typing mistake is not ignored."""

    prefix: ClassVar[str]

    def to_env(self) -> dict[str, str]:
        """Variable name to text; fields that are None are left out."""
        fields = self.model_dump(mode="json", exclude_none=True)
        return {self.prefix + name.upper(): _text(value) for name, value in fields.items()}

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Parse the variables that start with the prefix. Raises pydantic.ValidationError naming the variable."""
        return cls.model_validate(
            {name.removeprefix(cls.prefix).lower(): text for name, text in env.items() if name.startswith(cls.prefix)}
        )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class ApiEnvironment(Environment):
    """Settings of an API pod. Times are in the unit that the name says."""

    prefix: ClassVar[str] = "RAG_API_"

    service: str
    qdrant_url: str
    auth_mode: Literal["APIKey", "None"] = "APIKey"
    releases_path: str = RELEASES_PATH
    keys_path: str = API_KEYS_PATH
    model_keys_path: str = MODEL_KEYS_PATH
    host: str = "0.0.0.0"  # noqa: S104 - a pod's only interface; the Service and policies decide who reaches it
    port: Annotated[int, Field(ge=0, le=65535)] = API_PORT
    request_timeout_seconds: Annotated[int, Field(ge=1)] = 60
    stream_timeout_seconds: Annotated[int, Field(ge=1)] = 120
    first_token_timeout_seconds: Annotated[int, Field(ge=1)] = 20
    token_timeout_seconds: Annotated[int, Field(ge=1)] = 15
    queue_timeout_milliseconds: Annotated[int, Field(ge=0)] = 200
    max_concurrent_requests: Annotated[int, Field(ge=1)] = 32
    requests_per_minute: Annotated[int, Field(ge=0)] = 60
    drain_seconds: Annotated[int, Field(ge=0)] = 30
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    tracing_endpoint: str | None = None
    """The collector of traces, without /v1/traces; None where nothing is traced, and then the other three are None too."""
    tracing_namespace: Annotated[str, Field(min_length=1)] | None = None
    """Namespace of the service, as spans tell it."""
    tracing_sample_ratio: Annotated[float, Field(ge=0, le=1)] | None = None
    tracing_trust_parent: bool | None = None

    @model_validator(mode="after")
    def _tracing_is_whole(self) -> Self:
        parts = (self.tracing_endpoint, self.tracing_namespace, self.tracing_sample_ratio, self.tracing_trust_parent)
        if len({part is None for part in parts}) != 1:
            raise ValueError("set endpoint, namespace, sample ratio and trust parent of the tracing, or none of them")
        return self


class IndexerEnvironment(Environment):
    """Settings of one index Job. Without `embedding_*` its collection has words only; model, dimension and distance go
    with the address."""

    prefix: ClassVar[str] = "RAG_INDEXER_"

    service: str
    version: str
    collection: str
    content_hash: str
    qdrant_url: str
    documents_path: str = DOCUMENTS_PATH
    tenant: str = "default"
    max_characters: Annotated[int, Field(ge=100)] = 1200
    overlap_characters: Annotated[int, Field(ge=0)] = 150
    embedding_url: str | None = None
    embedding_model: Annotated[str, Field(min_length=1)] | None = None
    embedding_revision: Annotated[str, Field(min_length=1)] | None = None
    embedding_dimension: Annotated[int, Field(ge=1)] | None = None
    embedding_distance: Literal["Cosine", "Dot", "Euclid"] | None = None
    storage_bytes: Annotated[int, Field(ge=1)] | None = None
    """Size of the vector store's volume; None where it is not known, and no space is asked for."""
    alias: str | None = None
    """Where nothing serves yet: the alias for outside readers, which then names the collection once it is verified."""
    wait_seconds: Annotated[int, Field(ge=0)] = 300
    port: Annotated[int, Field(ge=0, le=65535)] = INDEXER_PORT
    termination_path: str = TERMINATION_PATH

    @model_validator(mode="after")
    def _embedding_is_whole(self) -> Self:
        parts = (self.embedding_url, self.embedding_model, self.embedding_dimension, self.embedding_distance)
        if len({part is None for part in parts}) != 1:
            raise ValueError("set url, model, dimension and distance of the embedding, or none of them")
        return self

    def identity(self) -> IndexIdentity:
        """What the collection is built with, and a question must share."""
        if self.embedding_model is None:
            return IndexIdentity(provider="BM25")
        return IndexIdentity(
            provider="OpenAI",
            model=self.embedding_model,
            revision=self.embedding_revision,
            dimension=self.embedding_dimension,
            distance=self.embedding_distance,
        )


class SweepEnvironment(Environment):
    """Settings of one sweep: which collections stay, and which one outside readers find."""

    prefix: ClassVar[str] = "RAG_SWEEP_"

    alias: Annotated[str, Field(min_length=3)]
    """Name for outside readers. With a dot behind it, it is what the names of all collections of the service begin with."""
    target: str | None = None
    """The collection that the alias is to name; None leaves it as it is."""
    keep: str = ""
    """Names of collections, parted by commas. All others of the service go."""
    qdrant_url: str
    wait_seconds: Annotated[int, Field(ge=0)] = 300
    termination_path: str = TERMINATION_PATH

    def kept(self) -> frozenset[str]:
        """`keep` as names; what the alias is to name is always among them."""
        return frozenset(filter(None, (*self.keep.split(","), self.target)))


class ApiKey(Contract):
    """One client of the API. `sha256` is the hex digest of the key; the key itself is never stored."""

    id: Annotated[str, Field(min_length=1, max_length=63)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    tenant: Annotated[str, Field(min_length=1, max_length=63)] = "default"
    roles: tuple[Annotated[str, Field(min_length=1, max_length=63)], ...] = Field(default=(), max_length=32)
