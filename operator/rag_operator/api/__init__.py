"""The objects that users and the operator write, as typed models: the only source of the CRDs and of every default."""

from .compute import Resources
from .content import (
    Chunking,
    ChunkingStrategy,
    Documents,
    Index,
    Prompt,
    RetrievalMode,
    RetrievalSettings,
)
from .embedding import Distance, Embedding, EmbeddingProvider, ExternalEmbedding
from .gpu import Gpu
from .model import ExternalModel, Model, ModelRuntime
from .ragrevision import Made, RagRevision, RagRevisionSpec, RevisionState
from .ragservice import DeletionPolicy, ObjectMeta, RagService, RagServiceSpec
from .reasons import REMEDIES, Reason
from .release_status import HistoryEntry, ReleaseStatus
from .rollback import Rollback
from .serving import Api, Auth, AuthMode, RequestLimits
from .status import Condition, ConditionStatus, ConditionType, RagServiceStatus
from .vector_store import External, Qdrant, Storage, VectorStore
from .vllm import RollOutWish, Vllm

__all__ = [
    "REMEDIES",
    "Api",
    "Auth",
    "AuthMode",
    "Chunking",
    "ChunkingStrategy",
    "Condition",
    "ConditionStatus",
    "ConditionType",
    "DeletionPolicy",
    "Distance",
    "Documents",
    "Embedding",
    "EmbeddingProvider",
    "External",
    "ExternalEmbedding",
    "ExternalModel",
    "Gpu",
    "HistoryEntry",
    "Index",
    "Made",
    "Model",
    "ModelRuntime",
    "ObjectMeta",
    "Prompt",
    "Qdrant",
    "RagRevision",
    "RagRevisionSpec",
    "RagService",
    "RagServiceSpec",
    "RagServiceStatus",
    "Reason",
    "ReleaseStatus",
    "RequestLimits",
    "Resources",
    "RetrievalMode",
    "RetrievalSettings",
    "RevisionState",
    "RollOutWish",
    "Rollback",
    "Storage",
    "VectorStore",
    "Vllm",
]
