"""Log lines: one JSON object each for machines, or text for people, with the object and the pass that they belong to."""

import contextlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson

_context: ContextVar[dict[str, str] | None] = ContextVar("log_context", default=None)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@contextlib.contextmanager
def about(**names: str) -> Iterator[None]:
    """Everything that this task logs inside carries these fields, for example object and reconcile."""
    token = _context.set((_context.get() or {}) | names)
    try:
        yield
    finally:
        _context.reset(token)


def current(name: str) -> str:
    """A field of the present context; empty when it is not set."""
    return (_context.get() or {}).get(name, "")


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """What is known beside the message: the context, and the plain values that the call gave as `extra`.

    Libraries put whole objects there; those stay out of the log.
    """
    extra = {
        key: value
        for key, value in vars(record).items()
        if key not in _STANDARD and isinstance(value, str | int | float | bool)
    }
    return (_context.get() or {}) | extra


class JsonFormatter(logging.Formatter):
    """`time` in RFC 3339 and UTC, `level`, `logger`, `message`, the fields, and `error` with the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **fields(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    """Time, level, message, then the fields."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        tail = " ".join(f"{key}={value}" for key, value in fields(record).items())
        return f"{super().formatMessage(record)}  {tail}" if tail else super().formatMessage(record)


def configure(level: str, *, json: bool) -> None:
    """Send the whole process's log to standard error. kopf's own chatter counts from WARNING on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if json else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    if level != "DEBUG":
        logging.getLogger("kopf").setLevel(logging.WARNING)
