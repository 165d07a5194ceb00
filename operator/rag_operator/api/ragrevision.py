"""RagRevision: one immutable release of one RagService, written by the operator only."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field
from rag_contract.release_table import Revision

from .base import Part, cel, optional_in_schema, ruled
from .ragservice import ObjectMeta

Name = Annotated[str, Field(min_length=1, max_length=128)]
Word = Annotated[str, Field(min_length=1, max_length=63)]
ImageName = Annotated[str, Field(min_length=1, max_length=512)]
Time = Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})]


class RevisionPrompt(Part):
    """The prompt, whole: it can be served again when the spec no longer holds it."""

    version: Name = Field(description="Name of the prompt.")
    hash: Name = Field(description="Hash of its content.")
    system: Annotated[str, Field(max_length=32768)] = Field(description="The system prompt.")
    refusal: Annotated[str, Field(max_length=1000)] = Field(
        description="What is answered when no source supports an answer."
    )


class RevisionIdentity(Part):
    """What a question must share with the collection that it is asked of."""

    provider: Word = Field(description="How text became vectors.")
    model: Name = Field(description="Analyzer or embedding model.")
    analyzer: Name = Field(description="How text was taken apart into words.")
    revision: Name | None = Field(default=None, description="Revision of the embedding model; none for BM25.")
    dimension: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Floats of a vector; none for sparse vectors."
    )
    distance: Word | None = Field(default=None, description="Distance function; none for sparse vectors.")
    normalisation: Word = Field(description="How text was normalised.")
    chunker: Word = Field(description="How documents were cut.")


class RevisionEndpoint(Part):
    """A server that speaks the OpenAI protocol."""

    url: Annotated[str, Field(min_length=1, max_length=512)] = Field(description="Its address, up to before /v1.")
    model: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        description="The name by which it knows the model."
    )
    key: Annotated[str, Field(min_length=1, max_length=507)] | None = Field(
        default=None, description="Secret and key in it, as in keys/token, that holds its key; none when it wants none."
    )


class RevisionIndex(Part):
    """The index: a collection that was verified."""

    version: Name = Field(description="Name of the index.")
    hash: Name = Field(description="Hash of its sources and settings.")
    collection: Name = Field(description="Qdrant collection.")
    identity: RevisionIdentity = Field(description="What a question must share with the collection.")
    documents: Annotated[int, Field(ge=0)] = Field(description="Number of documents in it.")
    chunks: Annotated[int, Field(ge=0)] = Field(description="Number of pieces in it.")
    embedder: RevisionEndpoint | None = Field(
        default=None, description="What turns questions into vectors; none for BM25."
    )


class RevisionWeights(Part):
    """Where the weights of a model come from."""

    source: Literal["Hub", "S3", "Volume", "Image"] = Field(description="What they are downloaded or mounted from.")
    reference: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        default=None, description="Address of the bucket, name of the claim, or the image; none for a hub."
    )
    path: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        default=None, description="Their folder in the volume or image; none for all of it."
    )
    endpoint: Annotated[str, Field(min_length=1, max_length=2048)] | None = Field(
        default=None, description="Address of the hub or store; none for the usual one."
    )
    region: Annotated[str, Field(min_length=1, max_length=63)] | None = Field(
        default=None, description="Region of the bucket; none for the usual one."
    )
    secret: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        default=None, description="Secret with the credentials, for a hub with the key in it; none without."
    )


class RevisionEngine(Part):
    """How a model server of the operator's runs the model."""

    image: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        default=None, description="Container image; none for the operator's own."
    )
    launcher: bool = Field(default=True, description="Whether the image holds the operator's launcher.")
    arguments: Annotated[tuple[Annotated[str, Field(max_length=1024)], ...], Field(max_length=64)] = Field(
        default=(), description="Arguments of the engine that the user added."
    )
    gpus: Annotated[int, Field(ge=0, le=64)] = Field(default=1, description="GPUs of one pod.")
    gpu_memory_percent: Annotated[int, Field(ge=1, le=100)] = Field(
        default=90, description="Share of each GPU's memory that the engine takes, in per cent."
    )
    trust_remote_code: bool = Field(default=False, description="Whether code of the model's repository is run.")
    weights: RevisionWeights | None = Field(
        default=None, description="Where its weights come from; none where the RagService says it."
    )


