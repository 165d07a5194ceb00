"""A Docker Engine of the bench's own, started when images are to be built.

Its layers stay in the cache, so they survive ``down``; its socket, bridge and pid file
are the bench's, and it changes no packet rules: a Docker of the machine is not met.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from . import cgroups, packages
from .commands import Words, run
from .leftovers import Leftovers, with_folders
from .processes import Processes, end_all_that_see
from .report import BenchError, Report
from .settings import Settings

# Where dockerd and its containerd write by their nature -> folder under the bench's state.
OWN_FOLDERS = {
    "/run/containerd": "run-containerd",
    "/run/docker": "run-docker",
    "/run/runc": "run-runc",
    "/opt/containerd": "opt-containerd",
}


class Docker:
    """A docker client bound to one engine: the bench's by `host`, the user's without."""

    def __init__(self, host: str | None) -> None:
        client = _client()
        self._words = [client]
        self.environment: Mapping[str, str] = dict(os.environ)
        # The Dockerfile builds with either builder; BuildKit skips the stages that a target does not need.
        changes = {"DOCKER_BUILDKIT": "1" if _has_buildkit(client) else "0"}
        if host is not None:
            changes["DOCKER_HOST"] = host
            self._words += ["--host", host]
        self.environment = {**self.environment, **changes}

    def __call__(self, *words: str | Path, check: bool = True) -> str:
        """Standard output of ``docker <words>``. Raises BenchError when it fails."""
        return run([*self._words, *words], environment=self.environment, check=check).stdout.strip()

    def words(self, *words: str | Path) -> list[str]:
        """The command line of ``docker <words>``, for a pipe."""
        return [*self._words, *(str(word) for word in words)]

    def image_id(self, image: str) -> str | None:
        """Digest of the image's configuration, None when the engine lacks the image."""
        found = self("image", "inspect", "--format={{.Id}}", image, check=False)
        return found or None


class Engine:
    """Starts and stops the bench's dockerd (root only)."""

    def __init__(self, settings: Settings, processes: Processes, leftovers: Leftovers, report: Report) -> None:
        self._settings = settings
        self._leftovers = leftovers
        self._processes = processes
        self._report = report

    def up(self) -> Docker:
        """Start dockerd unless it runs; returns a client of it."""
        settings = self._settings
        if os.geteuid() != 0:
            raise BenchError("images need root here; with a Docker of your own use --cluster kind")
        packages.ensure(packages.IMAGES, self._report)
        if not Path(f"/sys/class/net/{settings.docker_bridge}").exists():
            run(["ip", "link", "add", settings.docker_bridge, "type", "bridge"])
            run(["ip", "address", "add", settings.docker_bridge_address, "dev", settings.docker_bridge])
            run(["ip", "link", "set", settings.docker_bridge, "up"])
        (settings.state / "docker").mkdir(parents=True, exist_ok=True)
        (settings.state / "docker" / "daemon.json").write_text("{}")
        docker = Docker(settings.docker_host)
        if self._processes.pid("dockerd") is None:
            with self._report.step("Docker Engine"):
                self._processes.start("dockerd", self._command())
                self._wait(docker)
        return docker

    def down(self) -> None:
        """Remove containers and networks, end dockerd, remove its bridge. Images stay in the cache."""
        settings = self._settings
        if self._processes.pid("dockerd") is not None:
            docker = Docker(settings.docker_host)
            containers = docker("ps", "--all", "--quiet", check=False).split()
            if containers:
                docker("rm", "--force", "--volumes", *containers, check=False)
            docker("network", "prune", "--force", check=False)
            self._processes.stop("dockerd", grace=20)
        # Should dockerd have been killed, its containerd and shims are still there.
        end_all_that_see("/run/containerd", settings.state / "docker" / OWN_FOLDERS["/run/containerd"])
        cgroups.kill(f"{settings.cgroup}-docker")
        cgroups.remove(f"{settings.cgroup}-docker")
        if Path(f"/sys/class/net/{settings.docker_bridge}").exists():
            run(["ip", "link", "delete", settings.docker_bridge], check=False)

    def _command(self) -> Words:
        settings = self._settings
        # dockerd would take the machine's containerd when it finds its socket: show it a folder of ours.
        folders = {target: settings.state / "docker" / name for target, name in OWN_FOLDERS.items()}
        for target, source in folders.items():
            source.mkdir(parents=True, exist_ok=True)
            self._leftovers.make_folder(Path(target))
        command: Words = [
            packages.find("dockerd") or "dockerd",
            f"--data-root={settings.cache / settings.docker_data}",
            f"--exec-root={settings.state / 'docker'}",
            f"--pidfile={settings.state / 'docker' / 'dockerd.pid'}",
            f"--host={settings.docker_host}",
            f"--bridge={settings.docker_bridge}",
            f"--default-address-pool=base={settings.docker_pool},size=24",
            f"--config-file={settings.state / 'docker' / 'daemon.json'}",  # not the system's
            "--storage-driver=overlay2",
            "--iptables=false",
            "--ip6tables=false",
            "--ip-masq=false",
            "--ip-forward=false",
            f"--cgroup-parent=/{settings.cgroup}-docker",
        ]
        return with_folders(folders, command)

    def _wait(self, docker: Docker, timeout: float = 40.0) -> None:
        deadline = time.monotonic() + timeout
        while not docker("version", "--format={{.Server.Version}}", check=False):
            if self._processes.pid("dockerd") is None or time.monotonic() > deadline:
                raise BenchError("dockerd does not answer:\n" + self._processes.tail("dockerd"))
            time.sleep(0.2)


def compose_environment(settings: Settings) -> dict[str, str]:
    """Environment in which docker and docker-compose talk to the bench's engine."""
    return {**os.environ, "DOCKER_HOST": settings.docker_host}


def _client() -> str:
    """The docker client to use: Debian's own knows BuildKit without a plugin, so it comes first."""
    candidates = [path for path in ("/usr/bin/docker", shutil.which("docker")) if path and Path(path).exists()]
    if not candidates:
        raise BenchError("docker is missing: install the Debian package docker.io, or Docker Engine")
    return next((path for path in candidates if _has_buildkit(path)), candidates[0])


def _has_buildkit(client: str) -> bool:
    """Whether this client builds with BuildKit: up to version 22 by itself, later by its buildx plugin."""
    version = run([client, "--version"], check=False).stdout
    found = re.search(r"version (\d+)\.", version)
    if found is not None and int(found.group(1)) < 23:
        return True
    with contextlib.suppress(ValueError):
        plugins = json.loads(run([client, "info", "--format={{json .ClientInfo.Plugins}}"], check=False).stdout or "[]")
        return any(plugin.get("Name") == "buildx" for plugin in plugins or [])
    return False
