"""What the operator and the node went through, in a few lines: printed behind the list of failures, since no log outlives the bench."""

import json
import os
import shutil
from collections.abc import Iterator

from .kube import Json, Kube

TOLD = frozenset({"WARNING", "ERROR", "CRITICAL"})
MILESTONES = frozenset({"starting", "leading", "ending"})
LINES = 25


def lines(kube: Kube) -> Iterator[str]:
    """The operator's pods with their restarts, what its log says above INFO, the machine. Nothing here raises."""
    yield f"load {os.getloadavg()}, free disk {shutil.disk_usage('/').free >> 30} GiB"
    for pod in _parsed(kube, "get", "pods", "-o", "json").get("items", []):
        name = pod["metadata"]["name"]
        for status in pod["status"].get("containerStatuses", ()):
            last = (status.get("lastState") or {}).get("terminated") or {}
            why = (
                f", last ended {last.get('finishedAt')} with {last.get('exitCode')} {last.get('reason')}"
                if last
                else ""
            )
            yield f"{name}: {status['restartCount']} restarts{why}"
        for which in ([], ["--previous"]):
            yield from _log(kube, name, which)


def _parsed(kube: Kube, *arguments: str) -> Json:
    return dict(json.loads(kube.run(*arguments, check=False) or "{}"))


def _log(kube: Kube, pod: str, which: list[str]) -> Iterator[str]:
    told = []
    for text in kube.run("logs", pod, *which, check=False).splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if line.get("level") in TOLD or line.get("message") in MILESTONES:
            told.append(f"  {line.get('time', '')[11:19]} {line.get('level')} {line.get('message', '')[:160]}")
    yield from told[-LINES:]
