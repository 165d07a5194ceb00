"""Environment variables by which the operator configures the workloads: written and read by the same models.

Secrets are not here: `QDRANT_API_KEY_VARIABLE` comes from a `secretKeyRef`, API keys come as a mounted file.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from .base import Contract

QDRANT_API_KEY_VARIABLE = "RAG_QDRANT_API_KEY"

RELEASES_PATH = "/etc/rag/releases"
API_KEYS_PATH = "/etc/rag/keys"
API_KEYS_FILE = "keys.json"
"""A JSON list of `ApiKey`."""
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
    host: str = "0.0.0.0"  # noqa: S104 - a pod's only interface; the Service and policies decide who reaches it
    port: Annotated[int, Field(ge=0, le=65535)] = API_PORT
    request_timeout_seconds: Annotated[int, Field(ge=1)] = 60
    stream_timeout_seconds: Annotated[int, Field(ge=1)] = 120
    queue_timeout_milliseconds: Annotated[int, Field(ge=0)] = 200
    max_concurrent_requests: Annotated[int, Field(ge=1)] = 32
    requests_per_minute: Annotated[int, Field(ge=0)] = 60
    drain_seconds: Annotated[int, Field(ge=0)] = 30
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


class IndexerEnvironment(Environment):
    """Settings of one index Job."""

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
    wait_seconds: Annotated[int, Field(ge=0)] = 300
    port: Annotated[int, Field(ge=0, le=65535)] = INDEXER_PORT
    termination_path: str = TERMINATION_PATH


class ApiKey(Contract):
    """One client of the API. `sha256` is the hex digest of the key; the key itself is never stored."""

    id: Annotated[str, Field(min_length=1, max_length=63)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    tenant: Annotated[str, Field(min_length=1, max_length=63)] = "default"
    roles: tuple[Annotated[str, Field(min_length=1, max_length=63)], ...] = Field(default=(), max_length=32)
