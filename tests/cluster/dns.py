"""CoreDNS on the node's address: names of Services and pods, and what the machine resolves."""

from __future__ import annotations

import json
import time
from pathlib import Path

from .commands import answers, write_changed
from .control_plane import ControlPlane
from .network import Link
from .processes import Processes
from .report import BenchError
from .settings import Settings

READ = {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]}
READ_SLICES = {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]}
RBAC = "rbac.authorization.k8s.io"
ROLE = {
    "apiVersion": f"{RBAC}/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "rag-bench-dns"},
    "rules": [READ, READ_SLICES],
}
BINDING = {
    "apiVersion": f"{RBAC}/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "rag-bench-dns"},
    "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "rag-bench-dns"},
    "subjects": [{"apiGroup": RBAC, "kind": "User", "name": "rag-bench-dns"}],
}


class Dns:
    """Starts CoreDNS inside the node's network namespace."""

    def __init__(self, settings: Settings, processes: Processes, link: Link, control_plane: ControlPlane) -> None:
        self._settings = settings
        self._processes = processes
        self._link = link
        self._plane = control_plane

    def up(self, program: Path) -> None:
        """Start CoreDNS unless it runs, and wait until it is ready to answer."""
        folder = self._settings.state / "dns"
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "dns.kubeconfig"
        if not config.exists():
            self._plane.authority.kubeconfig(config, self._plane.plane.server, "dns", "/CN=rag-bench-dns")
        documents = json.dumps({"apiVersion": "v1", "kind": "List", "items": [ROLE, BINDING]})
        self._plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=documents)
        write_changed(folder / "Corefile", self._corefile(config))
        self._processes.start("coredns", [*self._link.enter(), program, "-conf", folder / "Corefile"])
        self._wait_ready()

    def _corefile(self, config: Path) -> str:
        settings = self._settings
        resolvers = settings.state / "node" / "resolv.conf"
        forward = f"  forward . {resolvers}\n" if "nameserver" in resolvers.read_text() else ""
        return f""".:53 {{
  bind {settings.node_address}
  errors
  ready {settings.node_address}:8181
  kubernetes {settings.cluster_domain} in-addr.arpa {{
    kubeconfig {config}
    pods insecure
    ttl 5
    fallthrough in-addr.arpa
  }}
{forward}  cache 5
}}
"""

    def _wait_ready(self, timeout: float = 20.0) -> None:
        url = f"http://{self._settings.node_address}:8181/ready"
        deadline = time.monotonic() + timeout
        while not answers(url):
            if self._processes.pid("coredns") is None or time.monotonic() > deadline:
                raise BenchError("CoreDNS is not ready:\n" + self._processes.tail("coredns"))
            time.sleep(0.1)
