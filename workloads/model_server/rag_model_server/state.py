"""What the launcher knows, and what it answers to the kubelet's probes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from rag_contract.engine_logs import bare, quoted
from rag_contract.model_server import HEALTH_PATH, READY_PATH, ModelServerState, Stage


class State:
    """Mutable on purpose: one writer, the launcher; one reader, the probes, in the same event loop."""

    def __init__(self) -> None:
        self.stage: Stage = "Starting"
        self.doing: Callable[[], str] = str
        """The engine's last word."""
        self.refusal = ""
        """What it said to the question that proves it, instead of an answer."""
        self.load_seconds: float | None = None
        self.stalled_seconds = 0.0
        self.stop = asyncio.Event()
        self.port = 0
        """Where it is served; 0 before."""

    @property
    def ready(self) -> bool:
        """Whether questions may come."""
        return self.stage == "Serving"

    def report(self) -> ModelServerState:
        return ModelServerState(
            stage=self.stage,
            ready=self.ready,
            doing="" if self.ready else quoted(self.refusal or bare(self.doing())),
            load_seconds=self.load_seconds,
            stalled_seconds=round(self.stalled_seconds, 1),
        )


@asynccontextmanager
async def served(state: State, port: int) -> AsyncIterator[None]:
    """Serves the probes on all interfaces. Raises OSError when the port is taken."""

    async def ready(_: web.Request) -> web.Response:
        return _answer(state, state.ready)

    async def health(_: web.Request) -> web.Response:
        return _answer(state, state.stage not in {"Stalled", "Ended"})

    app = web.Application()
    app.router.add_get(READY_PATH, ready)
    app.router.add_get(HEALTH_PATH, health)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        state.port = int(min(runner.addresses, key=len)[1])
        yield
    finally:
        await runner.cleanup()


def _answer(state: State, good: bool) -> web.Response:
    return web.Response(status=200 if good else 503, text=state.report().to_json(), content_type="application/json")
