"""The folder of one model's weights in the cache: lock, marker, space, and what else may go.

weights/.<key>.lock       held by whoever downloads; the kernel lets go of it when the process ends, however it ends
weights/<key>/.parts/     files on their way
weights/<key>/.complete   written last, whole, after everything else is on the disk
"""

import asyncio
import errno
import fcntl
import hashlib
import logging
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import ValidationError
from rag_contract.model_cache import COMPILE, DONE_FILE, WEIGHTS, DoneMarker

from .errors import FetchFailure
from .sources import RemoteFile

log = logging.getLogger("rag_model_fetch")

PARTS = ".parts"
LOCK_SECONDS = 0.5
SPARE_BYTES = 256 << 20
"""Kept free beside the weights: the engine compiles into the same volume."""
GIB = 1 << 30
_NO_LOCKS = {errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL}


class Folder:
    """`weights/<key>` below the cache."""

    def __init__(self, cache: Path, key: str) -> None:
        self._weights = cache / WEIGHTS
        self._cache = cache
        self.key = key
        self.path = self._weights / key

    def prepare(self) -> None:
        """Makes the folders. The engine, another user of the same group, writes what it compiles."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / PARTS).mkdir(exist_ok=True)
            compiled = self._cache / COMPILE
            if not compiled.exists():
                compiled.mkdir()
                compiled.chmod(0o2775)
        except OSError as error:
            raise disk_trouble(error) from error

    def marker(self) -> DoneMarker | None:
        """The marker, when the weights are whole: every file that it names is there with its size."""
        try:
            found = DoneMarker.model_validate_json((self.path / DONE_FILE).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        whole = found.key == self.key and all(_size(self.path / file.path) == file.size for file in found.files)
        return found if whole else None

    def write_marker(self, marker: DoneMarker) -> None:
        """Last of all: after it the folder counts as whole, even when the machine loses power."""
        shutil.rmtree(self.path / PARTS, ignore_errors=True)
        being_written = self.path / f"{DONE_FILE}.new"
        being_written.write_text(marker.to_json(), encoding="utf-8")
        to_disk(being_written)
        for folder in sorted({self.path, *((self.path / file.path).parent for file in marker.files)}):
            to_disk(folder)
        being_written.replace(self.path / DONE_FILE)
        to_disk(self.path)

    def file(self, file: RemoteFile) -> Path:
        """Where the file ends up. Raises FetchFailure for a name that leads out of the folder."""
        path = (self.path / file.path).resolve()
        if not path.is_relative_to(self.path.resolve()) or file.path.split("/")[0] in {PARTS, DONE_FILE}:
            raise FetchFailure(
                "ModelDownloadFailed", f'The source lists a file "{file.path}", which is no name for one.'
            )
        return path

    def part(self, file: RemoteFile) -> Path:
        """Where it grows. Another content grows elsewhere."""
        name = hashlib.sha256(f"{file.path}\0{file.version}\0{file.size}".encode()).hexdigest()[:32]
        return self.path / PARTS / name

    def present(self, file: RemoteFile) -> int:
        """Bytes of the file that are there, finished or not."""
        done = _size(self.path / file.path)
        return file.size if done == file.size else min(_size(self.part(file)) or 0, file.size)

    def check_space(self, files: Iterable[RemoteFile]) -> None:
        """Raises FetchFailure before a byte is downloaded when they cannot all fit."""
        wanted = list(files)
        missing = sum(file.size - self.present(file) for file in wanted)
        disk = shutil.disk_usage(self.path)
        if missing + SPARE_BYTES <= disk.free or missing == 0:
            return
        whole = disk.total + missing + SPARE_BYTES - disk.free
        raise FetchFailure(
            "ModelCacheFull",
            f"The model cache needs {gib(missing + SPARE_BYTES)} more for {gib(sum(f.size for f in wanted))} of weights and"
            f" has {gib(disk.free)} free: raise spec.model.vllm.cache.size to {-(-whole // GIB)}Gi or more.",
        )

    def forget_others(self, kept: frozenset[str]) -> list[str]:
        """Removes weights that nobody names any more, unless somebody is downloading them. Returns their keys."""
        gone = []
        for folder in sorted(self._weights.iterdir()):
            if not folder.is_dir() or folder.name in kept or folder.name == self.key:
                continue
            lock = _locked(self._lock_path(folder.name))
            if lock is None:
                continue
            try:
                # The marker first: a removal that is broken off must not leave a folder that counts as whole.
                (folder / DONE_FILE).unlink(missing_ok=True)
                shutil.rmtree(folder, ignore_errors=True)
                self._lock_path(folder.name).unlink(missing_ok=True)
                gone.append(folder.name)
            finally:
                os.close(lock)
        return gone

    @asynccontextmanager
    async def locked(self, waiting: Callable[[], None]) -> AsyncIterator[None]:
        """Holds the lock; calls `waiting` when somebody else holds it first."""
        while (lock := self._take()) is None:
            waiting()
            await asyncio.sleep(LOCK_SECONDS)
        try:
            yield
        finally:
            os.close(lock)

    def _take(self) -> int | None:
        """The lock, or None. A lock file that was removed meanwhile is no lock."""
        path = self._lock_path(self.key)
        lock = _locked(path)
        if lock is None:
            return None
        try:
            same = os.path.samestat(os.fstat(lock), os.stat(path))
        except FileNotFoundError:
            same = False
        if not same:
            os.close(lock)
            return None
        return lock

    def _lock_path(self, key: str) -> Path:
        return self._weights / f".{key}.lock"


def _locked(path: Path) -> int | None:
    """An open file with the lock on it; None when another process has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o664)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(handle)
            raise
        log.warning("the volume has no locks: two downloads at once would disturb each other")
    return handle


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def to_disk(path: Path) -> None:
    """Waits until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def gib(size: int) -> str:
    """Bytes for people; never less than there are."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{-(-size // (1 << 20))} MiB"


def disk_trouble(error: OSError) -> FetchFailure:
    """What the volume's refusal means."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return FetchFailure("ModelCacheFull", "The model cache is full: raise spec.model.vllm.cache.size.")
    return FetchFailure("ModelDownloadFailed", f"The model cache cannot be written ({error.strerror}).", retryable=True)
