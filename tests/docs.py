"""``python -m tests.docs [--check]``: write the references that come from the code, or say which are not current.

docs/status.md from the closed list of reasons, docs/settings.md and .env.example from the operator's settings, docs/model-server.md
from the times and the table of log lines.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rag_operator.api.reasons import REMEDIES, Reason
from rag_operator.api.status import ConditionType
from rag_operator.settings import variables

from tests.vllm.page import page as model_server

ROOT = Path(__file__).resolve().parents[1]

MEANINGS: dict[ConditionType, str] = {
    ConditionType.READY: "Every part below is as declared, and every ready API pod has itself said so.",
    ConditionType.SPEC_VALID: "What is declared can be carried out. When False nothing is applied and what serves goes on serving.",
    ConditionType.API_READY: "The API pods of the declared settings, and only those, are ready.",
    ConditionType.VECTOR_STORE_READY: "Qdrant runs as declared and answers; or the external one does.",
    ConditionType.INDEX_READY: "The collection of the declared index is complete and verified.",
    ConditionType.GPU_SCHEDULABLE: "Every pod of the model server has a node with its GPUs. Only where such pods ask for GPUs.",
    ConditionType.MODEL_READY: "What turns sources into answers is there.",
    ConditionType.RELEASE_SETTLED: "Every ready API pod reported the declared revision, prompt, index and model.",
    ConditionType.PROGRESSING: "Something changes towards what is declared, without anybody's help.",
    ConditionType.DEGRADED: "Something is wrong; the message says whether questions are still answered.",
    ConditionType.SUSPENDED: "spec.suspend is true: no pods, all data kept.",
}

_STATUS = """\
# Status: conditions, columns, reasons

`kubectl get ragservices` shows READY REASON REVISION PROMPT INDEX MODEL AGE; `-o wide` adds URL API QDRANT GPU. REVISION to
MODEL are what the API pods have confirmed, not what is wished. `kubectl describe` shows every condition.

Wait for a service in a script: `kubectl wait ragservice/handbook --for=condition=Ready --timeout=5m`.
Health for Argo CD and Flux: `config/gitops`. What keeps a part from running is quoted from pods, controllers and Kubernetes' own
warnings, seconds after it became a fact; `tests/e2e/states` is the table of what was tried.

## Conditions

All are set on every pass. `Unknown` means that it could not be observed; `observedGeneration` says for which edit of
the spec it was computed. A message says what to do and stays the same while nothing changes.

| condition | True means |
|---|---|
{conditions}

## Reasons

A closed list: the words in the column REASON, in conditions and in events.

| reason | what to do |
|---|---|
{reasons}

These ask for nothing: {quiet}.
"""

_SETTINGS = """\
# Settings of the operator

Environment variables of the operator's process; in a cluster they stand in the ConfigMap that `config/manager` generates.

| variable | default | meaning |
|---|---|---|
{rows}
"""

_QUIET = "Nothing to do"


def status() -> str:
    """docs/status.md."""
    loud = [reason for reason in Reason if not REMEDIES[reason].startswith(_QUIET)]
    quiet = [reason for reason in Reason if REMEDIES[reason].startswith(_QUIET)]
    return _STATUS.format(
        conditions="\n".join(f"| `{kind}` | {MEANINGS[kind]} |" for kind in ConditionType),
        reasons="\n".join(f"| `{reason}` | {REMEDIES[reason]} |" for reason in loud),
        quiet=", ".join(f"`{reason}`" for reason in quiet),
    )


def settings() -> str:
    """docs/settings.md."""
    rows = [f"| `{name}` | {f'`{default}`' if default else 'empty'} | {text} |" for name, default, text in variables()]
    return _SETTINGS.format(rows="\n".join(rows))


def example() -> str:
    """.env.example: every setting with its default, switched off."""
    head = "# Settings of the operator for `make run`: set -a; . ./.env; set +a\n# Defaults are shown; docs/settings.md is the same as a table.\n"
    return head + "".join(f"\n# {text}\n#{name}={default}\n" for name, default, text in variables())


GENERATED: dict[str, Callable[[], str]] = {
    "docs/status.md": status,
    "docs/settings.md": settings,
    "docs/model-server.md": model_server,
    ".env.example": example,
}


def stale() -> list[str]:
    """Generated files that are absent or not what the code says now."""
    return [name for name, make in GENERATED.items() if not _current(ROOT / name, make())]


def _current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


def main(arguments: list[str]) -> int:
    """Write, or with --check only compare; returns 1 when a file is not current."""
    parser = argparse.ArgumentParser(prog="python -m tests.docs", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not current")
    names = stale()
    if parser.parse_args(arguments).check:
        for name in names:
            print(f"{name} is not current: run python -m tests.docs")
        return 1 if names else 0
    for name in names:
        (ROOT / name).write_text(GENERATED[name]())
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
