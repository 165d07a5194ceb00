"""``--cluster kind``: the same commands on a kind cluster, for machines with Docker and a public registry.

kind and docker are the user's own; the kubeconfig is a file of ours. Not run in this project's CI.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from .commands import Words, run
from .engine import Docker
from .images import Builder
from .report import BenchError, Report
from .settings import Settings

CONFIG = Path(__file__).with_name("kind.yaml")


class Kind:
    """One kind cluster, named in the settings."""

    def __init__(self, settings: Settings, report: Report) -> None:
        if shutil.which("kind") is None:
            raise BenchError("kind is not on PATH; see its site for how to install it, or use the default bench")
        self._settings = settings
        self._report = report

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of the kind cluster, apart from the user's."""
        return self._settings.cache / "kind.kubeconfig"

    def up(self) -> None:
        """Create the cluster unless it is there, and write its kubeconfig."""
        name = self._settings.kind_cluster
        self.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        if name in run(["kind", "get", "clusters"]).stdout.split():
            run(["kind", "export", "kubeconfig", "--name", name, "--kubeconfig", self.kubeconfig])
            self._report.line(f"the kind cluster {name} is there")
            return
        with self._report.step(f"kind cluster {name}"):
            command: Words = ["kind", "create", "cluster", "--name", name, "--config", CONFIG, "--wait", "120s"]
            run([*command, "--kubeconfig", self.kubeconfig])

    def down(self) -> None:
        """Delete the cluster and its kubeconfig."""
        command: Words = ["kind", "delete", "cluster", "--name", self._settings.kind_cluster]
        run([*command, "--kubeconfig", self.kubeconfig])
        self.kubeconfig.unlink(missing_ok=True)

    def images(self, wanted: Sequence[str]) -> None:
        """Build images with the user's Docker and the public Python image, and load them."""
        self.load(Builder(self._settings, Docker(None), self._report, None).build(wanted))

    def load(self, images: Sequence[str]) -> None:
        """Copy images from the user's Docker to the cluster's nodes."""
        with self._report.step(f"loading {', '.join(images)}"):
            run(["kind", "load", "docker-image", "--name", self._settings.kind_cluster, *images])
