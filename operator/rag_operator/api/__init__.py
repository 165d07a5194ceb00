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
from .model import ExternalModel, Gpu, Model, ModelRuntime, RollOutWish, Vllm
from .ragrevision import RagRevision, RagRevisionSpec
from .ragservice import DeletionPolicy, ObjectMeta, RagService, RagServiceSpec
from .reasons import REMEDIES, Reason
from .serving import Api, Auth, AuthMode, RequestLimits
from .status import Condition, ConditionStatus, ConditionType, HistoryEntry, RagServiceStatus
from .vector_store import External, Qdrant, Storage, VectorStore

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
    "RequestLimits",
    "Resources",
    "RetrievalMode",
    "RetrievalSettings",
    "RollOutWish",
    "Storage",
    "VectorStore",
    "Vllm",
]