class RevisionModel(Part):
    """What turns sources into an answer."""

    runtime: Literal["Extractive", "VLLM", "External"] = Field(description="What turns sources into an answer.")
    name: Annotated[str, Field(min_length=1, max_length=256)] = Field(description="Name of the model.")
    revision: Name | None = Field(default=None, description="Revision of its weights; none where it has none.")
    hash: Name = Field(description="Hash of what the model is: name, weights, engine.")
    endpoints: Annotated[tuple[RevisionEndpoint, ...], Field(max_length=8)] = Field(
        default=(), description="Servers that run it; none for Extractive."
    )
    context_tokens: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Longest prompt and answer together, in tokens."
    )
    max_sentences: Annotated[int, Field(ge=1, le=10)] = Field(description="Sentences in an answer, at most.")
    engine: RevisionEngine | None = Field(
        default=None, description="How a model server of ours runs it; none elsewhere."
    )


class RevisionRetrieval(Part):
    """How the sources of an answer are found."""

    mode: Literal["Sparse", "Dense", "Hybrid"] = Field(description="How sources are found.")
    top_k: Annotated[int, Field(ge=1, le=20)] = Field(description="Number of pieces that an answer may draw on.")
    minimum_score: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="Pieces that score less are not used."
    )


class Made(Part):
    """How a revision was made, beside its content."""

    image: ImageName | None = None
    image_declared: bool = False
    render_version: Name | None = None
    index_slot: Time | None = None


class RagRevisionSpec(Part):
    """What was released. It cannot be changed."""

    model_config = ruled(cel("self == oldSelf", "a RagRevision cannot be changed: edit the RagService instead"))

    number: Annotated[int, Field(ge=1)] = Field(description="Number of the release, from 1.")
    hash: Name = Field(description="Hash of the whole content: equal content has one number.")
    prompt: RevisionPrompt = Field(description="The prompt.")
    index: RevisionIndex = Field(description="The index.")
    model: RevisionModel = Field(description="What turns sources into an answer.")
    retrieval: RevisionRetrieval = Field(description="How the sources of an answer are found.")
    image: ImageName | None = Field(default=None, description="Image of the API when it was released.")
    image_declared: bool = Field(
        default=False, description="True: spec.api.image named the image. False: it was the operator's default."
    )
    render_version: Name | None = Field(default=None, description="Version of the operator that released it.")
    index_slot: Time | None = Field(
        default=None,
        description="Moment of spec.index.refresh.schedule that the index was built for; none when an edit asked for it.",
    )

    @classmethod
    def from_contract(cls, content: Revision, content_hash: str, how: "Made") -> Self:
        """The record of a served revision; its weight is no part of it."""
        body = content.model_dump(mode="json", by_alias=True, exclude={"weight"})
        return cls.model_validate({**body, "hash": content_hash, **how.model_dump(by_alias=True)})

    def to_contract(self, weight: int) -> Revision:
        """The revision as the API pods read it, with its share of the requests in per cent."""
        body = self.model_dump(mode="json", by_alias=True, exclude={"hash", *Made.model_fields})
        return Revision.model_validate({**body, "weight": weight})


class RevisionState(StrEnum):
    """Where a revision stands."""

    SERVING = "Serving"
    SUPERSEDED = "Superseded"
    ROLLED_BACK = "RolledBack"


class RagRevisionStatus(Part):
    """What became of the revision."""

    model_config = ConfigDict(json_schema_extra=optional_in_schema)

    state: RevisionState = Field(
        description="Serving: every API pod has said so. Superseded: a later one took over. RolledBack: it was gone back from."
    )
    weight: Annotated[int, Field(ge=0, le=100)] = Field(description="Its share of the requests, in per cent.")
    since: Time | None = Field(default=None, description="When it last began to serve.")
    left: Time | None = Field(default=None, description="When it last stopped serving.")
    load_seconds: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="How long a pod took to load its model when it began to serve, in seconds; none without a model server.",
    )


class RagRevision(Part):
    """One immutable release of a RagService, made by the operator: what was served, and can be served again."""

    metadata: ObjectMeta
    spec: RagRevisionSpec = Field(description="What was released. It cannot be changed.")
    status: RagRevisionStatus | None = Field(default=None, description="What became of it.")
