"""The link between this machine and the node.

The node is a pair of namespaces (network and mounts) held by one sleeping process.
Its bridge, its packet rules and its mounts exist only in there, so they are gone when
its last process is, and they meet nothing else on the machine::

    this machine                             the node's namespaces
    API server 10.230.0.1 --- veth pair --- 10.230.0.2 kubelet, CoreDNS
    routes to pods and services              bridge 10.231.0.1 --- pods 10.231.0.0/16
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from .commands import run
from .processes import Processes
from .report import BenchError
from .settings import Settings

HOLDER = "node-namespace"


class Link:
    """The namespaces and the veth pair of the node (root only)."""

    def __init__(self, settings: Settings, processes: Processes) -> None:
        self._settings = settings
        self._processes = processes

    @property
    def pid(self) -> int:
        """Pid of the process that holds the namespaces. Raises BenchError when there is none."""
        pid = self._processes.pid(HOLDER)
        if pid is None:
            raise BenchError("the node's namespaces are not there: run `up` first")
        return pid

    def enter(self, *, mounts: bool = True) -> list[str]:
        """Words to put before a command that shall run on the node."""
        words = ["nsenter", f"--target={self.pid}", "--net"]
        return [*words, "--mount", "--wdns=/"] if mounts else words

    def up(self) -> None:
        """Make the namespaces, the veth pair, the addresses and the routes, unless they are there."""
        settings = self._settings
        command = ["unshare", "--net", "--mount", "--propagation", "slave", "sleep", "infinity"]
        pid = self._processes.start(HOLDER, command)
        self._wait_for_namespace(pid)
        if Path(f"/sys/class/net/{settings.link}").exists():
            return
        inside = self.enter(mounts=False)
        prefix = settings.link_prefix
        run(["ip", "link", "add", settings.link, "type", "veth", "peer", "name", "eth0", "netns", str(pid)])
        run(["ip", "address", "add", f"{settings.host_address}/{prefix}", "dev", settings.link])
        run(["ip", "link", "set", settings.link, "up"])
        run([*inside, "ip", "address", "add", f"{settings.node_address}/{prefix}", "dev", "eth0"])
        run([*inside, "ip", "link", "set", "lo", "up"])
        run([*inside, "ip", "link", "set", "eth0", "up"])
        run([*inside, "ip", "route", "add", "default", "via", settings.host_address])
        run([*inside, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
        for network in (settings.pod_cidr, settings.service_cidr):
            run(["ip", "route", "replace", network, "via", settings.node_address, "dev", settings.link])

    def down(self) -> None:
        """Remove the veth pair with its routes, and end the holder."""
        if Path(f"/sys/class/net/{self._settings.link}").exists():
            run(["ip", "link", "delete", self._settings.link], check=False)
        self._processes.stop(HOLDER, force=True)

    @staticmethod
    def _wait_for_namespace(pid: int) -> None:
        deadline = time.monotonic() + 5
        ours = os.readlink("/proc/self/ns/mnt")
        while os.readlink(f"/proc/{pid}/ns/mnt") == ours:
            if time.monotonic() > deadline:
                raise BenchError("could not make a mount namespace; is this user root?")
            time.sleep(0.005)
