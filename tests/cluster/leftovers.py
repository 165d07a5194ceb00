"""What the bench changes on the machine outside its own folders, noted so that ``down`` undoes it.

Only mount points that were missing are made, and only those are removed again, empty, when
no bench uses them any more; forwarding is switched back when the last bench that needs it
goes and it was off before the first. The notes lie in the cache, which benches share.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from .commands import Words, locked, run

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
BIND_AND_RUN = 'while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done; shift; exec "$@"'


class Leftovers:
    """The notes in `folder` of one of the benches, named `bench`, that share it."""

    def __init__(self, folder: Path, bench: str, forwarding: Path = FORWARDING) -> None:
        self._folder = folder / "notes"
        self._bench = bench
        self._forwarding = forwarding

    def make_folder(self, target: Path) -> None:
        """Make the folder `target` if it is missing, noting every level that was made."""
        missing = [folder for folder in (target, *target.parents) if not folder.exists()]
        if missing:
            target.mkdir(parents=True)
            with self._notes() as notes, (notes / "folders").open("a") as lines:
                lines.writelines(f"{folder}\n" for folder in missing)

    def need_forwarding(self) -> None:
        """Switch packet forwarding on, noting who needs it and whether it was off."""
        with self._notes() as notes:
            (notes / f"forwarding-for-{self._bench}").touch()
            if self._forwarding.read_text().strip() != "1":
                (notes / "forwarding-was-off").touch()
                self._forwarding.write_text("1")

    def remove(self) -> None:
        """Undo what is noted, as far as no other bench needs it."""
        with self._notes() as notes:
            (notes / f"forwarding-for-{self._bench}").unlink(missing_ok=True)
            if not list(notes.glob("forwarding-for-*")) and (notes / "forwarding-was-off").exists():
                self._forwarding.write_text("0")
                (notes / "forwarding-was-off").unlink()
            self._remove_folders(notes / "folders")

    def _remove_folders(self, notes: Path) -> None:
        if not notes.exists():
            return
        left = []
        for line in dict.fromkeys(notes.read_text().splitlines()):
            if mounted_anywhere(line):
                left.append(line)
            else:
                with contextlib.suppress(OSError):  # not empty, so no longer ours alone
                    Path(line).rmdir()
        notes.write_text("".join(f"{line}\n" for line in left if Path(line).exists()))

    @contextlib.contextmanager
    def _notes(self) -> Iterator[Path]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked(self._folder / "lock"):
            yield self._folder


def with_folders(folders: Mapping[str, Path], command: Words) -> Words:
    """`command` in a mount namespace of its own that shows `folders`' values at their keys (root only)."""
    binds = [str(word) for target, source in folders.items() for word in (source, target)]
    namespace = ["unshare", "--mount", "--propagation", "slave"]
    return [*namespace, "sh", "-ec", BIND_AND_RUN, "sh", *binds, "--", *command]


def unmount_below(folder: Path) -> None:
    """Unmount everything mounted below `folder`, the deepest first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((mount for mount in mounts if Path(mount).is_relative_to(folder)), reverse=True):
        run(["umount", "--lazy", mount], check=False)


def mounted_anywhere(path: str) -> bool:
    """Whether some process of this machine has a mount at `path` in its namespace."""
    script = 'cat /proc/[0-9]*/mountinfo 2>/dev/null | grep -qF " $1 "'
    return run(["sh", "-c", script, "sh", path], check=False).returncode == 0
