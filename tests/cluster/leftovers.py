"""What the bench changes on the machine outside its own folders, noted so that ``down`` undoes it.

Only mount points that were missing are made, and only those are removed again, empty;
forwarding is switched back when the bench switched it on.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from . import cgroups
from .commands import run

NOTES = "made-folders"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def make_folder(state: Path, target: Path) -> None:
    """Make the folder `target` if it is missing, noting every level that was made."""
    missing = [folder for folder in (target, *target.parents) if not folder.exists()]
    if missing:
        target.mkdir(parents=True)
        with (state / NOTES).open("a") as notes:
            notes.writelines(f"{folder}\n" for folder in missing)


def set_forwarding(state: Path) -> None:
    """Switch packet forwarding on, noting that it was off."""
    if FORWARDING.read_text().strip() != "1":
        (state / "forwarding-was-off").touch()
        FORWARDING.write_text("1")


def remove(state: Path, cgroup: str) -> None:
    """Undo what is noted under `state`, and unmount whatever is still mounted below it."""
    unmount_below(state)
    for name in (cgroup, f"{cgroup}-docker"):
        cgroups.kill(name)
        cgroups.remove(name)
    if (state / "forwarding-was-off").exists():
        FORWARDING.write_text("0")
    with contextlib.suppress(FileNotFoundError):
        for line in (state / NOTES).read_text().splitlines():
            if not _mounted_anywhere(line):  # another bench may have come to use it
                with contextlib.suppress(OSError):
                    Path(line).rmdir()


def unmount_below(folder: Path) -> None:
    """Unmount everything mounted below `folder`, the deepest first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((mount for mount in mounts if Path(mount).is_relative_to(folder)), reverse=True):
        run(["umount", "--lazy", mount], check=False)


def _mounted_anywhere(path: str) -> bool:
    """Whether some process of this machine has a mount at `path` in its namespace."""
    script = 'cat /proc/[0-9]*/mountinfo 2>/dev/null | grep -qF " $1 "'
    return run(["sh", "-c", script, "sh", path], check=False).returncode == 0
