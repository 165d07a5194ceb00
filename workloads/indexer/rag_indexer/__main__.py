"""The command line, and the only place that reads the process environment.

Exit code 0: done. 1: failed, trying again may help. 2: failed for good. The result is the termination message.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping

from pydantic import ValidationError
from rag_contract.environment import (
    EMBEDDING_API_KEY_VARIABLE,
    QDRANT_API_KEY_VARIABLE,
    TERMINATION_PATH,
    IndexerEnvironment,
)
from rag_contract.reports import IndexResult

from . import build, report
from .embedder import Embedder
from .errors import IndexFailure
from .progress import Progress, served
from .servers import Servers
from .store import Store

log = logging.getLogger("rag_indexer")

Command = Callable[[IndexerEnvironment, Servers, Progress], Awaitable[IndexResult]]

COMMANDS: dict[str, tuple[Command, str]] = {
    "build": (build.build, "read the documents, fill the collection, verify it and stamp it complete"),
    "verify": (build.check, "verify a finished collection without its documents"),
    "drop": (build.drop, "remove the collection, if it is the one that the settings describe"),
}


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Runs one command; returns the exit code."""
    command = _parser().parse_args(arguments).command
    report.log_to_stderr()
    try:
        settings = IndexerEnvironment.from_env(environment)
    except ValidationError as error:
        faults = "; ".join(f"{IndexerEnvironment.prefix}{_name(e['loc'])}: {e['msg']}" for e in error.errors())
        path = environment.get(f"{IndexerEnvironment.prefix}TERMINATION_PATH", TERMINATION_PATH)
        report.write(_failed(None, 0.0, IndexFailure("InvalidSettings", faults)), path)
        return report.EXIT_FINAL
    return asyncio.run(_run(COMMANDS[command][0], settings, environment))


async def _run(command: Command, settings: IndexerEnvironment, environment: Mapping[str, str]) -> int:
    progress = Progress()
    store = Store(
        settings.qdrant_url, environment.get(QDRANT_API_KEY_VARIABLE), settings.collection, settings.wait_seconds
    )
    embedder = Embedder(settings, environment.get(EMBEDDING_API_KEY_VARIABLE)) if settings.embedding_url else None
    servers = Servers(store, embedder)
    try:
        async with served(progress, settings.port):
            result, code = await _outcome(command, settings, servers, progress)
    finally:
        await servers.close()
    report.write(result, settings.termination_path)
    return code


async def _outcome(
    command: Command, settings: IndexerEnvironment, servers: Servers, progress: Progress
) -> tuple[IndexResult, int]:
    """The result and exit code of a run, whichever way it ends."""
    task = asyncio.ensure_future(command(settings, servers, progress))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task, report.EXIT_OK
    except IndexFailure as failure:
        error = failure
    except asyncio.CancelledError:
        error = IndexFailure(
            "Interrupted", "The run was stopped from outside; the next one continues where it was.", retryable=True
        )
    except Exception:
        # The last line of defence: a bug must end with a result too. The log has the details.
        log.exception("unexpected error")
        error = IndexFailure("InternalError", "An unexpected error; see the log of the index Job.", retryable=True)
    progress.enter("Failed")
    code = report.EXIT_RETRY if error.retryable else report.EXIT_FINAL
    return _failed(settings, progress.seconds(), error, progress.chunks_done), code


def _failed(settings: IndexerEnvironment | None, seconds: float, error: IndexFailure, chunks: int = 0) -> IndexResult:
    return IndexResult(
        outcome="Failed",
        version=settings.version if settings else "",
        collection=settings.collection if settings else "",
        content_hash=settings.content_hash if settings else "",
        chunks=chunks,
        seconds=round(seconds, 3),
        reason=error.reason,
        message=error.message,
    )


def _name(location: tuple[int | str, ...]) -> str:
    """Settings are reported under their variable's name: camelCase back to capitals."""
    name = ".".join(map(str, location))
    return "".join(f"_{c}" if c.isupper() else c for c in name).upper()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rag_indexer",
        description="Builds and verifies one index collection in Qdrant.",
        epilog=f"Settings are environment variables {IndexerEnvironment.prefix}*; the key of Qdrant is "
        f"{QDRANT_API_KEY_VARIABLE}, that of the embedding server {EMBEDDING_API_KEY_VARIABLE}. Exit code 1: trying again may help; 2: it cannot.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, text) in COMMANDS.items():
        commands.add_parser(name, help=text)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
