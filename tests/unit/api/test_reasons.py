"""The list of reasons is closed, and each one has a remedy that the documentation repeats."""

import re
from pathlib import Path

from rag_operator.api import REMEDIES, Reason
from rag_operator.errors import InvalidSpec, NotReady

ROOT = Path(__file__).parents[3]
WORKLOADS = ROOT / "workloads"
INDEXER = WORKLOADS / "indexer" / "rag_indexer"
FETCHER = WORKLOADS / "model_fetch" / "rag_model_fetch"
SOURCES = [path for path in (ROOT / "operator" / "rag_operator").rglob("*.py") if path.name != "reasons.py"]


def failures_of_the_indexer() -> set[str]:
    text = "\n".join(path.read_text(encoding="utf-8") for path in INDEXER.rglob("*.py"))
    return set(re.findall(r"IndexFailure\(\s*\"([A-Za-z]+)\"", text))


def failures_of_the_fetcher() -> set[str]:
    text = "\n".join(path.read_text(encoding="utf-8") for path in FETCHER.rglob("*.py"))
    return set(re.findall(r"FetchFailure\(\s*\"([A-Za-z]+)\"", text))


def test_every_reason_has_a_remedy() -> None:
    assert set(Reason) == set(REMEDIES)
    assert [reason for reason, remedy in REMEDIES.items() if not remedy.endswith(".")] == []


def test_reasons_are_single_words_as_kubernetes_wants_them() -> None:
    assert [reason for reason in Reason if not re.fullmatch("[A-Z][A-Za-z]{2,62}", reason)] == []
    assert [reason for reason in Reason if reason.name != reason.value] == []


def test_every_failure_of_the_indexer_is_on_the_list() -> None:
    assert len(failures_of_the_indexer()) >= 8
    assert failures_of_the_indexer() - {str(reason) for reason in Reason} == set()


def test_every_failure_of_the_fetcher_is_on_the_list() -> None:
    assert len(failures_of_the_fetcher()) >= 6
    assert failures_of_the_fetcher() - {str(reason) for reason in Reason} == set()


def test_no_reason_is_without_use() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    used = set(re.findall(r"Reason\.([A-Za-z]+)", text)) | failures_of_the_indexer()
    used |= failures_of_the_fetcher()

    assert {str(reason) for reason in Reason} - used == set()


def test_errors_say_reason_and_message() -> None:
    assert str(InvalidSpec(Reason.PromptVersionReused, "say why")) == "PromptVersionReused: say why"
    assert NotReady(Reason.ConfigMapMissing, "create it", retry_after=2).retry_after == 2
