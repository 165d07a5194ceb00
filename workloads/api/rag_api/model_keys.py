"""Keys of model and embedding servers, from mounted files: a key that is exchanged is used from the next request on."""

from pathlib import Path

from .files import WatchedFile


class ModelKeys:
    """The files below one folder, each read again when it changed: one `stat` per request."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, tuple[WatchedFile, str]] = {}

    def header(self, name: str | None) -> dict[str, str]:
        """The header that carries the key; none without a name. Raises KeyMissing."""
        if name is None:
            return {}
        file, key = self._files.get(name) or (WatchedFile(self._folder / name), "")
        if file.changed():
            key = _read(file)
        self._files[name] = file, key
        if not key:
            raise KeyMissing(name)
        return {"authorization": f"Bearer {key}"}

    def has(self, name: str) -> bool:
        """Whether such a key is there now."""
        try:
            self.header(name)
        except KeyMissing:
            return False
        return True


class KeyMissing(Exception):
    """No such file, or none that can be a key."""


def _read(file: WatchedFile) -> str:
    """The key, empty when there is none: what could break out of a header is no key."""
    try:
        text = file.read().decode().strip()
    except (OSError, ValueError):
        return ""
    return text if text.isascii() and text.isprintable() else ""
