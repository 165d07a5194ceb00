"""What the run is doing, over HTTP: `GET /progress` while it lasts."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from aiohttp import web
from rag_contract.reports import IndexProgress

log = logging.getLogger("rag_indexer")

Stage = Literal["Waiting", "Loading", "Indexing", "Verifying", "Done", "Failed"]


class Progress:
    """Mutable on purpose: one writer, the run; one reader, the server, in the same event loop."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self.stage: Stage = "Waiting"
        self.documents_done = 0
        self.documents_total = 0
        self.chunks_done = 0
        self.port = 0
        """Where it is served; 0 while it is not."""

    def enter(self, stage: Stage) -> None:
        """Begins a stage, with a log line."""
        if stage != self.stage:
            log.info("stage", extra={"from": self.stage, "to": stage, "seconds": round(self.seconds(), 3)})
        self.stage = stage

    def seconds(self) -> float:
        """Since the start of the run."""
        return time.monotonic() - self._started

    def report(self) -> IndexProgress:
        return IndexProgress(
            stage=self.stage,
            documents_done=self.documents_done,
            documents_total=self.documents_total,
            chunks_done=self.chunks_done,
            elapsed_seconds=round(self.seconds(), 3),
        )


@asynccontextmanager
async def served(progress: Progress, port: int) -> AsyncIterator[None]:
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
