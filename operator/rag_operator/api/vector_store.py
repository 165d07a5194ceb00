"""`spec.vectorStore`: where the index lies, in a Qdrant of its own or in one that runs elsewhere."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from .base import Disk, Image, ObjectName, Part, SecretKeyReference, cel, ruled
from .compute import QdrantResources
from .url import Url
from .volume import SAME_CLASS, Grows


class Storage(Part):
    """The volume of the vector store."""

    model_config = ruled(SAME_CLASS)

    size: Annotated[Disk, *Grows] = Field(
        default="5Gi",
        description="Size of the volume, in bytes. It may grow where the storage class allows it, never shrink.",
    )
    storage_class_name: ObjectName | None = Field(
        default=None,
        description="Storage class of the volume; it cannot be changed. Default: the cluster's default class.",
    )


class Qdrant(Part):
    """A Qdrant server that the operator runs."""

    image: Image | None = Field(default=None, description="Container image. Default: the operator's setting.")
    storage: Storage = Field(default=Storage(), description="The volume that holds collections and snapshots.")
    resources: QdrantResources = Field(
        default=QdrantResources(), description="CPU, memory and scratch space of the server."
    )
    api_key_secret_ref: SecretKeyReference | None = Field(
        default=None,
        description="Secret with the key that the server demands. Without it two keys (writing, reading) are generated into"
        " the Secret <name>-qdrant-key.",
    )


class External(Part):
    """A Qdrant server that runs elsewhere."""

    url: Url = Field(
        description="Address of its HTTP API, like https://qdrant.example.com:6333, without credentials, query or fragment."
    )
    api_key_secret_ref: SecretKeyReference | None = Field(
        default=None,
        description="Secret with the key that the server demands; the index Job writes with it, the API reads with it.",
    )


class VectorStore(Part):
    """Where the index lies: exactly one of its fields."""

    model_config = ruled(
        cel("has(self.qdrant) != has(self.external)", "set exactly one of qdrant and external"),
        cel(
            "has(self.qdrant) == has(oldSelf.qdrant)",
            "cannot switch between qdrant and external, where the collections are not: make another RagService",
        ),
    )

    qdrant: Qdrant | None = Field(default=None, description="Run a Qdrant server for this service alone (the default).")
    external: External | None = Field(default=None, description="Use a Qdrant server that runs elsewhere.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.qdrant is None) == (self.external is None):
            raise ValueError("set exactly one of qdrant and external")
        return self
