"""The one real node: containerd, kubelet and kube-proxy inside the node's namespaces.

Folders that these programs insist on (/var/lib/kubelet, /run/containerd and the like)
are the bench's own there, by a mount that nothing outside the namespace sees. So a
containerd or kubelet of the machine is neither seen nor disturbed.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from . import archive, cgroups, packages
from .commands import Words, answers, run, write_changed
from .control_plane import ControlPlane
from .leftovers import Leftovers
from .network import HOLDER, Link
from .pki import Authority
from .processes import end_all_that_see
from .report import BenchError
from .settings import Settings

# Where the programs write by their nature -> folder under the bench's state.
OWN_FOLDERS = {
    "/var/lib/kubelet": "kubelet",
    "/var/lib/cni": "cni",
    "/var/log/pods": "pod-logs",
    "/var/log/containers": "container-logs",
    "/run/containerd": "containerd-run",
    "/run/netns": "netns",
    "/run/runc": "runc",
    "/etc/cni/net.d": "cni-config",
}


class Node:
    """Starts and stops what makes this machine a node of the bench."""

    def __init__(self, settings: Settings, link: Link, control_plane: ControlPlane, leftovers: Leftovers) -> None:
        self._settings = settings
        self._processes = control_plane.processes
        self._leftovers = leftovers
        self._link = link
        self._plane = control_plane
        self._folder = settings.state / "node"

    def ctr(self) -> list[str]:
        """Words that run containerd's client against the node's images."""
        return [*self._link.enter(), "ctr", f"--address={self._socket}", "--namespace=k8s.io"]

    def up(self, pause: Path) -> None:
        """Start what does not run and wait until the node is Ready; `pause` is the sandbox program."""
        self._mount_folders()
        cgroups.make(self._settings.cgroup)
        self._write_files()
        self._masquerade()
        self.start_containerd()
        self._import_pause(pause)
        self.start_kubelet()
        self._wait_ready()
        self.start_kube_proxy()

    def start_containerd(self) -> None:
        """Start containerd and wait for its socket to answer."""
        command = [*self._link.enter(), packages.find("containerd") or "containerd"]
        self._processes.start("containerd", [*command, f"--config={self._folder / 'containerd.toml'}"])
        deadline = time.monotonic() + 20
        while run([*self.ctr(), "version"], check=False).returncode != 0:
            self._fail_when_gone("containerd")
            if time.monotonic() > deadline:
                raise BenchError("containerd does not answer:\n" + self._processes.tail("containerd"))
            time.sleep(0.1)

    def start_kubelet(self) -> None:
        """Start the kubelet as the node's own user of the API."""
        command: Words = [
            *self._link.enter(),
            self._plane.plane.programs / "kubelet",
            f"--config={self._folder / 'kubelet.json'}",
            f"--kubeconfig={self._folder / 'kubelet.kubeconfig'}",
            f"--hostname-override={self._settings.node_name}",
            f"--node-ip={self._settings.node_address}",
            "--node-labels=rag-bench/real=true",
        ]
        self._processes.start("kubelet", command)

    def start_kube_proxy(self) -> None:
        """Start kube-proxy; its nftables table is the namespace's own."""
        command: Words = [*self._link.enter(), self._plane.plane.programs / "kube-proxy"]
        self._processes.start("kube-proxy", [*command, f"--config={self._folder / 'kube-proxy.json'}"])
        deadline = time.monotonic() + 20
        while not answers(f"http://{self._settings.node_address}:10256/healthz"):
            self._fail_when_gone("kube-proxy")
            if time.monotonic() > deadline:
                raise BenchError("kube-proxy is not ready:\n" + self._processes.tail("kube-proxy"))
            time.sleep(0.1)

    def down(self) -> None:
        """End the node's programs and every container, remove its packet rules and cgroups.

        The containers end by their cgroup and their shims by their mount namespace: both
        hold nothing but the bench's own.
        """
        for name in ("kube-proxy", "kubelet", "containerd"):
            self._processes.stop(name, grace=5)
        cgroups.kill(self._settings.cgroup)
        end_all_that_see("/run/containerd", self._folder / OWN_FOLDERS["/run/containerd"], self._processes.pid(HOLDER))
        cgroups.remove(self._settings.cgroup)
        if packages.find("nft") is not None:
            run(["nft", "delete", "table", "ip", self._settings.nft_table], check=False)

    @property
    def _socket(self) -> Path:
        return Path("/run/containerd/containerd.sock")

    def _mount_folders(self) -> None:
        inside = self._link.enter()
        mounted = Path(f"/proc/{self._link.pid}/mountinfo").read_text()
        for target, name in OWN_FOLDERS.items():
            source = self._folder / name
            source.mkdir(parents=True, exist_ok=True)
            if f" {target} " in mounted:
                continue
            self._leftovers.make_folder(Path(target))
            run([*inside, "mount", "--bind", source, target])
            # Mounts of pods must reach containerd's view of these folders and back.
            run([*inside, "mount", "--make-rshared", target])

    def _write_files(self) -> None:
        settings, authority = self._settings, self._plane.authority
        self._folder.mkdir(parents=True, exist_ok=True)
        subject = f"/O=system:nodes/CN=system:node:{settings.node_name}"
        names = (f"IP:{settings.node_address}", f"DNS:{settings.node_name}")
        certificate, key = authority.issue("kubelet", subject, names)
        self._kubeconfig(authority, "kubelet", subject)
        self._kubeconfig(authority, "kube-proxy", "/CN=system:kube-proxy")
        files = {
            "containerd.toml": self._containerd_config(),
            "cni-config/10-bench.conflist": json.dumps(self._cni_config()),
            "kubelet.json": json.dumps(self._kubelet_config(certificate, key)),
            "kube-proxy.json": json.dumps(self._kube_proxy_config()),
            "resolv.conf": _usable_resolvers(Path("/etc/resolv.conf").read_text()),
        }
        for name, text in files.items():
            if write_changed(self._folder / name, text) and name == "kube-proxy.json":
                self._processes.stop("kube-proxy")  # it ends anyway when its file is written, a little later

    def _kubeconfig(self, authority: Authority, name: str, subject: str) -> None:
        path = self._folder / f"{name}.kubeconfig"
        if not path.exists():
            authority.kubeconfig(path, self._plane.plane.server, name, subject)

    def _containerd_config(self) -> str:
        settings = self._settings
        # restrict_oom_score_adj: without CAP_SYS_RESOURCE no process may lower its score.
        return f"""version = 2
root = "{self._folder}/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "{self._socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{settings.pause_image}"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
"""

    def _cni_config(self) -> dict[str, object]:
        settings = self._settings
        bridge = {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "hairpinMode": True,
            "ipMasq": False,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": settings.pod_cidr, "gateway": settings.pod_gateway}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
        portmap = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
        return {"cniVersion": "1.0.0", "name": "bench", "plugins": [bridge, portmap]}

    def _kubelet_config(self, certificate: Path, key: Path) -> dict[str, object]:
        settings = self._settings
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": settings.node_address,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self._plane.authority.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(certificate),
            "tlsPrivateKeyFile": str(key),
            "containerRuntimeEndpoint": f"unix://{self._socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{settings.cgroup}",
            "failSwapOn": False,
            "failCgroupV1": False,
            "clusterDNS": [settings.node_address],
            "clusterDomain": settings.cluster_domain,
            "resolvConf": str(self._folder / "resolv.conf"),
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "maxPods": 250,
            "syncFrequency": "10s",
            "serializeImagePulls": False,
            "shutdownGracePeriod": "0s",
            "volumePluginDir": str(self._folder / "plugins"),
        }

    def _kube_proxy_config(self) -> dict[str, object]:
        settings = self._settings
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clusterCIDR": settings.pod_cidr,
            "hostnameOverride": settings.node_name,
            "bindAddress": settings.node_address,
            "healthzBindAddress": f"{settings.node_address}:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "clientConnection": {"kubeconfig": str(self._folder / "kube-proxy.kubeconfig")},
            # A pod that is Ready is reached at once, not after the second that is the default.
            "nftables": {"minSyncPeriod": "100ms"},
            # The table's size belongs to the whole machine; a namespace may not set it.
            "conntrack": {"maxPerCore": 0, "min": 0},
        }

    def _masquerade(self) -> None:
        """Let pods reach what this machine reaches, under this machine's address."""
        settings = self._settings
        self._leftovers.need_forwarding()
        table = settings.nft_table
        rules = f"""table ip {table}
delete table ip {table}
table ip {table} {{
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ip saddr {{ {settings.pod_cidr}, {settings.node_address} }} oifname != "{settings.link}" oifname != "lo" masquerade
  }}
}}
"""
        run(["nft", "-f", "-"], stdin=rules)

    def _wait_ready(self, timeout: float = 60.0) -> None:
        deadline = time.monotonic() + timeout
        path = '-o=jsonpath={.status.conditions[?(@.type=="Ready")].status}'
        while True:
            if self._plane.kubectl("get", "node", self._settings.node_name, path, check=False) == "True":
                return
            for name in ("containerd", "kubelet"):
                self._fail_when_gone(name)
            if time.monotonic() > deadline:
                raise BenchError("the node is not Ready:\n" + self._processes.tail("kubelet"))
            time.sleep(0.2)

    def _import_pause(self, program: Path) -> None:
        image = self._settings.pause_image
        listed = run([*self.ctr(), "images", "list", "-q"]).stdout.split()
        if any(name.endswith(f"/{image}") for name in listed):
            return
        file = self._folder / "pause.tar"
        archive.write(file, image, program, {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "amd64"))
        run([*self.ctr(), "images", "import", file])
        file.unlink()

    def _fail_when_gone(self, name: str) -> None:
        if self._processes.pid(name) is None:
            raise BenchError(f"{name} ended:\n{self._processes.tail(name)}")


def _usable_resolvers(text: str) -> str:
    """resolv.conf without resolvers on loopback, which is another one in the node's namespace."""
    lines = [line for line in text.splitlines() if not line.replace("\t", " ").startswith("nameserver 127.")]
    return "\n".join(lines) + "\n"
