"""kubectl as the demonstration uses it: a program, bound to one kubeconfig."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .screen import DemoError

Json = dict[str, Any]


@dataclass(frozen=True)
class Kubectl:
    """`environment` holds KUBECONFIG and PATH; `folder` is the project's root."""

    environment: Mapping[str, str]
    folder: str

    def command(self, *args: str) -> list[str]:
        """The full command line, for those who start it themselves."""
        return ["kubectl", *args]

    def run(self, *args: str, stdin: str | None = None, seconds: float = 60) -> str:
        """Run to the end and return what it printed. Raises DemoError with its error text."""
        done = self._run(args, stdin, seconds)
        if done.returncode != 0:
            raise DemoError(f"kubectl {' '.join(args)} failed:\n{(done.stderr or done.stdout).strip()}")
        return done.stdout

    def attempt(self, *args: str, seconds: float = 60) -> str:
        """What it printed, good or bad: for looking around after a failure."""
        done = self._run(args, None, seconds)
        return (done.stdout + done.stderr).strip()

    def works(self, *args: str, seconds: float = 5) -> bool:
        """Whether the command succeeds."""
        return self._run(args, None, seconds).returncode == 0

    def get(self, *args: str) -> Json | None:
        """One object, or None when it is not there."""
        text = self.run("get", *args, "-o", "json", "--ignore-not-found")
        found: Json | None = json.loads(text) if text.strip() else None
        return found

    def _run(self, args: tuple[str, ...], stdin: str | None, seconds: float) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                self.command(*args),
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                text=True,
                timeout=seconds,
                env=dict(self.environment),
                cwd=self.folder,
                check=False,
            )
        except FileNotFoundError as error:
            raise DemoError("kubectl is not on PATH; the bench brings its own, other clusters need yours") from error
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(args, 124, "", f"no answer within {seconds:.0f} s")
