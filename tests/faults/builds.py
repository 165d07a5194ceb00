"""Another build of the operator: its sources, changed as a release changes them, under another version.

    operator/rag_operator, workloads/contract/rag_contract --copied, then `CHANGES`--> a folder for PYTHONPATH

Its templates are rendered otherwise, its CRD has new fields with defaults, its API pods are told more, its release table can say more.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "operator/rag_operator", ROOT / "workloads/contract/rag_contract")


class Change(NamedTuple):
    """One edit of a source file: `former` stands in it exactly once."""

    file: str
    former: str
    new: str


READY_PERIOD = Change(
    "rag_operator/resources/api.py",
    'readinessProbe=pod.http_probe("/ready", period=2,',
    'readinessProbe=pod.http_probe("/ready", period=3,',
)
"""The template of the API pods."""
NEW_VARIABLE = "RAG_API_TRACE_PERCENT"
CHANGES = (
    READY_PERIOD,
    Change("rag_operator/resources/qdrant.py", '"/readyz", period=2,', '"/readyz", period=4,'),
    Change("rag_operator/resources/index.py", "GRACE_SECONDS = 30", "GRACE_SECONDS = 31"),
    # What API pods are told, by a new variable whose value comes from a new field of the spec with a default.
    Change(
        "rag_contract/environment.py",
        '    prefix: ClassVar[str] = "RAG_API_"\n',
        '    prefix: ClassVar[str] = "RAG_API_"\n    trace_percent: int = 0\n',
    ),
    Change(
        "rag_operator/resources/api.py",
        "        drain_seconds=spec.drain_seconds,\n",
        "        drain_seconds=spec.drain_seconds,\n        trace_percent=spec.trace_percent,\n",
    ),
    Change(
        "rag_operator/api/serving.py",
        "    drain_seconds: Annotated[int, Field(ge=0, le=600)] = Field(\n",
        '    trace_percent: Annotated[int, Field(ge=0, le=100)] = Field(default=5, description="New.")\n'
        "    drain_seconds: Annotated[int, Field(ge=0, le=600)] = Field(\n",
    ),
    # How documents are cut, by a new field of the spec with a default that means: as before.
    Change(
        "rag_operator/api/content.py",
        "    overlap_characters: Annotated[int, Field(ge=0, le=2000)] = Field(\n",
        '    cut_tables: bool = Field(default=False, description="New.")\n'
        "    overlap_characters: Annotated[int, Field(ge=0, le=2000)] = Field(\n",
    ),
    # What a release can say, in the table and in its record.
    Change(
        "rag_contract/release_table.py",
        "    minimum_score: float | None = None\n",
        "    minimum_score: float | None = None\n    reranker: str | None = None\n",
    ),
    Change(
        "rag_operator/api/ragrevision.py",
        "    minimum_score: Annotated[float, Field(ge=0)] | None = Field(\n",
        '    reranker: Name | None = Field(default=None, description="New.")\n'
        "    minimum_score: Annotated[float, Field(ge=0)] | None = Field(\n",
    ),
)


@dataclass(frozen=True)
class Build:
    """A program to start: `folder` holds packages that are found before the installed ones, `image` is its default API image."""

    folder: Path
    image: str

    def crds(self, to: Path) -> str:
        """Its CRDs, written to that folder, as documents of YAML."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        command = [sys.executable, "-m", "rag_operator", "crd", "--directory", str(to)]
        subprocess.run(command, env=environment, check=True, timeout=60, capture_output=True)
        return "\n---\n".join(path.read_text() for path in sorted(to.glob("rag*.yaml")))


def make(folder: Path, version: str, image: str, changes: Sequence[Change] = CHANGES) -> Build:
    """Copy the sources there and change them."""
    for source in SOURCES:
        shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    for change in changes:
        path = folder / change.file
        text = path.read_text()
        assert text.count(change.former) == 1, f"{change.file} has changed, and so must this test: {change.former!r}"
        path.write_text(text.replace(change.former, change.new))
    record = folder / f"rag_operator-{version}.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: rag-operator\nVersion: {version}\n")
    return Build(folder, image)
