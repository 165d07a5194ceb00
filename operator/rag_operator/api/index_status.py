"""`status.collections`: what of the service lies in the vector store, and what outside readers find there."""

from typing import Annotated

from pydantic import ConfigDict, Field

from .base import Part, optional_in_schema

Short = Annotated[str, Field(max_length=253)]
Time = Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})]


class KeptCollection(Part):
    """A collection that serves, that can be gone back to, or that is being built."""

    model_config = ConfigDict(json_schema_extra=optional_in_schema)

    name: Short = Field(description="Its name in the vector store.")
    index: Short = Field(description="Version of its index.")
    documents: Annotated[int, Field(ge=0)] | None = Field(default=None, description="Documents in it, once verified.")
    chunks: Annotated[int, Field(ge=0)] | None = Field(default=None, description="Pieces in it, once verified.")
    bytes: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Bytes on disk, estimated when it was built; absent where that is not known."
    )


class IndexRefreshStatus(Part):
    """Builds of the declared index by schedule."""

    model_config = ConfigDict(json_schema_extra=optional_in_schema)

    schedule: Short = Field(description="The schedule of spec.index.refresh that this is about.")
    since: Time = Field(description="When that schedule was first seen: its moments after this count.")
    next: Time | None = Field(
        default=None,
        description="When the next build is due; absent while none is started (suspended, or spec.rollback names the index).",
    )


class CollectionsStatus(Part):
    """What of the service lies in the vector store."""

    model_config = ConfigDict(json_schema_extra=optional_in_schema)

    alias: Short = Field(
        description="Alias for outside readers. It follows what serves, when every API pod has switched."
    )
    alias_names: Short | None = Field(
        default=None, description="The collection that the alias named when it was last set."
    )
    kept: tuple[KeptCollection, ...] = Field(
        default=(),
        max_length=64,
        description="Collections that are kept, by name. All others of the service go.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    sweep: Annotated[str, Field(max_length=2048)] | None = Field(
        default=None, description="While the alias is to move or collections are to go: what that waits for."
    )
