"""`status.release` and `status.history`: what is asked for, what serves, where it came from, and what is kept."""

from typing import Annotated

from pydantic import ConfigDict, Field

from .base import Part, optional_in_schema

Short = Annotated[str, Field(max_length=253)]
Time = Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})]


class HistoryEntry(Part):
    """A release that is kept, in short."""

    model_config = ConfigDict(json_schema_extra=optional_in_schema)

    number: int = Field(description="Number of the RagRevision.")
    prompt: Short = Field(description="Version of its prompt.")
    index: Short = Field(description="Version of its index.")
    model: Annotated[str, Field(max_length=256)] = Field(description="Name of its model.")
    chunks: Annotated[int, Field(ge=0)] | None = Field(default=None, description="Pieces in its collection.")
    state: Short | None = Field(default=None, description="Serving, Superseded or RolledBack; absent: never confirmed.")
    since: Time | None = Field(default=None, description="When it last began to serve.")


class ReleaseStatus(Part):
    """What is asked for, and how far it is."""

    model_config = ConfigDict(json_schema_extra=optional_in_schema)

    asked: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description='"spec", or what spec.rollback goes back to.'
    )
    since: Time | None = Field(default=None, description="When status.revision began to serve.")
    previous: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Number of the RagRevision that served before."
    )
    moving_to: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Number of the RagRevision that is on its way to the API pods."
    )
    waiting_for: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="What the release that is asked for waits for."
    )
    outdated: Annotated[tuple[Annotated[str, Field(max_length=63)], ...], Field(max_length=8)] | None = Field(
        default=None,
        description="Components (api, qdrant, model) that run as an earlier build of the operator made them. The API goes with the"
        " next release, the others with the next edit of their own part of the spec.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    kept_revisions: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="RagRevisions that are kept to go back to, the serving one included."
    )
    kept_collections: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Qdrant collections that they name."
    )
    kept_chunks: Annotated[int, Field(ge=0)] | None = Field(default=None, description="Pieces in those collections.")
