"""`status` of a RagService: what is, written by the operator alone."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from .base import Part, optional_in_schema
from .cache_status import ModelCacheStatus
from .index_status import CollectionsStatus, IndexRefreshStatus
from .release_status import HistoryEntry, ReleaseStatus

Short = Annotated[str, Field(max_length=253)]


class ConditionType(StrEnum):
    """All conditions of a RagService; each is set on every pass, GpuSchedulable where a model server of ours asks for GPUs."""

    READY = "Ready"
    SPEC_VALID = "SpecValid"
    API_READY = "ApiReady"
    VECTOR_STORE_READY = "VectorStoreReady"
    INDEX_READY = "IndexReady"
    GPU_SCHEDULABLE = "GpuSchedulable"
    MODEL_READY = "ModelReady"
    RELEASE_SETTLED = "ReleaseSettled"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    SUSPENDED = "Suspended"


class ConditionStatus(StrEnum):
    """Unknown means that it could not be observed."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Part):
    """One aspect of the service, as in `meta/v1.Condition`."""

    type: Annotated[str, Field(max_length=63)] = Field(
        description="What the condition is about, like Ready or IndexReady."
    )
    status: ConditionStatus = Field(description="True, False, or Unknown when it cannot be observed.")
    reason: Annotated[str, Field(max_length=63)] = Field(
        description="Why, in one word of the list in the documentation."
    )
    message: Annotated[str, Field(max_length=4096)] = Field(
        default="", description="Why, in a sentence that says what to do."
    )
    last_transition_time: Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})] = Field(
        description="When the status of this condition last changed."
    )
    observed_generation: Annotated[int, Field(ge=0)] = Field(
        default=0, description="metadata.generation for which the condition was computed."
    )


class ModelFetchStatus(Part):
    """How far the download of a model's weights is."""

    model_config = ConfigDict(json_schema_extra=optional_in_schema)

    bytes: Annotated[int, Field(ge=0)] = Field(description="Bytes that are there.")
    total_bytes: Annotated[int, Field(ge=0)] = Field(description="Bytes of all files.")
    percent: Annotated[int, Field(ge=0, le=100)] = Field(description="Share of the bytes that are there, in per cent.")
    bytes_per_second: Annotated[int, Field(ge=0)] = Field(description="Speed over the last half minute.")
    seconds_left: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Seconds that it still takes at this speed."
    )


class ModelRollOutStatus(Part):
    """How the pods of the model server are exchanged."""

    strategy: Annotated[str, Field(max_length=63)] = Field(
        description="Surge, OneByOne, Recreate, or Blocked: of what is under way, else of a change that were made now."
    )
    message: Annotated[str, Field(max_length=2048)] = Field(default="", description="Why, and what it costs.")


class RagServiceStatus(Part):
    """What is, as the operator last observed it."""

    model_config = ConfigDict(json_schema_extra=optional_in_schema)

    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="metadata.generation that this status is about."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(),
        max_length=16,
        description="All aspects of the service. Ready rolls the others up.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    revision: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Number of the RagRevision that is served."
    )
    prompt: Short | None = Field(default=None, description="Version of the prompt that is served.")
    index: Short | None = Field(default=None, description="Version of the index that is served.")
    model: Short | None = Field(default=None, description="Name of the model that answers.")
    model_fetch: ModelFetchStatus | None = Field(
        default=None, description="While the weights of the declared model are downloaded: how far that is."
    )
    model_cache: ModelCacheStatus | None = Field(
        default=None, description="Which weights the model cache keeps, so that going back downloads nothing."
    )
    prompt_hash: Short | None = Field(default=None, description="Content hash of the prompt that is served.")
    collection: Short | None = Field(default=None, description="Qdrant collection that is served.")
    index_documents: Annotated[int, Field(ge=0)] | None = Field(default=None, description="Number of documents in it.")
    index_chunks: Annotated[int, Field(ge=0)] | None = Field(default=None, description="Number of pieces in it.")
    url: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Address of the RAG API inside the cluster."
    )
    api: Short | None = Field(default=None, description="API pods that are ready, of those wanted, like 1/1.")
    qdrant: Short | None = Field(
        default=None, description="Qdrant pods that are ready, of those wanted; - when it is external."
    )
    gpu: Short | None = Field(
        default=None,
        description="GPUs of model pods that are ready, of those wanted, like 1/2 nvidia.com/gpu; - for none.",
    )
    model_roll_out: ModelRollOutStatus | None = Field(
        default=None, description="How the pods of the model server are exchanged, and what that costs."
    )
    replicas: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Number of API pods, for the scale subresource."
    )
    selector: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Label selector of the API pods, for autoscalers."
    )
    collections: CollectionsStatus | None = Field(
        default=None, description="What lies in the vector store, and what outside readers find there."
    )
    index_refresh: IndexRefreshStatus | None = Field(
        default=None, description="The schedule of index builds, and when the next one is due."
    )
    release: ReleaseStatus | None = Field(default=None, description="What is asked for, and how far it is.")
    history: tuple[HistoryEntry, ...] = Field(
        default=(),
        max_length=10,
        description="The newest ten of the releases that are kept, with what became of them.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
