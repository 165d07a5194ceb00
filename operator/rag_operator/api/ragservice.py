"""RagService: the object that users write. `RagService.model_validate(body)` reads it as the API server stores it."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .base import Part, cel, ruled
from .content import Index, Prompt, RetrievalSettings
from .model import Model
from .rollback import Rollback
from .serving import Api
from .status import RagServiceStatus
from .vector_store import Qdrant, VectorStore


class ObjectMeta(Part):
    """The metadata that is used here, as the API server fills it."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = Field(default={})
    annotations: dict[str, str] = Field(default={})


class Release(Part):
    """How releases are kept."""

    history: Annotated[int, Field(ge=1, le=50)] = Field(
        default=10,
        description="Number of RagRevisions that are kept, with their prompts and collections, to go back to.",
    )


class DeletionPolicy(StrEnum):
    """What becomes of the volumes when the RagService is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class RagServiceSpec(Part):
    """What is wanted."""

    model_config = ruled(
        cel(
            "self.retrieval.mode == 'Sparse' || self.index.embedding.provider != 'BM25'",
            "retrieval by vectors needs an embedding server: set index.embedding.provider to External, or mode to Sparse",
            field=".retrieval.mode",
        )
    )

    api: Api = Field(default=Api(), description="The RAG API: the program that answers questions.")
    vector_store: VectorStore = Field(
        default=VectorStore(qdrant=Qdrant()), description="Where the index lies: exactly one of qdrant and external."
    )
    model: Model = Field(default=Model(), description="What turns sources into an answer.")
    prompt: Prompt = Field(description="How the model is told to answer.")
    index: Index = Field(description="What can be found, and how it is made findable.")
    retrieval: RetrievalSettings = Field(
        default=RetrievalSettings(), description="How the sources of an answer are found."
    )
    rollback: Rollback = Field(
        default=Rollback(),
        description="What is gone back to, whatever the rest of the spec says. Empty: nothing.",
    )
    release: Release = Field(default=Release(), description="How releases are kept.")
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.RETAIN,
        description="What becomes of the vector store's volume when the RagService is deleted: Retain or Delete.",
    )
    suspend: bool = Field(
        default=False, description="True: no pod runs and nothing is indexed; volumes, prompts and revisions are kept."
    )


class RagService(Part):
    """A question-answering service over documents: API, vector store and index, run and released as one."""

    model_config = ruled(
        cel(
            "self.metadata.name.size() <= 40",
            "metadata.name must be at most 40 characters, so that the names of all children fit: shorten it",
        ),
        cel(
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            'metadata.name must start with a lower-case letter and hold lower-case letters, digits and "-" only: it becomes'
            " the name of Services",
        ),
    )

    metadata: ObjectMeta
    spec: RagServiceSpec = Field(description="What is wanted.")
    status: RagServiceStatus | None = Field(default=None, description="What is, as the operator last observed it.")
