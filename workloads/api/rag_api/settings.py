"""Settings of the process: the operator's environment, the vector store's key, and what the image says of itself."""

import importlib.metadata
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from rag_contract.environment import QDRANT_API_KEY_VARIABLE, ApiEnvironment


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a process is told from outside. The key never appears in a representation."""

    environment: ApiEnvironment
    qdrant_api_key: str = field(default="", repr=False)
    version: str = ""
    commit: str = "unknown"


def package_version() -> str:
    """Version of the installed package."""
    return importlib.metadata.version("rag-api")


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings. Raises pydantic.ValidationError naming the variable that is missing, unknown or wrong."""
    env = os.environ if environ is None else environ
    return Settings(
        environment=ApiEnvironment.from_env(env),
        qdrant_api_key=env.get(QDRANT_API_KEY_VARIABLE, ""),
        version=env.get("RAG_IMAGE_VERSION") or package_version(),
        commit=env.get("RAG_IMAGE_REVISION") or "unknown",
    )
