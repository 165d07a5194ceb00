"""One way to break the code, and the test that has to notice.

A text must occur once in its file, or once in all files of its folder, so that code may move. Keep it to a line or two.
"""

from dataclasses import dataclass
from pathlib import Path

import yaml

NODE = "tests/e2e/"
REALITY = ("tests/faults/", "tests/control_plane/", NODE)


@dataclass(frozen=True)
class Mutant:
    """One way to break the code."""

    name: str
    breaks: str
    """What the operator then does wrong, in words."""
    path: str
    """A file, or a folder (with "/" at its end) that has one file with the old text."""
    old: str
    new: str
    test: str
    """pytest's id of the test that must fail."""

    def file(self, root: Path) -> Path:
        """The one file with the old text. Raises ValueError when it is not there exactly once."""
        place = root / self.path
        files = sorted(place.glob("*.py")) if self.path.endswith("/") else [place]
        found = [path for path in files for _ in range(path.read_text().count(self.old))]
        if len(found) != 1:
            raise ValueError(f"{self.path} holds the old text of {self.name} {len(found)} times, not once")
        return found[0]

    @property
    def needs_server(self) -> bool:
        """The test runs on a real API server."""
        return self.test.startswith(REALITY)

    @property
    def needs_node(self) -> bool:
        """The test runs on real pods, of images that are built from the broken code."""
        return self.test.startswith(NODE)


def broken(text: str, mutant: Mutant) -> str:
    """The file's text with the mutation. Raises SyntaxError or YAMLError when that cannot be read any more."""
    changed = text.replace(mutant.old, mutant.new)
    if mutant.path.endswith(".yaml"):
        yaml.safe_load(changed)
    else:
        compile(changed, mutant.path, "exec")
    return changed
