"""The cache's folder: space before bytes, one download for all, what goes and what stays, and how far it is."""

import asyncio
import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from rag_contract.model_cache import content_key
from rag_contract.model_fetch import FetchEnvironment, FetchResult
from rag_model_fetch import folder as folders
from rag_model_fetch.errors import FetchFailure
from rag_model_fetch.fetch import fetch
from rag_model_fetch.folder import Folder, disk_trouble, gib
from rag_model_fetch.hub import Hub
from rag_model_fetch.progress import Progress
from rag_model_fetch.sources import Listing, Part, RemoteFile

from .doubles import HubDouble, serving
from .support import REPOSITORY, found, marker, repository, settings, weights

FILES = repository()
TIB = 1 << 40


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    double = HubDouble(REPOSITORY, FILES)
    with serving(double):
        yield double


async def run(chosen: FetchEnvironment, hub: HubDouble, progress: Progress | None = None) -> FetchResult:
    source = Hub(chosen.repository, chosen.revision, endpoint=hub.url, token=None, secret=None)
    return await fetch(chosen, source, progress or Progress(), first_pause=0.01)


class Huge:
    """A source whose one file fits on no disk of today."""

    def __init__(self) -> None:
        self.asked = 0

    async def listing(self) -> Listing:
        return Listing("main", (RemoteFile("model.safetensors", 4096 * TIB, "v1"),))

    async def append(self, file: RemoteFile, revision: str, part: Part) -> None:
        self.asked += 1


async def test_space_is_looked_at_before_a_byte_is_downloaded(tmp_path: Path) -> None:
    source = Huge()
    with pytest.raises(FetchFailure) as raised:
        await fetch(settings(tmp_path), source, Progress())
    assert (raised.value.reason, raised.value.retryable) == ("ModelCacheFull", False)
    assert source.asked == 0
    free = os.statvfs(tmp_path)
    assert f"{gib(4096 * TIB)} of weights" in raised.value.message
    assert "has " in raised.value.message
    size = int(raised.value.message.rsplit(" to ", 1)[1].split("Gi")[0])
    assert size * folders.GIB >= 4096 * TIB + folders.SPARE_BYTES + (free.f_blocks - free.f_bfree) * free.f_frsize


def test_what_is_there_needs_no_space_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "k")
    folder.prepare()
    file = RemoteFile("model.safetensors", 4096 * TIB, "v1")
    with folder.part(file).open("wb") as part:
        part.truncate(3000)
    assert folder.present(file) == 3000
    assert folder.present(RemoteFile("model.safetensors", 4096 * TIB, "v2")) == 0, "another content is another part"


def test_refusals_of_the_disk_are_told_apart() -> None:
    full = disk_trouble(OSError(errno.ENOSPC, "no space"))
    assert (full.reason, full.retryable) == ("ModelCacheFull", False)
    readonly = disk_trouble(OSError(errno.EROFS, "read-only file system"))
    assert (readonly.reason, readonly.retryable) == ("ModelDownloadFailed", True)
    assert "read-only" in readonly.message


async def test_two_at_once_make_one_download(hub: HubDouble, tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    hub.faults.pace = 0.005
    seen = [Progress(), Progress()]
    first, second = await asyncio.gather(run(chosen, hub, seen[0]), run(chosen, hub, seen[1]))
    sizes = sorted((first.downloaded, second.downloaded))
    assert sizes == [0, first.size]
    asked = [path for path, _ in hub.seen.contents]
    assert len(asked) == len(set(asked))
    assert hub.seen.listings == 1


async def test_a_lock_is_free_when_its_holder_is_gone(hub: HubDouble, tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    hub.faults.pace = 0.02
    task = asyncio.create_task(run(chosen, hub))
    await asyncio.sleep(0.3)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert marker(chosen) is None
    hub.faults.pace = 0
    result = await asyncio.wait_for(run(chosen, hub), 20)
    assert result.outcome == "Succeeded"


async def test_weights_that_nobody_names_go_and_others_stay(hub: HubDouble, tmp_path: Path) -> None:
    old, kept, busy = (content_key(f"made-up/{name}", "main") for name in ("old", "kept", "busy"))
    for key in (old, kept, busy):
        folder = Folder(tmp_path / "cache", key)
        folder.prepare()
        (folder.path / "model.safetensors").write_bytes(b"x")
    chosen = settings(tmp_path, keep=kept)
    async with Folder(tmp_path / "cache", busy).locked(lambda: None):
        await run(chosen, hub)
    left = {path.name for path in (tmp_path / "cache" / "weights").iterdir() if path.is_dir()}
    assert left == {kept, busy, chosen.key}
    assert (tmp_path / "cache" / "compile").is_dir()


async def test_a_marker_without_its_files_counts_for_nothing(hub: HubDouble, tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    await run(chosen, hub)
    shard = weights(chosen) / "model-00001-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:100])
    assert Folder(tmp_path / "cache", chosen.key).marker() is None
    assert (await run(chosen, hub)).outcome == "Succeeded"
    assert FILES["model-00001-of-00002.safetensors"] == found(chosen)["model-00001-of-00002.safetensors"]


async def test_a_marker_that_was_cut_short_counts_for_nothing(hub: HubDouble, tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    await run(chosen, hub)
    done = weights(chosen) / ".complete"
    done.write_bytes(done.read_bytes()[:20])
    assert Folder(tmp_path / "cache", chosen.key).marker() is None


def test_speed_and_time_left() -> None:
    now = 100.0
    progress = Progress(lambda: now)
    progress.enter("Downloading")
    progress.bytes_total = 1000
    progress.measure(200, 0)  # from an earlier run
    assert (progress.report().bytes_per_second, progress.report().seconds_left) == (0, None)
    now = 110.0
    progress.measure(400, 1)
    told = progress.report()
    assert (told.bytes_per_second, told.seconds_left, told.percent) == (20, 30, 40)
    for _ in range(20):  # nothing comes any more: the window forgets the speed
        now += 5
        progress.measure(400, 1)
    assert progress.report().bytes_per_second == 0
    assert progress.report().seconds_left is None


def test_sizes_for_people() -> None:
    assert gib(3 << 30) == "3.0 GiB"
    assert gib(1) == "1 MiB"
