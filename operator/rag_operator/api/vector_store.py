"""`spec.vectorStore`: where the index lies, in a Qdrant of its own or in one that runs elsewhere."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from .base import Cel, Disk, Image, Matches, ObjectName, Part, SecretKeyReference, cel, ruled
from .compute import QdrantResources


def _without_slash(url: str) -> str:
    return url.rstrip("/")


_NO_CREDENTIALS = "must not hold a user name or password: name a Secret in apiKeySecretRef"
_NOT_SMALLER = "cannot shrink: volumes only grow. Put the old size back, or make another RagService"

Url = Annotated[
    str,
    Field(min_length=1, max_length=512),
    Matches("^https?://", "must be an address that starts with http:// or https://"),
    Matches("^[a-zA-Z]+://[^/?#]", "must name a host, like https://qdrant.example.com:6333"),
    Cel("!self.startsWith('http') || isURL(self)", "must be an address like https://qdrant.example.com:6333"),
    Matches("^[a-zA-Z]+://[^/]*@", _NO_CREDENTIALS, forbidden=True),
    Matches(r"[?#\x00-\x20]", "must not hold a query, a fragment or white space", forbidden=True),
    AfterValidator(_without_slash),
]

Grows = (
    Cel(
        "!isQuantity(string(self)) || !quantity(string(self)).isLessThan(quantity(string(oldSelf)))",
        _NOT_SMALLER,
        expression=f"'cannot shrink from ' + string(oldSelf) + '{_NOT_SMALLER.removeprefix('cannot shrink')}'",
    ),
)
"""Of the size of a volume."""


class Storage(Part):
    """The volume of the vector store."""

    model_config = ruled(
        cel(
            "has(self.storageClassName) == has(oldSelf.storageClassName)"
            " && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
            "cannot change on an existing volume: put the old value back, or make another RagService",
            field=".storageClassName",
        )
    )

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
