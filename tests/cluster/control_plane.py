"""etcd, API server, controller manager and scheduler: one control plane from one description.

The shared bench and the private ones of tests that break the server are both made
here; they differ only in their `Plane`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import ssl
import time
import urllib.request
from pathlib import Path

from .commands import Words, run, write_changed
from .pki import Authority
from .processes import Processes
from .report import BenchError

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    # One line a request, when it is answered: tests count requests by user, verb and resource.
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "rag-bench/folder",
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "WaitForFirstConsumer",
}


@dataclasses.dataclass(frozen=True)
class Plane:
    """Where one control plane lives: its folder, its programs, its addresses."""

    folder: Path
    programs: Path
    address: str
    api_port: int
    etcd_port: int
    etcd_peer_port: int
    controller_manager_port: int
    scheduler_port: int
    service_cidr: str
    kubernetes_service: str
    real_node: str = ""
    """Name of the node on which volumes are folders that a pod can write to."""
    admission: str = "NodeRestriction"
    """Admission plugins beside the default ones, with commas between."""

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://{self.address}:{self.api_port}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "admin.kubeconfig"


class ControlPlane:
    """Starts and stops the processes of one `Plane`; every method may be repeated."""

    def __init__(self, plane: Plane, processes: Processes) -> None:
        self.plane = plane
        self.processes = processes
        self.authority = Authority(plane.folder / "pki")

    def start(self, *, controllers: bool = True, scheduler: bool = True) -> None:
        """Start what does not run and wait until it answers. Raises BenchError with the log's end."""
        self._write_files()
        self.start_etcd()
        self.start_api_server()
        self.wait_ready()  # its roles must be there, or the others end for lack of rights
        if controllers:
            self.start_controller_manager()
            self.start_volumes()
        if scheduler:
            self.start_scheduler()
            self._wait_healthy("kube-scheduler", self.plane.scheduler_port)
        if controllers:
            self._wait_healthy("kube-controller-manager", self.plane.controller_manager_port)
            self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(STORAGE_CLASS))

    def start_etcd(self) -> None:
        """Start etcd. It does not flush to disk: a bench may lose its data with the machine's power."""
        plane = self.plane
        client = f"http://127.0.0.1:{plane.etcd_port}"
        peer = f"http://127.0.0.1:{plane.etcd_peer_port}"
        command: Words = [plane.programs / "etcd", "--name=bench", f"--data-dir={plane.folder / 'etcd'}"]
        command += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
        command += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
        command += [f"--initial-cluster=bench={peer}", "--unsafe-no-fsync", "--log-level=warn"]
        command += ["--quota-backend-bytes=4294967296", "--auto-compaction-retention=10m"]
        self.processes.start("etcd", command)

    def start_api_server(self) -> None:
        """Start the API server with RBAC, node authorisation, audit and the default admission plugins."""
        plane, pki = self.plane, self.plane.folder / "pki"
        command: Words = [
            plane.programs / "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{plane.etcd_port}",
            f"--bind-address={plane.address}",
            f"--secure-port={plane.api_port}",
            f"--advertise-address={plane.address if not plane.address.startswith('127.') else '192.0.2.1'}",
            "--endpoint-reconciler-type=none",
            f"--service-cluster-ip-range={plane.service_cidr}",
            "--authorization-mode=Node,RBAC",
            f"--enable-admission-plugins={plane.admission}",
            "--allow-privileged",
            f"--client-ca-file={self.authority.certificate}",
            f"--tls-cert-file={pki / 'server.crt'}",
            f"--tls-private-key-file={pki / 'server.key'}",
            f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
            f"--kubelet-client-key={pki / 'kubelet-client.key'}",
            f"--kubelet-certificate-authority={self.authority.certificate}",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={pki / 'service-account.key'}",
            f"--service-account-key-file={pki / 'service-account.pub'}",
            f"--audit-policy-file={plane.folder / 'audit-policy.json'}",
            f"--audit-log-path={plane.folder / 'log' / 'audit.log'}",
            "--audit-log-maxsize=512",
            "--audit-log-maxbackup=1",
            "--profiling=false",
        ]
        self.processes.start("kube-apiserver", command)

    def start_controller_manager(self) -> None:
        """Start the controller manager, with no limit on its requests that a test would meet."""
        plane, pki = self.plane, self.plane.folder / "pki"
        config = self._client("controller-manager", "/CN=system:kube-controller-manager")
        command: Words = [
            plane.programs / "kube-controller-manager",
            *self._client_flags(config, plane.controller_manager_port),
            f"--root-ca-file={self.authority.certificate}",
            f"--service-account-private-key-file={pki / 'service-account.key'}",
            f"--cluster-signing-cert-file={self.authority.certificate}",
            f"--cluster-signing-key-file={pki / 'ca.key'}",
            "--use-service-account-credentials",
            "--leader-elect=false",
        ]
        self.processes.start("kube-controller-manager", command)

    def start_volumes(self) -> None:
        """Start the provisioner of the default StorageClass: a volume is a folder under this plane's."""
        plane = self.plane
        config = self._client("volumes", "/O=system:masters/CN=rag-bench-volumes")
        folder = plane.folder / "volumes"
        folder.mkdir(mode=0o700, exist_ok=True)
        flags = [f"--kubeconfig={config}", f"--folder={folder}", f"--node={plane.real_node}"]
        self.processes.start("volume-provisioner", [plane.programs / "volume-provisioner", *flags])

    def start_scheduler(self) -> None:
        """Start the real scheduler."""
        config = self._client("scheduler", "/CN=system:kube-scheduler")
        flags = self._client_flags(config, self.plane.scheduler_port)
        self.processes.start("kube-scheduler", [self.plane.programs / "kube-scheduler", *flags, "--leader-elect=false"])

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait for the API server's /readyz, failing at once when one of the processes ends."""
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        context.load_cert_chain(*map(str, self.authority.issue("admin", "")))
        self._wait_for(f"{self.plane.server}/readyz", context, ("etcd", "kube-apiserver"), timeout)

    def _wait_healthy(self, name: str, port: int, timeout: float = 30.0) -> None:
        # Its certificate is of its own making, and no secret is sent.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._wait_for(f"https://127.0.0.1:{port}/healthz", context, (name,), timeout)

    def _wait_for(self, url: str, context: ssl.SSLContext, names: tuple[str, ...], timeout: float) -> None:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        deadline = time.monotonic() + timeout
        while True:
            for name in names:
                if self.processes.pid(name) is None:
                    raise BenchError(f"{name} ended:\n{self.processes.tail(name)}")
            try:
                with opener.open(url, timeout=2):  # anything but 2xx raises
                    return
            except OSError as error:
                if time.monotonic() > deadline:
                    said = self.processes.tail(names[-1])
                    raise BenchError(f"{names[-1]} was not ready after {timeout:.0f} s ({error}):\n{said}") from error
            time.sleep(0.1)

    def kubectl(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        """Standard output of kubectl as the administrator."""
        command: Words = [self.plane.programs / "kubectl", f"--kubeconfig={self.plane.kubeconfig}", *words]
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(self.plane.folder)}
        return run(command, stdin=stdin, check=check, environment=environment).stdout

    def _write_files(self) -> None:
        plane, authority = self.plane, self.authority
        (plane.folder / "log").mkdir(parents=True, exist_ok=True)
        write_changed(plane.folder / "audit-policy.json", json.dumps(AUDIT_POLICY))
        names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")
        addresses = dict.fromkeys(("127.0.0.1", plane.address, plane.kubernetes_service))
        alternatives = tuple(f"DNS:{name}" for name in names) + tuple(f"IP:{address}" for address in addresses)
        authority.issue("server", "/CN=kube-apiserver", alternatives)
        authority.issue("kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client")
        authority.service_account_keys()
        if not plane.kubeconfig.exists():
            authority.kubeconfig(plane.kubeconfig, plane.server, "admin", "/O=system:masters/CN=admin")

    def _client(self, name: str, subject: str) -> Path:
        path = self.plane.folder / f"{name}.kubeconfig"
        return path if path.exists() else self.authority.kubeconfig(path, self.plane.server, name, subject)

    def _client_flags(self, config: Path, port: int) -> list[str]:
        # The default of 20 requests a second falls minutes behind in any test of scale.
        return [
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            "--profiling=false",
        ]
