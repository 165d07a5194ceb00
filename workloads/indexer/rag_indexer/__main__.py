"""The command line, and the only place that reads the process environment.

Exit code 0: done. 1: failed, trying again may help. 2: failed for good. The result is the termination message.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from pydantic import ValidationError
from rag_contract.environment import (
    EMBEDDING_API_KEY_VARIABLE,
    QDRANT_API_KEY_VARIABLE,
    IndexerEnvironment,
    SweepEnvironment,
)
from rag_contract.reports import IndexResult, SweepResult
from rag_jobs.ending import JobFailure, end, invalid_settings, outcome, termination_path
from rag_jobs.logs import log_to_stderr
from rag_jobs.progress import served

from . import build
from .connection import Connection
from .embedder import Embedder
from .progress import Progress
from .servers import Servers
from .store import Store
from .sweep import sweep

Command = Callable[[IndexerEnvironment, Servers, Progress], Coroutine[Any, Any, IndexResult]]

COMMANDS: dict[str, tuple[Command, str]] = {
    "build": (build.build, "read the documents, fill the collection, verify it and stamp it complete"),
    "verify": (build.check, "verify a finished collection without its documents"),
    "drop": (build.drop, "remove the collection, if it is the one that the settings describe"),
}
SWEEP = "sweep"


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Runs one command; returns the exit code."""
    command = _parser().parse_args(arguments).command
    kind = SweepEnvironment if command == SWEEP else IndexerEnvironment
    log_to_stderr("rag_indexer")
    try:
        settings = kind.from_env(environment)
    except ValidationError as error:
        invalid, path, progress = invalid_settings(kind, error), termination_path(kind, environment), Progress()
        if command == SWEEP:
            return end(invalid, progress, path, lambda failure: _failed_sweep(progress, failure))
        return end(invalid, progress, path, lambda failure: _failed(None, progress, failure))
    if isinstance(settings, SweepEnvironment):
        return asyncio.run(_sweep(settings, environment))
    return asyncio.run(_index(COMMANDS[command][0], settings, environment))


async def _index(command: Command, settings: IndexerEnvironment, environment: Mapping[str, str]) -> int:
    progress = Progress()
    store = Store(
        settings.qdrant_url, environment.get(QDRANT_API_KEY_VARIABLE), settings.collection, settings.wait_seconds
    )
    embedder = Embedder(settings, environment.get(EMBEDDING_API_KEY_VARIABLE)) if settings.embedding_url else None
    servers = Servers(store, embedder)
    try:
        async with served(progress, settings.port):
            ended = await outcome(command(settings, servers, progress))
    finally:
        await servers.close()
    return end(ended, progress, settings.termination_path, lambda error: _failed(settings, progress, error))


async def _sweep(settings: SweepEnvironment, environment: Mapping[str, str]) -> int:
    progress = Progress()
    connection = Connection(settings.qdrant_url, environment.get(QDRANT_API_KEY_VARIABLE), settings.wait_seconds)
    try:
        ended = await outcome(sweep(settings, connection, progress))
    finally:
        await connection.close()
    return end(ended, progress, settings.termination_path, lambda error: _failed_sweep(progress, error))


def _failed(settings: IndexerEnvironment | None, progress: Progress, error: JobFailure) -> IndexResult:
    return IndexResult(
        outcome="Failed",
        version=settings.version if settings else "",
        collection=settings.collection if settings else "",
        content_hash=settings.content_hash if settings else "",
        chunks=progress.chunks_done,
        seconds=progress.seconds(),
        reason=error.reason,
        message=error.message,
    )


def _failed_sweep(progress: Progress, error: JobFailure) -> SweepResult:
    return SweepResult(outcome="Failed", seconds=progress.seconds(), reason=error.reason, message=error.message)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rag_indexer",
        description="Builds and verifies one index collection in Qdrant, and drops those that nothing needs.",
        epilog=f"Settings are environment variables {IndexerEnvironment.prefix}*, of the sweep {SweepEnvironment.prefix}*; "
        f"the key of Qdrant is {QDRANT_API_KEY_VARIABLE}, that of the embedding server {EMBEDDING_API_KEY_VARIABLE}. "
        "Exit code 1: trying again may help; 2: it cannot.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, text) in COMMANDS.items():
        commands.add_parser(name, help=text)
    commands.add_parser(SWEEP, help="move the alias of outside readers, then drop collections that are not kept")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
