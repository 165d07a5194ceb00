"""The command line, and the only place that reads the process environment.

Exit code 0: done. 1: failed, trying again may help. 2: failed for good. The result is the termination message.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping

from pydantic import ValidationError
from rag_contract.environment import TERMINATION_PATH
from rag_contract.model_fetch import (
    HUB_ENDPOINT_VARIABLE,
    HUB_TOKEN_VARIABLE,
    S3_KEY_VARIABLES,
    FetchEnvironment,
    FetchResult,
)

from . import report
from .errors import FetchFailure
from .fetch import fetch
from .hub import Hub
from .progress import Progress, served
from .s3 import Bucket
from .sources import Source

log = logging.getLogger("rag_model_fetch")


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """One run; returns the exit code."""
    _parser().parse_args(arguments)
    report.log_to_stderr()
    try:
        settings = FetchEnvironment.from_env(environment)
    except ValidationError as error:
        faults = "; ".join(f"{FetchEnvironment.prefix}{_name(e['loc'])}: {e['msg']}" for e in error.errors())
        path = environment.get(f"{FetchEnvironment.prefix}TERMINATION_PATH", TERMINATION_PATH)
        report.write(_failed(None, Progress(), FetchFailure("InvalidSettings", faults)), path)
        return report.EXIT_FINAL
    return asyncio.run(_run(settings, environment))


async def _run(settings: FetchEnvironment, environment: Mapping[str, str]) -> int:
    progress = Progress()
    async with served(progress, settings.port):
        result, code = await _outcome(settings, environment, progress)
    report.write(result, settings.termination_path)
    return code


async def _outcome(
    settings: FetchEnvironment, environment: Mapping[str, str], progress: Progress
) -> tuple[FetchResult, int]:
    """The result and exit code of a run, whichever way it ends."""

    async def whole() -> FetchResult:
        return await fetch(settings, _source(settings, environment), progress)

    task = asyncio.ensure_future(whole())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task, report.EXIT_OK
    except FetchFailure as failure:
        error = failure
    except asyncio.CancelledError:
        message = "The download was stopped from outside; the next one continues where it was."
        error = FetchFailure("Interrupted", message, retryable=True)
    except Exception:
        # The last line of defence: a bug must end with a result too. The log has the details.
        log.exception("unexpected error")
        error = FetchFailure("InternalError", "An unexpected error; see the log of the fetch Job.", retryable=True)
    progress.enter("Failed")
    return _failed(settings, progress, error), report.EXIT_RETRY if error.retryable else report.EXIT_FINAL


def _source(settings: FetchEnvironment, environment: Mapping[str, str]) -> Source:
    if settings.source == "S3":
        return Bucket(
            settings.s3_url or "",
            endpoint=settings.s3_endpoint,
            region=settings.s3_region,
            credentials={name: environment[name] for name in S3_KEY_VARIABLES if name in environment},
            secret=settings.secret,
        )
    return Hub(
        settings.repository,
        settings.revision,
        endpoint=environment.get(HUB_ENDPOINT_VARIABLE),
        token=environment.get(HUB_TOKEN_VARIABLE),
        secret=settings.secret,
    )


def _failed(settings: FetchEnvironment | None, progress: Progress, error: FetchFailure) -> FetchResult:
    return FetchResult(
        outcome="Failed",
        key=settings.key if settings else "",
        repository=settings.repository if settings else "",
        revision=settings.revision if settings else "",
        size=progress.bytes_total,
        seconds=round(progress.seconds(), 3),
        reason=error.reason,
        message=error.message,
    )


def _name(location: tuple[int | str, ...]) -> str:
    """Settings are reported under their variable's name: camelCase back to capitals."""
    name = ".".join(map(str, location))
    return "".join(f"_{c}" if c.isupper() else c for c in name).upper()


def _parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog="rag_model_fetch",
        description="Downloads the weights of one model into the model cache, unless they are there.",
        epilog=f"Settings are environment variables {FetchEnvironment.prefix}*; {HUB_TOKEN_VARIABLE} and"
        f" {HUB_ENDPOINT_VARIABLE} for a hub, {', '.join(S3_KEY_VARIABLES)} for S3. Exit code 1: trying again may help; 2:"
        " it cannot.",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
