"""A copy of the checkout to break things in, and test runs that use the copy and nothing else."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "rag_operator": "operator",
    "rag_contract": "workloads/contract",
    "rag_jobs": "workloads/jobs",
    "rag_api": "workloads/api",
    "rag_indexer": "workloads/indexer",
    "rag_model_fetch": "workloads/model_fetch",
    "rag_model_server": "workloads/model_server",
}
WHERE = "import importlib, sys; print(*(importlib.import_module(name).__file__ for name in sys.argv[1:]), sep='\\n')"
END_SECONDS = 60.0
FAILED = 1
"""pytest's exit code for failed tests; others are for tests that are not found or not importable."""


class CopyError(Exception):
    """The copy would not be what runs."""


@dataclass(frozen=True)
class Outcome:
    """What pytest said: its exit code, and the line that tells of the first failure."""

    code: int
    first: str

    @property
    def passed(self) -> bool:
        """Every test passed."""
        return self.code == 0

    @property
    def failed(self) -> bool:
        """A test ran and failed."""
        return self.code == FAILED


@dataclass(frozen=True)
class Copy:
    """A checkout in `folder`."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Copy":
        """Copy all that git tracks or would, as the working tree has it. Raises CopyError when something else would be imported."""
        names = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        copy = cls(folder)
        copy.prove()
        return copy

    def prove(self) -> None:
        """A child process, as the tests start the operator, imports every package from the copy."""
        command = [sys.executable, "-c", WHERE, *PACKAGES]
        said = subprocess.run(
            command, cwd=self.folder, env=self._environment(), capture_output=True, text=True, check=True
        )
        for found, place in zip(said.stdout.split(), PACKAGES.values(), strict=True):
            if not Path(found).is_relative_to(self.folder / place):
                raise CopyError(f"{found} would be tested instead of {self.folder / place}")

    def test(self, tests: Sequence[str], seconds: float) -> Outcome:
        """Run these tests until the first failure. A run that does not end is a failure, too."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=short", "--no-header", *tests]
        with subprocess.Popen(
            command,
            cwd=self.folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as running:
            try:
                said, _ = running.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                running.send_signal(signal.SIGINT)  # so that the test ends what it has started
                try:
                    running.communicate(timeout=END_SECONDS)
                except subprocess.TimeoutExpired:
                    running.kill()
                    running.communicate()
                return Outcome(FAILED, f"no end within {seconds:.0f} s")
        return Outcome(running.returncode, first_failure(said))

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join(str(self.folder / place) for place in PACKAGES.values())
        return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def first_failure(said: str) -> str:
    """The line of pytest's summary about the first test that failed; its last line when there is none."""
    lines = [line for line in said.splitlines() if line.strip()]
    marked = [line for line in lines if line.startswith(("FAILED tests/", "ERROR tests/"))]
    return (marked or lines or [""])[0 if marked else -1]
