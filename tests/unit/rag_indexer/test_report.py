"""Termination messages and log lines."""

import json
import logging
from pathlib import Path

from rag_contract.reports import IndexResult
from rag_indexer import report

RESULT = IndexResult(outcome="Failed", version="v1", collection="c", content_hash="h", reason="NoDocuments")


def test_a_message_is_shortened_to_what_kubernetes_keeps() -> None:
    text = report.fitting(RESULT.model_copy(update={"message": "ỗ" * 20_000}))
    assert report.MAX_BYTES >= len(text.encode()) > report.MAX_BYTES // 3
    assert IndexResult.model_validate_json(text).message.endswith(" ...")


def test_a_short_message_is_kept() -> None:
    assert IndexResult.model_validate_json(report.fitting(RESULT)) == RESULT


def test_the_result_is_written_and_a_missing_place_is_no_error(tmp_path: Path) -> None:
    report.write(RESULT, str(tmp_path / "termination-log"))
    assert RESULT.to_json() == (tmp_path / "termination-log").read_text()
    report.write(RESULT, str(tmp_path / "no/such/place"))


def test_a_log_line_is_json_with_its_extra_fields() -> None:
    record = logging.makeLogRecord({"msg": "stage", "levelname": "INFO", "created": 0.25, "msecs": 250.0, "to": "Done"})
    line = json.loads(report.JsonLines().format(record))
    assert line == {"time": "1970-01-01T00:00:00.250Z", "level": "INFO", "event": "stage", "to": "Done"}
