"""The command line, and the only place that reads the process environment.

Exit code 0: done. 1: failed, trying again may help. 2: failed for good. The result is the termination message.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping

from pydantic import ValidationError
from rag_contract.model_fetch import (
    HUB_ENDPOINT_VARIABLE,
    HUB_TOKEN_VARIABLE,
    S3_KEY_VARIABLES,
    FetchEnvironment,
    FetchResult,
)
from rag_jobs.ending import JobFailure, end, invalid_settings, outcome, termination_path
from rag_jobs.logs import log_to_stderr
from rag_jobs.progress import served

from .fetch import fetch
from .hub import Hub
from .progress import Progress
from .s3 import Bucket
from .sources import Source


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """One run; returns the exit code."""
    _parser().parse_args(arguments)
    log_to_stderr("rag_model_fetch", libraries=logging.ERROR)  # their warnings quote signed addresses
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        settings = FetchEnvironment.from_env(environment)
    except ValidationError as error:
        invalid, path = invalid_settings(FetchEnvironment, error), termination_path(FetchEnvironment, environment)
        progress = Progress()
        return end(invalid, progress, path, lambda failure: _failed(None, progress, failure))
    return asyncio.run(_run(settings, environment))


async def _run(settings: FetchEnvironment, environment: Mapping[str, str]) -> int:
    progress = Progress()
    async with served(progress, settings.port):
        ended = await outcome(_fetch(settings, environment, progress))
    return end(ended, progress, settings.termination_path, lambda failure: _failed(settings, progress, failure))


async def _fetch(settings: FetchEnvironment, environment: Mapping[str, str], progress: Progress) -> FetchResult:
    """Inside the run, so that a source that cannot be made ends it with a result, too."""
    return await fetch(settings, _source(settings, environment), progress)


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


def _failed(settings: FetchEnvironment | None, progress: Progress, error: JobFailure) -> FetchResult:
    return FetchResult(
        outcome="Failed",
        key=settings.key if settings else "",
        repository=settings.repository if settings else "",
        revision=settings.revision if settings else "",
        size=progress.bytes_total,
        seconds=progress.seconds(),
        reason=error.reason,
        message=error.message,
    )


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
