"""What a source of weights must be able to do. `hub` and `s3` are the two."""

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .errors import Stopped


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file: path below the folder, size in bytes, and what its content must be, as far as the source tells.

    `version` changes with the content: a part of another version is not continued.
    """

    path: str
    size: int
    version: str
    sha256: str | None = None
    git_sha1: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """All files of the model. `revision` is the commit that the declared revision stands for."""

    revision: str
    files: tuple[RemoteFile, ...]


class Source(Protocol):
    """Raises FetchFailure for what will not fix itself, Transient for what may."""

    async def listing(self) -> Listing:
        """What there is to download."""

    async def append(self, file: RemoteFile, revision: str, part: "Part") -> None:
        """Appends what the part still lacks."""


@dataclass(slots=True)
class Part:
    """A file on its way: bytes are appended, and a later run goes on after the last of them."""

    path: Path
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def size(self) -> int:
        """Bytes that are there."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def start_over(self) -> None:
        """Forget what is there."""
        self.path.unlink(missing_ok=True)

    def write(self, chunk: bytes | memoryview) -> None:
        """Appends. Raises Stopped when the run is to end, OSError when the disk refuses."""
        if self.stop.is_set():
            raise Stopped
        # Opened for each chunk, without a buffer: what was received is in the file whenever the process is killed.
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            view = memoryview(chunk)
            while view:
                view = view[os.write(handle, view) :]
        finally:
            os.close(handle)
