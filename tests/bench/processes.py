"""What the kernel says of the processes of one pod. The bench's node is this machine, so /proc shows them."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def pod_processes(uid: str) -> list[int]:
    """Process ids in the control groups of the pod with this uid, without its pause process."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            groups = (folder / "cgroup").read_text()
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it ended while we looked
            continue
        if (uid in groups or uid.replace("-", "_") in groups) and not words[0].endswith(b"pause"):
            found.append(int(folder.name))
    return found


def cpu_seconds(processes: list[int]) -> float:
    """User and system time of the processes so far."""
    total = 0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def resident_mebibytes(processes: list[int]) -> float:
    """Sum of the resident sets."""
    pages = sum(int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in processes)
    return pages * _PAGE / 2**20
