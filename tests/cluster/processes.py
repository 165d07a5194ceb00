"""Long-lived processes by name: started once, known by pid and start time, ended exactly.

A record in ``<state>/run/<name>.json`` holds the pid and the kernel's start time of
that pid. Only a process that still has both is ever signalled, so that a pid taken
over by a stranger is left alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


def start_time(pid: int) -> int | None:
    """Kernel start time of `pid` in clock ticks since boot; None when gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rsplit(")", 1)[1].split()
    return None if fields[0] in "ZX" else int(fields[19])


class Processes:
    """The processes recorded under one state folder."""

    def __init__(self, state: Path) -> None:
        self._run = state / "run"
        self._logs = state / "log"
        self.started: list[str] = []
        """Names started by this object, oldest first: what an interrupted ``up`` takes back."""

    def pid(self, name: str) -> int | None:
        """Pid of the process of that name while it runs, else None."""
        record = self._record(name)
        if record is None or start_time(record["pid"]) != record["start"]:
            return None
        return record["pid"]

    def names(self) -> list[str]:
        """Every recorded name, the oldest process first, running or not."""
        if not self._run.is_dir():
            return []
        return [path.stem for path in sorted(self._run.glob("*.json"), key=lambda p: (p.stat().st_mtime_ns, p.name))]

    def log(self, name: str) -> Path:
        """Where the process of that name writes."""
        return self._logs / f"{name}.log"

    def start(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> int:
        """Start `command` under `name` unless it runs already; returns its pid."""
        running = self.pid(name)
        if running is not None:
            return running
        self._run.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the caller; it decides what ends
                env=None if environment is None else {**os.environ, **environment},
                cwd="/",
            )
        process.returncode = 0  # outlives this interpreter on purpose; ended through its record
        record = {"pid": process.pid, "start": start_time(process.pid), "command": [str(part) for part in command]}
        temporary = self._run / f".{name}.tmp"
        temporary.write_text(json.dumps(record))
        temporary.rename(self._run / f"{name}.json")
        self.started.append(name)
        return process.pid

    def stop(self, name: str, grace: float = 10.0, force: bool = False) -> bool:
        """End the process of that name (SIGTERM, SIGKILL after `grace` seconds). True when one ran."""
        record = self._record(name)
        ran = record is not None and end(record["pid"], record["start"], grace, force)
        with contextlib.suppress(FileNotFoundError):
            (self._run / f"{name}.json").unlink()
        if name in self.started:
            self.started.remove(name)
        return ran

    def tail(self, name: str, lines: int = 15) -> str:
        """The last lines that the process wrote, for a failure message."""
        try:
            return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def _record(self, name: str) -> dict[str, int] | None:
        try:
            record = json.loads((self._run / f"{name}.json").read_text())
        except FileNotFoundError:
            return None
        return record if isinstance(record, dict) else None


def end(pid: int, start: int, grace: float = 10.0, force: bool = False) -> bool:
    """End exactly the process with that pid and start time. True when it was there."""
    if start_time(pid) != start:
        _reap(pid)
        return False
    deadline = time.monotonic() + grace
    _signal(pid, signal.SIGKILL if force else signal.SIGTERM)
    while start_time(pid) == start:
        if time.monotonic() > deadline:
            _signal(pid, signal.SIGKILL)
        time.sleep(0.01)
    _reap(pid)
    return True


def end_all_that_see(target: str, source: Path, spare: int | None = None) -> None:
    """Kill every process, but `spare`, in whose mount namespace `target` is the folder `source`.

    This finds what a daemon of ours left in its namespace, even when the daemon itself was killed.
    """
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            pid = int(folder.name)
            start = start_time(pid)
            if pid != spare and start is not None and _sees(folder, target, source):
                end(pid, start, force=True)


def _sees(process: Path, target: str, source: Path) -> bool:
    device = source.stat().st_dev
    name = f"{os.major(device)}:{os.minor(device)}"
    for line in (process / "mountinfo").read_text().splitlines():
        _, _, found, root, place = line.split()[:5]
        # `root` counts from the root of its file system, which may be mounted below or above a part of our path.
        if place == target and found == name and (root.endswith(str(source)) or str(source).endswith(root)):
            return root != "/"
    return False


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _reap(pid: int) -> None:
    """Collect the exit status when the process was a child of this one."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
