"""The cgroup under which all pods of the bench live, on cgroup v1 and v2.

A root of its own keeps the kubelet off other kubelets' cgroups and tells at the end,
exactly, which processes are the bench's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PARTS = 4
"""All pods together weigh as much on the processors as four processes of the machine: kubelet, containerd, etcd and API
server run beside this cgroup, each with a weight of its own. With the usual weight of one, pods would starve as on no
real node, and lose Leases and probes by it.
"""


def unified() -> bool:
    """Whether this machine has the single hierarchy of cgroup v2."""
    return (ROOT / "cgroup.controllers").exists()


def make(name: str) -> None:
    """Make the cgroup `name` with every controller there is."""
    if unified():
        controllers = (ROOT / "cgroup.controllers").read_text().split()
        wanted = " ".join(f"+{controller}" for controller in controllers)
        (ROOT / name).mkdir(exist_ok=True)
        for folder in (ROOT, ROOT / name):
            with contextlib.suppress(OSError):  # a controller that the parent does not hand down
                (folder / "cgroup.subtree_control").write_text(wanted)
        _weigh(ROOT / name / "cpu.weight", 100)
        return
    for hierarchy in _hierarchies():
        folder = hierarchy / name
        folder.mkdir(exist_ok=True)
        if (hierarchy / "cpuset.cpus").exists():  # an empty cpuset takes no process
            for file in ("cpuset.cpus", "cpuset.mems"):
                (folder / file).write_text((hierarchy / file).read_text())
            (folder / "cgroup.clone_children").write_text("1")
        _weigh(folder / "cpu.shares", 1024)


def _weigh(file: Path, usual: int) -> None:
    if file.exists():
        file.write_text(str(PARTS * usual))


def processes(name: str) -> set[int]:
    """Pids of every process in the cgroup `name` or below it."""
    pids: set[int] = set()
    for folder in _folders(name):
        with contextlib.suppress(OSError):
            pids.update(int(line) for line in (folder / "cgroup.procs").read_text().split())
    return pids


def kill(name: str, timeout: float = 15.0) -> None:
    """Kill every process in the cgroup `name`, again until none is left."""
    deadline = time.monotonic() + timeout
    while (pids := processes(name)) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def remove(name: str, timeout: float = 5.0) -> None:
    """Remove the cgroup `name` and all below it, leaves first."""
    deadline = time.monotonic() + timeout
    while folders := _folders(name):
        for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
        if time.monotonic() > deadline:
            return
        time.sleep(0.02)


def _hierarchies() -> list[Path]:
    """Mount points of the v1 hierarchies; `unified` beside them belongs to no controller."""
    return [folder for folder in ROOT.iterdir() if folder.is_dir() and not folder.is_symlink()]


def _folders(name: str) -> list[Path]:
    roots = [ROOT] if unified() else _hierarchies()
    return [Path(folder) for root in roots for folder, _, _ in os.walk(root / name)]
