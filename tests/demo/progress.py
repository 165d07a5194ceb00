"""The wait for Ready: one row per change of the RagService, as `kubectl get ragservices -w` shows it, with the time."""

import contextlib
import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from .install import NAMESPACE, SERVICE
from .kubectl import Json, Kubectl
from .screen import DemoError, Screen

HEADER = f"{'TIME':>7}  {'READY':<8}{'REASON':<22}{'REVISION':<9} {'PROMPT':<11} {'INDEX':<17} MODEL"


@dataclass(frozen=True)
class Row:
    """What one line shows: the printed columns, and the message of Ready."""

    ready: str
    reason: str
    revision: str
    prompt: str
    index: str
    model: str
    message: str

    def text(self, seconds: float) -> str:
        """The columns under HEADER."""
        return (
            f"{seconds:6.1f}s  {self.ready:<8}{self.reason:<22}{self.revision:<9} "
            f"{self.prompt:<11} {self.index:<17} {self.model}"
        )


def row(service: Json) -> Row:
    """The line of a RagService; "-" where nothing is known, as before the operator's first pass."""
    status = service.get("status", {})
    current = status.get("observedGeneration") == service["metadata"]["generation"]
    conditions: list[Json] = status.get("conditions", []) if current else []
    ready: Json = next((c for c in conditions if c["type"] == "Ready"), {})
    revision, prompt, index, model = (str(status.get(name) or "-") for name in ("revision", "prompt", "index", "model"))
    return Row(
        ready=ready.get("status", "-"),
        reason=ready.get("reason", "-"),
        revision=revision,
        prompt=prompt,
        index=index,
        model=model,
        message=ready.get("message", ""),
    )


def objects(text: str) -> tuple[list[Json], str]:
    """The JSON documents at the start of `text`, and the rest that is not complete yet."""
    found: list[Json] = []
    decoder = json.JSONDecoder()
    rest = text.lstrip()
    while rest:
        try:
            document, end = decoder.raw_decode(rest)
        except ValueError:
            break
        found.append(document)
        rest = rest[end:].lstrip()
    return found, rest


def wait_until_ready(kubectl: Kubectl, screen: Screen, limit: float) -> Json:
    """Print a row per change until Ready is True; returns the RagService. Raises DemoError after `limit` seconds."""
    began = time.monotonic()
    shown: Row | None = None
    screen.line(HEADER)
    with _watch(kubectl) as changes:
        while (left := began + limit - time.monotonic()) > 0:
            try:
                service = changes.get(timeout=min(15.0, left))
            except queue.Empty:
                if shown is not None:
                    screen.line(shown.text(time.monotonic() - began) + "   (still)")
                continue
            if service is None:
                raise DemoError("the watch on the RagService ended")
            now = row(service)
            if now != shown:
                screen.line(now.text(time.monotonic() - began))
                if now.message and (shown is None or now.message != shown.message):
                    screen.block(now.message, " " * 9)
                shown = now
            if now.ready == "True":
                return service
    raise DemoError(f"{SERVICE} is not Ready after {limit:.0f} s")


@contextlib.contextmanager
def _watch(kubectl: Kubectl) -> Iterator["queue.Queue[Json | None]"]:
    """Every state of the RagService from now on; None when the watch ended by itself."""
    command = kubectl.command("get", "ragservice", SERVICE, "-n", NAMESPACE, "--watch", "-o", "json")
    changes: queue.Queue[Json | None] = queue.Queue()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env=dict(kubectl.environment),
    )
    assert process.stdout is not None
    thread = threading.Thread(target=_read, args=(process.stdout, changes), daemon=True)
    thread.start()
    try:
        yield changes
    finally:
        process.terminate()
        process.wait()
        thread.join()
        process.stdout.close()


def _read(stream: IO[bytes], changes: "queue.Queue[Json | None]") -> None:
    rest = b""
    while chunk := stream.read1(65536):  # type: ignore[attr-defined]
        # A chunk may end inside a character: what does not decode yet waits for the next one.
        rest += chunk
        try:
            text = rest.decode()
        except UnicodeDecodeError:
            continue
        found, left = objects(text)
        rest = left.encode()
        for document in found:
            changes.put(document)
    changes.put(None)
