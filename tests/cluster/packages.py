"""Debian packages that the bench needs, installed when they lack and we are root."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from .commands import run
from .report import BenchError, Report

# A program or file that proves the package is there -> the package.
CONTROL_PLANE = {"openssl": "openssl"}
ROOT_CONTROL_PLANE = {"ip": "iproute2", "nsenter": "util-linux"}
NODE = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "nft": "nftables",
    "conntrack": "conntrack",
}
IMAGES = {"dockerd": "docker.io", "debootstrap": "debootstrap", "iptables": "iptables"}
POLICY = Path("/usr/sbin/policy-rc.d")
SEARCH = "/usr/local/sbin:/usr/sbin:/sbin"


def find(program: str) -> str | None:
    """Path of a program on PATH or among the system's, or of a file given by its path."""
    if program.startswith("/"):
        return program if Path(program).exists() else None
    return shutil.which(program) or shutil.which(program, path=SEARCH)


def missing(needs: dict[str, str]) -> list[str]:
    """Packages of `needs` whose program is not on this machine."""
    return sorted({package for program, package in needs.items() if find(program) is None})


def ensure(needs: dict[str, str], report: Report) -> None:
    """Install what is missing. Raises BenchError naming the packages when that cannot be done."""
    packages = missing(needs)
    if not packages:
        return
    command = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0 or find("apt-get") is None:
        raise BenchError(f"these packages are missing; as root: {command}")
    with report.step(f"installing {' '.join(packages)}"), _no_services():
        _install(packages)
    left = missing(needs)
    if left:
        raise BenchError(f"still missing after the installation: {' '.join(left)}")


def _install(packages: Sequence[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    if run(install, environment=environment, check=False).returncode != 0:
        run(["apt-get", "update", "-q"], environment=environment)
        run(install, environment=environment)


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Keep package scripts from starting the system's containerd or dockerd: the bench runs its own."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
