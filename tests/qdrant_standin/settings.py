"""Settings of the stand-in, under Qdrant's own environment names, so that a manifest for a real Qdrant runs it unchanged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

NAME = "qdrant stand-in for tests"
VERSION = "1.18.3"  # the server version whose recorded answers the stand-in follows; clients compare it with their own


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to listen, where the data lies, which keys open it. An empty key is no key, as in Qdrant."""

    host: str = "0.0.0.0"
    port: int = 6333
    storage: Path = Path("/qdrant/storage")
    snapshots: Path = Path("/qdrant/snapshots")
    api_key: str = field(default="", repr=False)
    read_only_api_key: str = field(default="", repr=False)
    max_request_bytes: int = 32 * 1024 * 1024

    @property
    def needs_key(self) -> bool:
        """Whether callers must show a key."""
        return bool(self.api_key or self.read_only_api_key)


# Switches of Qdrant that change what a caller sees: better no start than a server that ignores them.
REFUSED = ("QDRANT__SERVICE__ENABLE_TLS", "QDRANT__SERVICE__JWT_RBAC", "QDRANT__CLUSTER__ENABLED")


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Settings from Qdrant's variables; ValueError when a number is none, or a switch is on that the stand-in lacks."""
    for name in REFUSED:
        if environment.get(name, "").lower() in ("true", "1"):
            raise ValueError(f"{name} is not supported")
    default = Settings()
    max_megabytes = environment.get("QDRANT__SERVICE__MAX_REQUEST_SIZE_MB")
    return Settings(
        host=environment.get("QDRANT__SERVICE__HOST", default.host),
        port=int(environment.get("QDRANT__SERVICE__HTTP_PORT", default.port)),
        storage=Path(environment.get("QDRANT__STORAGE__STORAGE_PATH", default.storage)),
        snapshots=Path(environment.get("QDRANT__STORAGE__SNAPSHOTS_PATH", default.snapshots)),
        api_key=environment.get("QDRANT__SERVICE__API_KEY", ""),
        read_only_api_key=environment.get("QDRANT__SERVICE__READ_ONLY_API_KEY", ""),
        max_request_bytes=int(max_megabytes) * 1024 * 1024 if max_megabytes else default.max_request_bytes,
    )
