"""The command line, and the only place that reads the process environment.

Exit code 0: done. 1: failed, trying again may help. 2: failed for good. The result is the termination message.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from pydantic import ValidationError
from rag_contract.environment import (
    EMBEDDING_API_KEY_VARIABLE,
    QDRANT_API_KEY_VARIABLE,
    TERMINATION_PATH,
    IndexerEnvironment,
    SweepEnvironment,
)
from rag_contract.reports import IndexResult, SweepResult

from . import build, report
from .connection import Connection
from .embedder import Embedder
from .errors import IndexFailure
from .progress import Progress, served
from .report import Result
from .servers import Servers
from .store import Store
from .sweep import sweep

log = logging.getLogger("rag_indexer")

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
    report.log_to_stderr()
    try:
        settings = kind.from_env(environment)
    except ValidationError as error:
        faults = "; ".join(f"{kind.prefix}{_name(e['loc'])}: {e['msg']}" for e in error.errors())
        path = environment.get(f"{kind.prefix}TERMINATION_PATH", TERMINATION_PATH)
        invalid, now = IndexFailure("InvalidSettings", faults), Progress()
        report.write(_failed_sweep(now, invalid) if command == SWEEP else _failed(None, now, invalid), path)
        return report.EXIT_FINAL
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
            ended = await _outcome(command(settings, servers, progress))
    finally:
        await servers.close()
    return _end(ended, progress, settings.termination_path, lambda error: _failed(settings, progress, error))


async def _sweep(settings: SweepEnvironment, environment: Mapping[str, str]) -> int:
    progress = Progress()
    connection = Connection(settings.qdrant_url, environment.get(QDRANT_API_KEY_VARIABLE), settings.wait_seconds)
    try:
        ended = await _outcome(sweep(settings, connection, progress))
    finally:
        await connection.close()
    return _end(ended, progress, settings.termination_path, lambda error: _failed_sweep(progress, error))


async def _outcome(command: Coroutine[Any, Any, Result]) -> Result | IndexFailure:
    """How a run ends, whichever way."""
    task = asyncio.create_task(command)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except IndexFailure as failure:
        return failure
    except asyncio.CancelledError:
        return IndexFailure(
            "Interrupted", "The run was stopped from outside; the next one continues where it was.", retryable=True
        )
    except Exception:
        # The last line of defence: a bug must end with a result too. The log has the details.
        log.exception("unexpected error")
        return IndexFailure("InternalError", "An unexpected error; see the log of the Job.", retryable=True)


def _end(ended: Result | IndexFailure, progress: Progress, path: str, failed: Callable[[IndexFailure], Result]) -> int:
    """Writes the result; returns the exit code."""
    if not isinstance(ended, IndexFailure):
        report.write(ended, path)
        return report.EXIT_OK
    progress.enter("Failed")
    report.write(failed(ended), path)
    return report.EXIT_RETRY if ended.retryable else report.EXIT_FINAL


def _failed(settings: IndexerEnvironment | None, progress: Progress, error: IndexFailure) -> IndexResult:
    return IndexResult(
        outcome="Failed",
        version=settings.version if settings else "",
        collection=settings.collection if settings else "",
        content_hash=settings.content_hash if settings else "",
        chunks=progress.chunks_done,
        seconds=round(progress.seconds(), 3),
        reason=error.reason,
        message=error.message,
    )


def _failed_sweep(progress: Progress, error: IndexFailure) -> SweepResult:
    return SweepResult(
        outcome="Failed", seconds=round(progress.seconds(), 3), reason=error.reason, message=error.message
    )


def _name(location: tuple[int | str, ...]) -> str:
    """Settings are reported under their variable's name: camelCase back to capitals."""
    name = ".".join(map(str, location))
    return "".join(f"_{c}" if c.isupper() else c for c in name).upper()


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
