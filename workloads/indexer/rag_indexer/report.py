"""How a run ends: exit code and termination message, which Kubernetes limits to 4,096 bytes; and the log lines."""

import json
import logging
import sys
import time
from pathlib import Path

from rag_contract.reports import IndexResult, SweepResult

Result = IndexResult | SweepResult

EXIT_OK = 0
EXIT_RETRY = 1
"""The next pod of the Job may succeed."""
EXIT_FINAL = 2
"""Trying again cannot help: the Job's pod failure policy ends it."""

MAX_BYTES = 4096
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def write(result: Result, path: str) -> None:
    """Writes the result where the kubelet reads it; the message is shortened until it fits.

    Outside Kubernetes the path may not exist: the result is in the log as well.
    """
    text = fitting(result)
    logging.getLogger("rag_indexer").info("result", extra={"result": json.loads(text)})
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        logging.getLogger("rag_indexer").warning("no termination message", extra={"reason": error.strerror})


def fitting(result: Result) -> str:
    """The result's JSON in at most `MAX_BYTES` bytes."""
    message = result.message
    while len((text := result.to_json()).encode()) > MAX_BYTES and message:
        message = message[: len(message) // 2]
        result = result.model_copy(update={"message": message + " ..."})
    return text


class JsonLines(logging.Formatter):
    """One JSON object a line; `extra` fields are its own keys."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "event": record.getMessage(),
        }
        line |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def log_to_stderr() -> None:
    """Sends the program's log to standard error; the libraries' only from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("rag_indexer").setLevel(logging.INFO)
