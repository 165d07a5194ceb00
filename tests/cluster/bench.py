"""Start and stop the whole bench, or parts of it, in the right order."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence

from . import images, packages
from .commands import locked
from .control_plane import ControlPlane, Plane
from .dns import Dns
from .engine import Engine
from .kwok import Kwok
from .leftovers import Leftovers, unmount_below
from .network import Link
from .node import Node
from .processes import Processes
from .programs import Programs, link_programs
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
        self.leftovers = Leftovers(settings.cache, settings.link)

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
        with self._locked():
            if not self.settings.state.exists():
                self.report.line("nothing to stop")
                return
            self._end_all()
        self.report.line("the bench is down")

    def engine(self) -> Engine:
        """The Docker Engine of this bench, running or not."""
        return Engine(self.settings, self.processes, self.leftovers, self.report)

    def images(self, wanted: Sequence[str]) -> None:
        """Build the project's images (all when `wanted` is empty) and put them on the node if it runs."""
        base = self.base_image()
        docker = self.engine().up()
        self.load(images.Builder(self.settings, docker, self.report, base).build(wanted))

    def base_image(self) -> str:
        """Name of the local Python image, made in the bench's engine when it lacks there."""
        with self._locked():
            return images.ensure_base(self.settings, self.engine().up(), self.report)

    def load(self, names: Sequence[str]) -> None:
        """Put images of the bench's engine on the node, or say that there is none."""
        if self.processes.pid("containerd") is None:
            self.report.line("no node runs, so the images stay in the engine; `up` and `load` put them there")
            return
        with self._locked():
            docker = self.engine().up()
            images.load(docker, names, self.node().ctr(), self.report)

    def status(self) -> list[str]:
        """What runs, where and in which version, one line each."""
        settings = self.settings
        lines = [
            f"API server  {settings.server}",
            f"kubeconfig  {settings.kubeconfig}",
            f"Kubernetes  {settings.kubernetes}",
            f"state       {settings.state}",
            f"cache       {settings.cache}",
            f"etcd        127.0.0.1:{settings.etcd_port} and {settings.etcd_peer_port}",
            f"others      127.0.0.1: controller manager {settings.controller_manager_port}, "
            f"scheduler {settings.scheduler_port}, KWOK {settings.kwok_port}",
            f"node        {settings.node_address} behind {settings.link}, pods {settings.pod_cidr}, "
            f"Services {settings.service_cidr}",
        ]
        for name in self.processes.names():
            pid = self.processes.pid(name)
            lines.append(f"{name:24} {f'pid {pid}' if pid else 'not running, see ' + str(self.processes.log(name))}")
        return lines if self.processes.names() else [*lines, "nothing runs"]

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
            real_node=settings.node_name,
        )
        return ControlPlane(plane, self.processes)

    def _control_plane_up(self) -> None:
        packages.ensure(packages.CONTROL_PLANE | (packages.ROOT_CONTROL_PLANE if self.root else {}), self.report)
        built = self.programs.kubernetes()
        with self.report.step("control plane"):
            link_programs(built, self.settings.bin)
            if self.root:
                self.link.up()
            control_plane = self.control_plane()
            control_plane.start()
            if self.root:
                self._publish_api_server(control_plane)

    def node(self) -> Node:
        """The node of this bench, running or not."""
        return Node(self.settings, self.link, self.control_plane(), self.leftovers)

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
            self.node().up(pause)

    def _dns_up(self) -> None:
        folder = self.programs.coredns()
        with self.report.step("DNS"):
            Dns(self.settings, self.processes, self.link, self.control_plane()).up(folder / "coredns")

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
            if self.processes.started:
                self.report.line("stopping what was started")
            if fresh:
                self._end_all()
            else:
                self._end_started()
            raise

    def _end_started(self) -> None:
        started = list(self.processes.started)
        if "containerd" in started:
            self.node().down()
        for name in reversed(started):
            self.processes.stop(name)

    def _end_all(self) -> None:
        if self.root:
            self.engine().down()
            self.node().down()
        for name in reversed(self.processes.names()):
            if self.processes.stop(name):
                self.report.line(f"stopped {name}")
        if self.root:
            self.link.down()
            unmount_below(self.settings.state)
            self.leftovers.remove()
        if self.settings.state.exists():
            shutil.rmtree(self.settings.state)
