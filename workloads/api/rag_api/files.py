"""Files that change under a running process: mounted ConfigMaps and Secrets, swapped by a symbolic link."""

from pathlib import Path

MAX_BYTES = 2 * 1024 * 1024


class WatchedFile:
    """Tells a changed file from an unchanged one by one `stat`. Follows symbolic links, as mounted folders need."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, ...] | None = None
        self._first = True

    def changed(self) -> bool:
        """Whether the file is another one than at the last call; the first call is always a change."""
        try:
            stat = self.path.stat()
            now: tuple[int, ...] | None = (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size)
        except OSError:
            now = None
        changed, self._seen, self._first = self._first or now != self._seen, now, False
        return changed

    def read(self) -> bytes:
        """The content. Raises OSError, and ValueError when it is larger than two MiB.

        A file that is there but could not be read, as when the process has no file descriptor left, counts as changed
        until it can be: otherwise a key that was taken away would stay good.
        """
        try:
            with self.path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError:
            self._first = self._seen is not None
            raise
        if len(content) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES} bytes")
        return content
