"""What a run is doing, over HTTP: `GET /progress` while it lasts."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from aiohttp import web
from rag_contract.base import Contract

log = logging.getLogger(__package__)

Stage = TypeVar("Stage", bound=str)


class RunProgress(ABC, Generic[Stage]):
    """Mutable on purpose: one writer, the run; one reader, the server, in the same event loop."""

    def __init__(self, first: Stage, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._started = monotonic()
        self.stage = first
        self.port = 0
        """Where it is served; 0 while it is not."""

    @abstractmethod
    def report(self) -> Contract:
        """As it is served."""

    def enter(self, stage: Stage) -> None:
        """Begins a stage, with a log line."""
        if stage != self.stage:
            log.info("stage", extra={"from": self.stage, "to": stage, "seconds": self.seconds()})
        self.stage = stage

    def seconds(self) -> float:
        """Since the start of the run, to the millisecond."""
        return round(self._monotonic() - self._started, 3)


@asynccontextmanager
async def served(progress: RunProgress[Any], port: int) -> AsyncIterator[None]:
    """Serves it on all interfaces; port 0 takes a free one. A port in use costs the progress, not the run."""

    async def handle(_: web.Request) -> web.Response:
        return web.Response(text=progress.report().to_json(), content_type="application/json")

    app = web.Application()
    app.router.add_get("/progress", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, port=port)
        try:
            await site.start()
            progress.port = int(min(runner.addresses, key=len)[1])  # IPv4's, where port 0 gave each family its own
            log.info("progress is served", extra={"port": progress.port})
        except OSError as error:
            log.warning("progress is not served", extra={"port": port, "reason": error.strerror})
        yield
    finally:
        await runner.cleanup()
