"""python -m tests.qdrant_standin [--host H] [--port N] [--storage DIR]: options before Qdrant's environment names."""

import argparse
import asyncio
import dataclasses
import logging
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

from .app import create_app
from .settings import NAME, Settings, from_environment


def _settings() -> Settings:
    parser = argparse.ArgumentParser(prog="python -m tests.qdrant_standin", description=f"The {NAME}.")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int, help="0 takes a free one and prints it")
    parser.add_argument("--storage", type=Path)
    parser.add_argument("--snapshots", type=Path)
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    if "storage" in given:
        given.setdefault("snapshots", given["storage"] / "snapshots")
    return dataclasses.replace(from_environment(os.environ), **given)


async def _serve(settings: Settings) -> None:
    runner = web.AppRunner(create_app(settings), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, settings.host, settings.port)
    await site.start()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    port = runner.addresses[0][1]
    keys = "keys required" if settings.needs_key else "no keys required"
    print(f"{NAME}: listening on {settings.host}:{port}, storage {settings.storage}, {keys}", flush=True)
    await stop.wait()
    await runner.cleanup()
    print(f"{NAME}: stopped, storage flushed", flush=True)


def main() -> None:
    """Runs until SIGTERM or SIGINT; ends with a message and status 1 when settings, folders or port do not serve."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    try:
        asyncio.run(_serve(_settings()))
    except (OSError, ValueError) as error:
        sys.exit(f"{NAME}: cannot start: {error}")


if __name__ == "__main__":
    main()
