"""Snapshots of a collection: its folder in one file, with Qdrant's names and check sums, but not in Qdrant's format."""

import hashlib
import os
import secrets
import shutil
import uuid
import zipfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .catalog import Catalog
from .collection import Collection
from .errors import ApiError, bad_request, not_found

Body = dict[str, Any]
_PEER = secrets.randbits(50)  # Qdrant puts the number of the node into the name


class Snapshots:
    """The folder of snapshots, made when the first one is."""

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self._folder = folder
        self._catalog = catalog

    def create(self, collection: Collection) -> Body:
        """Writes a snapshot; writers of the collection wait meanwhile."""
        now = datetime.now(UTC)
        folder = self._folder / collection.path.name
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{collection.path.name}-{_PEER}-{now:%Y-%m-%d-%H-%M-%S}.snapshot"
        draft = path.with_suffix(".new")
        with collection.lock:
            collection.flush()
            _pack(collection.path, draft)
        _checksum_file(path).write_text(_digest(draft), encoding="ascii")
        draft.replace(path)
        os.utime(path, (now.timestamp(), now.timestamp()))
        return _shown(path)

    def listed(self, name: str) -> list[Body]:
        """The snapshots of a collection, oldest first."""
        return [_shown(path) for path in sorted((self._folder / name).glob("*.snapshot"))]

    def file(self, name: str, snapshot: str) -> Path:
        """The file of a snapshot; 404 without it."""
        path = self._folder / name / snapshot
        if path.parent != self._folder / name or not path.is_file():
            raise not_found(f"Snapshot {snapshot} not found")
        return path

    def delete(self, name: str, snapshot: str) -> None:
        """Removes a snapshot."""
        path = self.file(name, snapshot)
        path.unlink()
        _checksum_file(path).unlink(missing_ok=True)

    def recover(self, name: str, path: Path, checksum: str | None) -> None:
        """Makes or replaces a collection from a file."""
        if not path.is_file():
            raise bad_request(f'Snapshot file "{path}" does not exist')
        if checksum and checksum != _digest(path):
            raise bad_request("Snapshot checksum mismatch")
        target = self._catalog.workspace / uuid.uuid4().hex
        try:
            _unpack(path, target)
        except (zipfile.BadZipFile, ValueError) as error:
            shutil.rmtree(target, ignore_errors=True)
            raise bad_request(f"Failed to open snapshot archive, corrupted? {error}") from error
        if not (target / "config.json").is_file():
            shutil.rmtree(target)
            raise ApiError(400, "Bad request: the archive is no snapshot of a collection")
        self._catalog.replace(name, target)


def _pack(folder: Path, archive_path: Path) -> None:
    """Packs a folder, empty folders too, for the engine expects them. Its files are up to 32 MiB of mostly nothing:
    the hole at the end of a file is left out and its length is noted beside it.
    """
    with zipfile.ZipFile(archive_path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(folder.rglob("*")):
            entry = zipfile.ZipInfo.from_file(path, path.relative_to(folder))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.comment = str(path.stat().st_size).encode()
            archive.writestr(entry, b"" if path.is_dir() else _written(path))


def _written(path: Path) -> bytes:
    """A file up to where its last hole begins."""
    end = 0
    with path.open("rb") as file, suppress(OSError):  # ENXIO: no data after this place
        while True:
            end = os.lseek(file.fileno(), os.lseek(file.fileno(), end, os.SEEK_DATA), os.SEEK_HOLE)
    with path.open("rb") as file:
        return file.read(end)


def _unpack(path: Path, target: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            file = Path(archive.extract(entry, target))
            if not entry.is_dir():
                os.truncate(file, int(entry.comment or entry.file_size))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksum_file(path: Path) -> Path:
    return path.with_name(path.name + ".checksum")


def _shown(path: Path) -> Body:
    facts = path.stat()
    checksum = _checksum_file(path)
    return {
        "name": path.name,
        "creation_time": datetime.fromtimestamp(facts.st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "size": facts.st_size,
        "checksum": checksum.read_text(encoding="ascii") if checksum.exists() else None,
    }
