"""Finds and reads the files of a document folder.

A mounted ConfigMap shows each file as a link into a hidden folder that a second link names:

    handbook.md -> ..data/handbook.md        ..data -> ..2026_11_21_06_00_00.123/

Links are followed while they stay inside the folder; each real file is taken once; a link that leads out is skipped.
"""

import codecs
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import IndexFailure, Unreadable

MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_FILES = 200_000

_MARKS = (  # the longer marks first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BREAKS = re.compile(r"[\x0b\x0c\x1c-\x1f\x85]")
"""Between pages, columns and records: they part words, but no editor counts a line for them."""
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is not indexed. `path` is relative to the folder."""

    path: str
    reason: str


def find(root: Path, suffixes: frozenset[str]) -> tuple[list[str], list[Skipped]]:
    """Relative paths of the files to read, sorted, and what was passed over.

    Raises IndexFailure: DocumentsMissing when the folder is not there.
    """
    if not root.is_dir():
        raise IndexFailure(
            "DocumentsMissing", "The document folder does not exist: check the path in spec.index.documents."
        )
    real_root = root.resolve()
    found: list[str] = []
    skipped: list[Skipped] = []
    for path in _walk(root, real_root, skipped):
        relative = path.relative_to(root).as_posix()
        suffix = path.suffix.lower()
        if suffix in suffixes:
            found.append(relative)
        else:
            skipped.append(Skipped(relative, f"the type {suffix or 'without ending'} is not supported"))
        if len(found) > MAX_FILES:
            raise IndexFailure("TooManyDocuments", f"The folder holds more than {MAX_FILES} files: split the index.")
    return sorted(found), sorted(skipped, key=lambda s: s.path)


def _walk(top: Path, root: Path, skipped: list[Skipped]) -> Iterator[Path]:
    """All visible files below a folder, each real one once; folders may be nested as deep as paths can be long."""
    seen: set[Path] = set()
    waiting = [(top, root)]
    while waiting:
        folder, real_folder = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda e: e.name)
        except OSError as error:
            skipped.append(Skipped(_shown(folder.name), f"the folder cannot be read: {error.strerror}"))
            continue
        below: list[tuple[Path, Path]] = []
        for entry in entries:
            real, fault = _real(entry, real_folder, root)
            if fault:
                skipped.append(Skipped(_shown(entry.name), fault))
            elif real is None or real in seen:
                continue
            else:
                seen.add(real)
                if real.is_dir():
                    below.append((Path(entry.path), real))
                else:
                    yield Path(entry.path)
        waiting.extend(reversed(below))


def _real(entry: "os.DirEntry[str]", folder: Path, root: Path) -> tuple[Path | None, str]:
    """What an entry leads to, or why it is passed over. Neither for what a mounted ConfigMap keeps for itself."""
    if entry.name.startswith("."):
        return None, "" if entry.name.startswith("..") else "hidden"
    if _shown(entry.name) != entry.name:
        return None, "its name is not UTF-8: rename it"
    try:
        real = Path(os.path.realpath(entry.path, strict=True)) if entry.is_symlink() else folder / entry.name
    except OSError as error:
        return None, f"it leads nowhere: {error.strerror}"
    if not real.is_relative_to(root):
        return None, "the link leads out of the document folder"
    if not (real.is_dir() or real.is_file()):
        return None, "not a file"
    return real, ""


def _shown(name: str) -> str:
    """A name that can be written down: bytes that are no text become escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def read(path: Path) -> str:
    """The text of a file: NFC, `\\n` line ends, no control characters. Raises Unreadable."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise Unreadable(f"larger than {MAX_FILE_BYTES // 1024 // 1024} MiB: split it")
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"not {encoding.removesuffix('-sig').upper()} at byte {error.start}: save it as UTF-8"
        ) from error
    if "\0" in text:
        raise Unreadable("holds zero characters: a binary file, or UTF-16 without a byte order mark")
    return _clean(text)


def _clean(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", _CONTROLS.sub("", _BREAKS.sub(" ", text)))
