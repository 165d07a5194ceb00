"""Hosts the application on uvicorn, with a stop that lets work finish: see `drain`."""

import asyncio
import socket
from types import FrameType

import uvicorn

from .app import Application
from .drain import LAST_WORDS_SECONDS
from .protocol import BoundedProtocol
from .settings import Settings


class Server(uvicorn.Server):
    """SIGTERM begins the drain; a second signal ends the process at once."""

    def __init__(self, config: uvicorn.Config, application: Application, drain_seconds: float) -> None:
        super().__init__(config)
        self._application = application
        self._drain_seconds = drain_seconds
        self._stopping: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Until stopped."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by the signal; uvicorn closes its listeners only when the drain is over."""
        if self._loop is None or not self.started:
            self.should_exit = True
        elif self._application.drain.draining:
            self.should_exit = self.force_exit = True
        else:
            self._application.drain.begin()
            self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        self._stopping = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        await self._application.drain.finish(self._drain_seconds)
        self.should_exit = True


def server(application: Application, settings: Settings, protocol: type[BoundedProtocol] = BoundedProtocol) -> Server:
    """A server for the application, not yet listening."""
    environment = settings.environment
    config = uvicorn.Config(
        application,
        host=environment.host,
        port=environment.port,
        loop="uvloop",
        http=protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(LAST_WORDS_SECONDS) + 2,
    )
    return Server(config, application, environment.drain_seconds)
