"""The volume `<service>-model-cache`: where the weights of a model lie, and how one sees that they are whole.

/var/cache/rag-model/weights/<content key>/             files of the model, and the marker `.complete`, written last
/var/cache/rag-model/weights/.<content key>.lock        held while somebody downloads them
/var/cache/rag-model/compile/                           what the engine compiled, kept over restarts
"""

import hashlib
from typing import Literal

from .base import Contract

CACHE_PATH = "/var/cache/rag-model"
WEIGHTS = "weights"
COMPILE = "compile"
DONE_FILE = ".complete"

DEFAULT_REVISION = "main"
"""Of a hub repository, where none is declared."""

Source = Literal["Hub", "S3"]
"""Where weights are downloaded from. Those on a user's volume or in an image are mounted, and have no key."""


def content_key(repository: str, revision: str | None, source: Source = "Hub") -> str:
    """16 hex digits that name the weights. A name and a revision keep their content, wherever they are fetched from."""
    text = f"{source}:{repository}@{revision or DEFAULT_REVISION}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def weights_folder(key: str) -> str:
    """Folder of the weights below the cache."""
    return f"{WEIGHTS}/{key}"


def weights_path(key: str) -> str:
    """Where a pod that mounts the cache sees the weights."""
    return f"{CACHE_PATH}/{weights_folder(key)}"


class StoredFile(Contract):
    """One file of the weights: path below their folder, size in bytes."""

    path: str
    size: int


class DoneMarker(Contract):
    """Content of `DONE_FILE`. `revision` is the commit that a branch name stood for when it was downloaded."""

    key: str
    repository: str
    revision: str
    files: tuple[StoredFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)
