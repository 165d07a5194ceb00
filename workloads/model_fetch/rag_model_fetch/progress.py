"""What the run is doing, over HTTP: `GET /progress` while it lasts."""

import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from rag_contract.model_fetch import FetchProgress, Stage

log = logging.getLogger("rag_model_fetch")

WINDOW_SECONDS = 30.0


class Progress:
    """Mutable on purpose: one writer, the run; one reader, the server, in the same event loop."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._started = monotonic()
        self._samples: deque[tuple[float, int]] = deque()
        self.stage: Stage = "Waiting"
        self.bytes_done = 0
        self.bytes_total = 0
        self.files_done = 0
        self.files_total = 0
        self.port = 0
        """Where it is served; 0 while it is not."""

    def enter(self, stage: Stage) -> None:
        """Begins a stage, with a log line."""
        if stage != self.stage:
            log.info("stage", extra={"from": self.stage, "to": stage, "seconds": round(self.seconds(), 3)})
        self.stage = stage

    def seconds(self) -> float:
        """Since the start of the run."""
        return self._monotonic() - self._started

    def measure(self, bytes_done: int, files_done: int) -> None:
        """What is there now. What was there before the first measurement is not counted as speed."""
        self.bytes_done, self.files_done = bytes_done, files_done
        now = self._monotonic()
        self._samples.append((now, bytes_done))
        while len(self._samples) > 2 and now - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()

    def rate(self) -> int:
        """Bytes per second over the window."""
        if not self._samples:
            return 0
        (then, before), (now, after) = self._samples[0], self._samples[-1]
        return max(0, int((after - before) / (now - then))) if now > then else 0

    def report(self) -> FetchProgress:
        """As it is served."""
        rate = self.rate()
        left = -(-(self.bytes_total - self.bytes_done) // rate) if rate and self.bytes_total else None
        return FetchProgress(
            stage=self.stage,
            bytes_done=self.bytes_done,
            bytes_total=self.bytes_total,
            bytes_per_second=rate,
            seconds_left=left,
            files_done=self.files_done,
            files_total=self.files_total,
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
