"""The whole story of one model: look, lock, list, make room, download, mark.

marker there, files whole      -> done; the source is not asked
somebody else downloads it     -> wait for the lock, then look again
parts of an earlier run        -> go on where it ended
"""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

from rag_contract.model_cache import DoneMarker, StoredFile
from rag_contract.model_fetch import FetchEnvironment, FetchResult

from .download import FAILURES, LONGEST_PAUSE_SECONDS, Download
from .errors import FetchFailure, Transient
from .folder import Folder, disk_trouble
from .progress import Progress
from .sources import Listing, Source

log = logging.getLogger("rag_model_fetch")

MEASURE_SECONDS = 1.0
LOG_EVERY = 10
"""Measurements between two log lines."""


async def fetch(
    settings: FetchEnvironment, source: Source, progress: Progress, *, first_pause: float = 1.0
) -> FetchResult:
    """Leaves whole weights with their marker. Raises FetchFailure. Safe to run again at any point, and beside itself.

    `first_pause` is in seconds: how long to wait after the first trouble, twice as long after each further one.
    """
    folder = Folder(Path(settings.cache_path), settings.key)
    try:
        folder.prepare()
        async with folder.locked(lambda: progress.enter("Waiting")):
            found = folder.marker()
            if found is not None:
                return _succeeded(settings, progress, found, 0)
            progress.enter("Listing")
            listing = await _listed(source, first_pause)
            gone = folder.forget_others(settings.kept())
            if gone:
                log.info("removed weights that nobody names", extra={"keys": gone})
            folder.prepare()
            folder.check_space(listing.files)
            download = Download(source, folder, listing, settings.parallel, first_pause)
            await _downloaded(download, progress)
            progress.enter("Verifying")
            marker = _marker(settings, listing)
            folder.write_marker(marker)
            if folder.marker() is None:
                raise FetchFailure("ModelDownloadFailed", "The weights are not as they were written.", retryable=True)
            return _succeeded(settings, progress, marker, download.downloaded)
    except OSError as error:
        raise disk_trouble(error) from error


async def _listed(source: Source, first_pause: float) -> Listing:
    for failures in range(FAILURES):
        try:
            return await source.listing()
        except Transient as error:
            trouble = error
            log.warning("trying again", extra={"reason": str(error)})
            await asyncio.sleep(min(LONGEST_PAUSE_SECONDS, first_pause * 2**failures))
    message = f"The model's source does not answer: {trouble}. Check that the namespace may reach it."
    raise FetchFailure("ModelDownloadFailed", message, retryable=True) from trouble


async def _downloaded(download: Download, progress: Progress) -> None:
    progress.bytes_total = sum(file.size for file in download.listing.files)
    progress.files_total = len(download.listing.files)
    progress.enter("Downloading")
    measuring = asyncio.create_task(_measure(download, progress))
    try:
        await download.run()
    finally:
        measuring.cancel()
        with suppress(asyncio.CancelledError):
            await measuring
        progress.measure(*download.done())


async def _measure(download: Download, progress: Progress) -> None:
    """What is on the disk is what counts: it needs no word from the source."""
    rounds = 0
    while True:
        progress.measure(*download.done())
        if rounds % LOG_EVERY == 0:
            log.info("progress", extra=progress.report().model_dump(mode="json"))
        rounds += 1
        await asyncio.sleep(MEASURE_SECONDS)


def _marker(settings: FetchEnvironment, listing: Listing) -> DoneMarker:
    files = tuple(StoredFile(path=file.path, size=file.size) for file in listing.files)
    return DoneMarker(
        key=settings.key,
        repository=settings.repository,
        revision=listing.revision or settings.revision,
        files=files,
    )


def _succeeded(settings: FetchEnvironment, progress: Progress, marker: DoneMarker, downloaded: int) -> FetchResult:
    progress.bytes_total, progress.files_total = marker.size, len(marker.files)
    progress.measure(marker.size, len(marker.files))
    progress.enter("Done")
    return FetchResult(
        outcome="Succeeded",
        key=settings.key,
        repository=settings.repository,
        revision=marker.revision,
        files=len(marker.files),
        size=marker.size,
        downloaded=downloaded,
        seconds=progress.seconds(),
    )
