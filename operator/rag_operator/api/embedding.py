"""`spec.index.embedding`: how documents and questions become vectors."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from .base import Part, SecretKeyReference, cel, ruled
from .model_name import ModelName, ModelRevision
from .url import Url

_NO_SERVER = "provider External needs the server: set embedding.external"


class EmbeddingProvider(StrEnum):
    """How text becomes vectors."""

    BM25 = "BM25"
    EXTERNAL = "External"


class Distance(StrEnum):
    """How vectors are compared."""

    COSINE = "Cosine"
    DOT = "Dot"
    EUCLID = "Euclid"


class ExternalEmbedding(Part):
    """An embedding server that runs elsewhere: a provider, vLLM, TEI, Triton; it speaks the OpenAI protocol."""

    url: Url = Field(description="Its address up to before /v1, like https://models.example.com, without credentials.")
    model: Annotated[ModelName, Field(max_length=128)] = Field(
        description="The name by which it knows the model. Another name is another index."
    )
    revision: ModelRevision | None = Field(
        default=None,
        description="What the server runs under that name, for the record: another revision is another index.",
    )
    dimension: Annotated[int, Field(ge=1, le=65536)] = Field(
        description="Floats of one of its vectors. A server that answers others is refused."
    )
    distance: Distance = Field(
        default=Distance.COSINE, description="How vectors are compared: as the model was trained for."
    )
    api_key_secret_ref: SecretKeyReference | None = Field(
        default=None,
        description="Secret with the key that the server demands as a bearer token, from the index Job and the API.",
    )


class Embedding(Part):
    """How documents and questions become vectors."""

    model_config = ruled(cel("self.provider != 'External' || has(self.external)", _NO_SERVER))

    provider: EmbeddingProvider = Field(
        default=EmbeddingProvider.BM25,
        description="BM25: by words, for English and Vietnamese, without a model or a GPU. External: by words and by the"
        " vectors of an embedding server.",
    )
    external: ExternalEmbedding | None = Field(default=None, description="Settings of the External provider.")

    @model_validator(mode="after")
    def _server_is_named(self) -> Self:
        if self.provider is EmbeddingProvider.EXTERNAL and self.external is None:
            raise ValueError(_NO_SERVER)
        return self

    @property
    def server(self) -> ExternalEmbedding | None:
        """The embedding server that is used; its settings may be there without being."""
        return self.external if self.provider is EmbeddingProvider.EXTERNAL else None
