"""The list of reasons is closed, and each one has a remedy that the documentation repeats."""

import re
from pathlib import Path

import pytest
from rag_operator.api import REMEDIES, Reason
from rag_operator.errors import InvalidSpec, NotReady

ROOT = Path(__file__).parents[3]
WORKLOADS = ROOT / "workloads"
SOURCES = [path for path in (ROOT / "operator" / "rag_operator").rglob("*.py") if path.name != "reasons.py"]
PROGRAMS = {"indexer": "IndexFailure", "model_fetch": "FetchFailure", "jobs": "JobFailure"}
"""Folder of each program that runs as a Job, and of what they share, to the class of its failures."""


def failures(program: str) -> set[str]:
    text = "\n".join(path.read_text(encoding="utf-8") for path in (WORKLOADS / program).rglob("*.py"))
    return set(re.findall(PROGRAMS[program] + r"\(\s*\"([A-Za-z]+)\"", text))


def test_every_reason_has_a_remedy() -> None:
    assert set(Reason) == set(REMEDIES)
    assert [reason for reason, remedy in REMEDIES.items() if not remedy.endswith(".")] == []


def test_reasons_are_single_words_as_kubernetes_wants_them() -> None:
    assert [reason for reason in Reason if not re.fullmatch("[A-Z][A-Za-z]{2,62}", reason)] == []
    assert [reason for reason in Reason if reason.name != reason.value] == []


@pytest.mark.parametrize(("program", "least"), [("indexer", 8), ("model_fetch", 5), ("jobs", 3)])
def test_every_failure_of_a_job_is_on_the_list(program: str, least: int) -> None:
    assert len(failures(program)) >= least
    assert failures(program) - {str(reason) for reason in Reason} == set()


def test_no_reason_is_without_use() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    used = set(re.findall(r"Reason\.([A-Za-z]+)", text)).union(*map(failures, PROGRAMS))

    assert {str(reason) for reason in Reason} - used == set()


def test_errors_say_reason_and_message() -> None:
    assert str(InvalidSpec(Reason.PromptVersionReused, "say why")) == "PromptVersionReused: say why"
    assert NotReady(Reason.ConfigMapMissing, "create it", retry_after=2).retry_after == 2
