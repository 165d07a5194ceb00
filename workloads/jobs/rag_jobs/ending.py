"""How a run ends: its result becomes the termination message, which Kubernetes limits, and its exit code."""

import asyncio
import json
import logging
import signal
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from rag_contract.environment import TERMINATION_PATH, Environment
from rag_contract.jobs import EXIT_FINAL, EXIT_OK, EXIT_RETRY, TERMINATION_BYTES, JobResult

from .progress import RunProgress

log = logging.getLogger(__package__)

Result = TypeVar("Result", bound=JobResult)


class JobFailure(Exception):
    """A run that ends without what it is for.

    `reason` is a PascalCase word for the status of the RagService, `message` says what to do. `retryable` tells whether
    the same run may succeed later; when not, the exit code says so and the Job does not try again.
    """

    def __init__(self, reason: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retryable = retryable


def invalid_settings(kind: type[Environment], error: ValidationError) -> JobFailure:
    """Faults are reported under their variables' names."""
    faults = "; ".join(f"{kind.prefix}{_capitals(e['loc'])}: {e['msg']}" for e in error.errors())
    return JobFailure("InvalidSettings", faults)


def termination_path(kind: type[Environment], environment: Mapping[str, str]) -> str:
    """Where the result goes, although the settings could not be read."""
    return environment.get(f"{kind.prefix}TERMINATION_PATH", TERMINATION_PATH)


async def outcome(command: Coroutine[Any, Any, Result]) -> Result | JobFailure:
    """Runs it to its end, whichever that is. SIGTERM and SIGINT stop it."""
    task = asyncio.create_task(command)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except JobFailure as failure:
        return failure
    except asyncio.CancelledError:
        return JobFailure(
            "Interrupted", "The run was stopped from outside; the next one continues where it was.", retryable=True
        )
    except Exception:
        # The last line of defence: a bug must end with a result too. The log has the details.
        log.exception("unexpected error")
        return JobFailure("InternalError", "An unexpected error; see the log of the Job.", retryable=True)


def end(
    ended: Result | JobFailure, progress: RunProgress[Any], path: str, failed: Callable[[JobFailure], Result]
) -> int:
    """Writes the result, which `failed` makes of a failure; returns the exit code."""
    if not isinstance(ended, JobFailure):
        write(ended, path)
        return EXIT_OK
    progress.enter("Failed")
    write(failed(ended), path)
    return EXIT_RETRY if ended.retryable else EXIT_FINAL


def write(result: JobResult, path: str) -> None:
    """Writes the result where the kubelet reads it; the message is shortened until it fits.

    Outside Kubernetes the path may not exist: the result is in the log as well.
    """
    text = fitting(result)
    log.info("result", extra={"result": json.loads(text)})
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        log.warning("no termination message", extra={"reason": error.strerror})


def fitting(result: JobResult) -> str:
    """The result's JSON in at most `TERMINATION_BYTES` bytes."""
    message = result.message
    while len((text := result.to_json()).encode()) > TERMINATION_BYTES and message:
        message = message[: len(message) // 2]
        result = result.model_copy(update={"message": message + " ..."})
    return text


def _capitals(location: tuple[int | str, ...]) -> str:
    """A field as its variable's name: camelCase back to capitals."""
    name = ".".join(map(str, location))
    return "".join(f"_{c}" if c.isupper() else c for c in name).upper()
