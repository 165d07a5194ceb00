"""`spec.model`: what turns sources into an answer, and what answers when that does not."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from .base import Matches, Part, SecretKeyReference, cel, ruled
from .model_name import ModelName, ModelRevision
from .url import Url
from .vllm import Vllm

_NO_NAME = "runtime VLLM needs the name of a model: set model.name, like Qwen/Qwen2.5-1.5B-Instruct"
_NO_VLLM = "runtime VLLM needs the block vllm: add it ({} takes all defaults)"
_NO_EXTERNAL = "runtime External needs the block external: add its url and model"
_ONE_FALLBACK = "set exactly one of external and extractive"


class ModelRuntime(StrEnum):
    """What turns sources into an answer."""

    EXTRACTIVE = "Extractive"
    VLLM = "VLLM"
    EXTERNAL = "External"


class Extractive(Part):
    """Answers made of the sources' own sentences."""

    max_sentences: Annotated[int, Field(ge=1, le=10)] = Field(default=3, description="Sentences in an answer, at most.")


class ModelProtocol(StrEnum):
    """What an external server speaks."""

    OPENAI = "OpenAI"


class ExternalModel(Part):
    """A model server that runs elsewhere: a provider, KServe, Ray Serve, TGI, Triton, BentoML."""

    url: Url = Field(description="Its address up to before /v1, like https://models.example.com, without credentials.")
    model: ModelName = Field(description="The name by which it knows the model.")
    protocol: ModelProtocol = Field(default=ModelProtocol.OPENAI, description="OpenAI: /v1/chat/completions.")
    api_key_secret_ref: SecretKeyReference | None = Field(
        default=None, description="Secret with the key that the server demands as a bearer token."
    )


class ExtractiveFallback(Part):
    """The sources' own sentences, without a model."""


class ModelFallback(Part):
    """What answers when the model does not. Exactly one of its fields."""

    model_config = ruled(cel("has(self.external) != has(self.extractive)", _ONE_FALLBACK))

    external: ExternalModel | None = Field(default=None, description="Another model server.")
    extractive: ExtractiveFallback | None = Field(
        default=None, description="Write {}: the sources' own sentences answer, without a model."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.external is None) == (self.extractive is None):
            raise ValueError(_ONE_FALLBACK)
        return self


class ModelPrices(Part):
    """What tokens cost, for the cost of answers in the metrics."""

    currency: Annotated[
        str, Field(min_length=1, max_length=8), Matches("^[A-Za-z]+$", "must be a currency like USD or VND")
    ] = Field(default="USD", description="Currency of the prices, like USD.")
    prompt_per_million: Annotated[float, Field(ge=0, le=1000000000)] = Field(
        default=0, description="Price of one million tokens that are read."
    )
    completion_per_million: Annotated[float, Field(ge=0, le=1000000000)] = Field(
        default=0, description="Price of one million tokens that are written."
    )


class Model(Part):
    """What turns sources into an answer. Blocks of runtimes that are not chosen may stay, to switch by one field."""

    model_config = ruled(
        cel("self.runtime != 'VLLM' || has(self.name)", _NO_NAME, field=".name"),
        cel("self.runtime != 'VLLM' || has(self.vllm)", _NO_VLLM, field=".vllm"),
        cel("self.runtime != 'External' || has(self.external)", _NO_EXTERNAL, field=".external"),
    )

    runtime: ModelRuntime = Field(
        default=ModelRuntime.EXTRACTIVE,
        description="Extractive: the sentences of the sources that fit the question best, without a model server or a GPU."
        " VLLM: a model server that the operator runs. External: one that runs elsewhere.",
    )
    name: ModelName | None = Field(
        default=None,
        description="VLLM: repository of the model, like Qwen/Qwen2.5-1.5B-Instruct. External: what to call it; default"
        " external.model.",
    )
    revision: ModelRevision | None = Field(
        default=None,
        description="Commit of the repository, 40 hex digits. A branch or tag is taken, too, but may mean another model tomorrow.",
    )
    extractive: Extractive = Field(default=Extractive(), description="Settings of the Extractive runtime.")
    vllm: Vllm | None = Field(default=None, description="Settings of the VLLM runtime.")
    external: ExternalModel | None = Field(default=None, description="Settings of the External runtime.")
    fallback: tuple[ModelFallback, ...] = Field(
        default=(), max_length=4, description="What answers when the model does not, in this order."
    )
    enabled: bool = Field(
        default=True,
        description="False: the model is not asked, fallback answers. It acts at once and makes no release.",
    )
    prices: ModelPrices | None = Field(default=None, description="What tokens cost, for the cost of answers.")

    @model_validator(mode="after")
    def _runtime_is_described(self) -> Self:
        if self.runtime is ModelRuntime.VLLM and self.name is None:
            raise ValueError(_NO_NAME)
        if self.runtime is ModelRuntime.VLLM and self.vllm is None:
            raise ValueError(_NO_VLLM)
        if self.runtime is ModelRuntime.EXTERNAL and self.external is None:
            raise ValueError(_NO_EXTERNAL)
        return self
