"""Start and stop the whole bench, or parts of it, in the right order."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator

from . import packages
from .commands import locked, run
from .control_plane import HOSTPATH, ControlPlane, Plane
from .dns import Dns
from .kwok import Kwok
from .network import Link
from .node import Node
from .processes import Processes
from .programs import KUBERNETES_NAMES, Programs
from .report import BenchError, Report
from .settings import Settings

PARTS = ("control-plane", "kwok", "node", "dns")


def expand(text: str) -> tuple[str, ...]:
    """The parts named in `text` (separated by commas or spaces), with the ones they need, in order.

    Raises BenchError for an unknown name.
    """
    wanted = set(text.replace(",", " ").split()) or {"all"}
    unknown = wanted - {*PARTS, "all"}
    if unknown:
        raise BenchError(f"unknown part {', '.join(sorted(unknown))}; there are: all, {', '.join(PARTS)}")
    if "all" in wanted:
        return PARTS
    if "dns" in wanted:
        wanted.add("node")
    return tuple(part for part in PARTS if part in wanted or part == "control-plane")


class Bench:
    """The shared bench on this machine."""

    def __init__(self, settings: Settings, report: Report) -> None:
        self.settings = settings
        self.report = report
        self.processes = Processes(settings.state)
        self.programs = Programs(settings, report)
        self.root = os.geteuid() == 0
        self.link = Link(settings, self.processes)

    def up(self, parts: tuple[str, ...]) -> None:
        """Start `parts`. What runs already is left as it is; what this call started ends again when it fails."""
        steps: dict[str, Callable[[], None]] = {
            "control-plane": self._control_plane_up,
            "kwok": self._kwok_up,
            "node": self._node_up,
            "dns": self._dns_up,
        }
        with self._locked(), self._taken_back_on_failure():
            for part in parts:
                steps[part]()
            self.report.line(f"the bench is up: {', '.join(parts)}")

    def down(self) -> None:
        """End everything that `up` started and remove its state; does nothing when nothing is there."""
        if not self.settings.state.exists():
            self.report.line("nothing to stop")
            return
        with self._locked():
            for name in reversed(self.processes.names()):
                if self.processes.stop(name):
                    self.report.line(f"stopped {name}")
            self._remove_state()
        self.report.line("the bench is down")

    def control_plane(self) -> ControlPlane:
        """The control plane of this bench, running or not."""
        settings = self.settings
        plane = Plane(
            folder=settings.state,
            programs=settings.bin,
            address=settings.api_address,
            api_port=settings.api_port,
            etcd_port=settings.etcd_port,
            etcd_peer_port=settings.etcd_peer_port,
            controller_manager_port=settings.controller_manager_port,
            scheduler_port=settings.scheduler_port,
            service_cidr=settings.service_cidr,
            kubernetes_service=settings.kubernetes_service,
            hostpath=settings.state / "volumes" if self.root else None,
        )
        return ControlPlane(plane, self.processes)

    def _control_plane_up(self) -> None:
        packages.ensure(packages.CONTROL_PLANE | (packages.ROOT_CONTROL_PLANE if self.root else {}), self.report)
        built = self.programs.kubernetes()
        with self.report.step("control plane"):
            self._link_programs(built, KUBERNETES_NAMES)
            if self.root:
                self.link.up()
            control_plane = self.control_plane()
            control_plane.start()
            if self.root:
                self._publish_api_server(control_plane)

    def node(self) -> Node:
        """The node of this bench, running or not."""
        return Node(self.settings, self.processes, self.link, self.control_plane())

    def _kwok_up(self) -> None:
        folder = self.programs.kwok()
        with self.report.step("KWOK"):
            Kwok(self.settings, self.processes, self.control_plane()).up(folder)

    def _node_up(self) -> None:
        if not self.root:
            raise BenchError("a node needs root; without it there is --parts control-plane,kwok")
        packages.ensure(packages.NODE, self.report)
        pause = self.programs.pause() / "pause"
        with self.report.step("node"):
            self._node_started = True
            self.node().up(pause)

    def _dns_up(self) -> None:
        folder = self.programs.coredns()
        with self.report.step("DNS"):
            Dns(self.settings, self.processes, self.link, self.control_plane()).up(folder / "coredns")

    def _link_programs(self, folder: os.PathLike[str], names: tuple[str, ...]) -> None:
        self.settings.bin.mkdir(parents=True, exist_ok=True)
        for name in names:
            link = self.settings.bin / name
            target = os.path.join(folder, name)
            if not link.is_symlink() or os.readlink(link) != target:
                link.unlink(missing_ok=True)
                link.symlink_to(target)

    def _publish_api_server(self, control_plane: ControlPlane) -> None:
        """Endpoints of the Service `kubernetes`, so that pods reach the API server as on any cluster."""
        settings = self.settings
        endpoints = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "kubernetes"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": settings.api_port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [settings.host_address], "conditions": {"ready": True}}],
        }
        text = json.dumps(endpoints)
        control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with locked(self.settings.cache / f"bench-{self.settings.api_port}.lock"):
            yield

    @contextlib.contextmanager
    def _taken_back_on_failure(self) -> Iterator[None]:
        fresh = not self.settings.state.exists()
        try:
            yield
        except BaseException:
            self.report.line("stopping what was started")
            for name in reversed(list(self.processes.started)):
                self.processes.stop(name, force=True)
            if fresh:
                self._remove_state()
            raise

    def _remove_state(self) -> None:
        if self.root:
            self.link.down()
            if HOSTPATH.is_dir() and not _mounted_anywhere(str(HOSTPATH)):
                with contextlib.suppress(OSError):  # not empty: someone else's volumes
                    HOSTPATH.rmdir()
        shutil.rmtree(self.settings.state, ignore_errors=False)


def _mounted_anywhere(path: str) -> bool:
    """Whether some process of this machine has a mount at `path` in its namespace."""
    done = run(["sh", "-c", 'cat /proc/[0-9]*/mountinfo 2>/dev/null | grep -qF " $1 "', "sh", path], check=False)
    return done.returncode == 0
