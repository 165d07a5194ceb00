"""All files of a model into the folder: some at a time, each continued, checked against the source and only then named."""

import asyncio
import hashlib
import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path

from .errors import FetchFailure, Stopped, Transient
from .folder import Folder, disk_trouble, to_disk
from .sources import Listing, Part, RemoteFile, Source
from .threads import in_thread

log = logging.getLogger("rag_model_fetch")

READ_BYTES = 4 << 20
FAILURES = 6
"""Tries in a row in which not a byte came."""
MISMATCHES = 3
LONGEST_PAUSE_SECONDS = 30.0


@dataclass(slots=True)
class Download:
    """One run over all files. `first_pause` is the pause before the second try, in seconds; each is twice the last."""

    source: Source
    folder: Folder
    listing: Listing
    parallel: int = 4
    first_pause: float = 1.0
    downloaded: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def done(self) -> tuple[int, int]:
        """Bytes and files that are there."""
        sizes = [(self.folder.present(file), file.size) for file in self.listing.files]
        return sum(have for have, _ in sizes), sum(have == size for have, size in sizes)

    async def run(self) -> None:
        """Until every file is there. Raises FetchFailure; when one file fails the others end too."""
        limit = asyncio.Semaphore(self.parallel)

        async def one(file: RemoteFile) -> None:
            async with limit:
                if self.stop.is_set():
                    return
                try:
                    await self._one(file)
                except BaseException:
                    self.stop.set()  # before the next file takes the place that becomes free
                    raise

        tasks = [asyncio.create_task(one(file)) for file in self.listing.files]
        try:
            await asyncio.gather(*tasks)
        finally:
            self.stop.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, file: RemoteFile) -> None:
        target = self.folder.file(file)
        if target.is_file() and target.stat().st_size == file.size:
            return
        part = Part(self.folder.part(file), self.stop)
        try:
            for _ in range(MISMATCHES):
                await self._fill(file, part)
                if await in_thread(_is_right, file, part.path):
                    await in_thread(_finish, part.path, target)
                    return
                log.warning("the content is not what the source says", extra={"file": file.path})
                part.start_over()
        except OSError as error:
            raise disk_trouble(error) from error
        message = (
            f'"{file.path}" arrived damaged {MISMATCHES} times: check what lies between the cluster and the source.'
        )
        raise FetchFailure("ModelDownloadFailed", message, retryable=True)

    async def _fill(self, file: RemoteFile, part: Part) -> None:
        """Tries until the part has the file's size, giving up when several tries in a row brought nothing."""
        failures = 0
        while (have := part.size) != file.size or not part.path.exists():
            if have > file.size:
                part.start_over()
            trouble = "the answer ended early"
            try:
                await self._append(file, part)
            except Transient as error:
                trouble = str(error)
            self.downloaded += max(0, part.size - have)
            failures = 0 if part.size > have else failures + 1
            if failures >= FAILURES:
                message = f'"{file.path}" cannot be downloaded: {trouble}. What is there is kept for the next try.'
                raise FetchFailure("ModelDownloadFailed", message, retryable=True)
            if part.size != file.size:
                log.warning("trying again", extra={"file": file.path, "bytes": part.size, "reason": trouble})
                await asyncio.sleep(min(LONGEST_PAUSE_SECONDS, self.first_pause * 2 ** max(0, failures - 1)))

    async def _append(self, file: RemoteFile, part: Part) -> None:
        if file.size == 0:
            part.write(b"")
            return
        try:
            await self.source.append(file, self.listing.revision, part)
        except Stopped as error:
            raise asyncio.CancelledError from error


def _is_right(file: RemoteFile, path: Path) -> bool:
    """Compares the content with what the source says of it; a source that says nothing is believed."""
    if file.sha256 is None and file.git_sha1 is None:
        return True
    if file.sha256 is not None:
        digest, expected = hashlib.sha256(), file.sha256
    else:
        # Git's name of a blob; it is what the hub tells of small files, and guards against accidents only.
        digest, expected = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False), file.git_sha1 or ""
    with path.open("rb") as content:
        while chunk := content.read(READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest() == expected


def _finish(part: Path, target: Path) -> None:
    """The content is on the disk before it gets its name."""
    to_disk(part)
    target.parent.mkdir(parents=True, exist_ok=True)
    part.replace(target)
