"""Settings of the operator process, from environment variables. Built once, in `__main__`, and passed on; frozen.

Every field is a variable with the prefix RAG_OPERATOR_: `api_image` is RAG_OPERATOR_API_IMAGE. What belongs to one
RagService is not here but in its spec.
"""

from enum import StrEnum
from importlib.metadata import version
from typing import Final

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX: Final = "RAG_OPERATOR_"
PACKAGE_VERSION: Final = version("rag-operator")


class PodAccess(StrEnum):
    """How the operator asks pods what they serve."""

    DIRECT = "direct"
    PROXY = "proxy"


class LogFormat(StrEnum):
    """One JSON object per line for machines, or text for people."""

    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """Least severity that is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class Settings(BaseSettings):
    """What the person who installs the operator decides. Each field says its unit and what follows from it."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    api_image: str = Field(
        default=f"rag-operator/api:{PACKAGE_VERSION}",
        min_length=1,
        description="Image of the RAG API where a RagService names none. Changing it restarts none of those:"
        " each gets it with its next release.",
    )
    indexer_image: str = Field(
        default=f"rag-operator/indexer:{PACKAGE_VERSION}",
        min_length=1,
        description="Image of the Jobs that build collections. Changing it rebuilds nothing that is complete.",
    )
    qdrant_image: str = Field(
        default="qdrant/qdrant:v1.18.3-unprivileged",
        min_length=1,
        description="Image of Qdrant where a RagService names none. Changing it restarts none of those:"
        " each gets it with the next edit of spec.vectorStore.qdrant.",
    )
    model_image: str = Field(
        default=f"rag-operator/model-server:{PACKAGE_VERSION}",
        min_length=1,
        description="Image of model servers where a RagService names none. Changing it restarts none of those:"
        " each gets it with the next edit of spec.model.",
    )
    model_fetch_image: str = Field(
        default=f"rag-operator/model-fetch:{PACKAGE_VERSION}",
        min_length=1,
        description="Image of the Jobs that download weights. Changing it downloads nothing that is complete.",
    )
    runtime_classes: str = Field(
        default="",
        max_length=1024,
        description="RuntimeClasses that a RagService may choose for its model server, with commas between. Empty: none.",
    )
    allow_remote_code: bool = Field(
        default=True,
        description="Whether spec.model.vllm.trustRemoteCode may be true: Python code of a model's repository then runs in a"
        " pod.",
    )
    namespace: str = Field(
        default="",
        max_length=63,
        description="Only this namespace is watched, and a Role there is enough. Empty: the whole cluster.",
    )
    pod_access: PodAccess = Field(
        default=PodAccess.DIRECT,
        description="direct: ask API pods at their address. proxy: through the API server, for an operator that runs"
        " where pod addresses cannot be reached; needs the right to get pods/proxy.",
    )
    leader_election: bool = Field(
        default=True,
        description="Write only while holding the Lease. Switch it off only where one operator runs for sure.",
    )
    lease_namespace: str = Field(
        default="",
        max_length=63,
        description="Namespace of the Lease. Empty: RAG_OPERATOR_NAMESPACE, and without that the namespace of the login.",
    )
    lease_name: str = Field(default="rag-operator", min_length=1, max_length=63, description="Name of the Lease.")
    workers: int = Field(default=16, ge=1, le=256, description="RagServices that are reconciled at the same time.")
    resync_seconds: float = Field(
        default=600,
        ge=1,
        description="Seconds between two full comparisons of the caches with the API server: one paged LIST per"
        " kind, two of ConfigMaps (labelled ones, names of the others) and, where nodes are watched, two of pods. The upper bound for noticing anything that no event told.",
    )
    listen_address: str = Field(default="", description="Address that the two ports below listen on. Empty: all.")
    metrics_port: int = Field(default=8080, ge=0, le=65535, description="TCP port of GET /metrics; 0 switches it off.")
    health_port: int = Field(
        default=8081,
        ge=0,
        le=65535,
        description="TCP port of GET /healthz, and of GET /debug/state for loopback only; 0 switches it off.",
    )
    log_level: LogLevel = Field(default=LogLevel.INFO, description="DEBUG, INFO, WARNING or ERROR.")
    log_format: LogFormat = Field(default=LogFormat.JSON, description="json (one object per line) or text.")
    kubeconfig: str = Field(
        default="",
        validation_alias=AliasChoices("KUBECONFIG", f"{PREFIX}KUBECONFIG", "kubeconfig"),
        description="Kubeconfig file, from KUBECONFIG. Empty: the pod's own service account, else ~/.kube/config.",
    )

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


def variables() -> list[tuple[str, str, str]]:
    """(variable, default, meaning) of every setting, for `--help` and the documentation."""
    rows = []
    for name, field in Settings.model_fields.items():
        variable = "KUBECONFIG" if name == "kubeconfig" else PREFIX + name.upper()
        rows.append((variable, str(field.default), field.description or ""))
    return rows
