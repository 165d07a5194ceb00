"""kopf as a host: it logs in, watches RagServices with its own session, and tells each event on. No logic is here.

Why beside our own informer: docs/decisions/0003-kopf-as-host.md. kopf runs in a thread of its own with its own event loop,
because on its way out it cancels every task of the loop that it ran on; and it is started again whenever it ends, because a torn
line or an ERROR event is enough to end it.
"""

import asyncio
import logging
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import kopf

from .runtime.backoff import Backoff
from .runtime.kinds import RAG_SERVICE
from .runtime.login import Login
from .runtime.session import new_session
from .runtime.supervise import RestartBudget

log = logging.getLogger(__name__)

KOPF_AGENT = "rag-operator-kopf"
MANY_EXITS = 5
EXITS_WITHIN_SECONDS = 600.0
LIVED_SECONDS = 60.0
"""A kopf that ran for this long is started again as quickly as after its first end."""
Witness = Callable[[tuple[str, str], int], None]


class KopfHost:
    """Runs kopf until `stop`, however often it ends: our own watches do not depend on it, and it has no say over the process.

    `witness` and `on_exit` are called on the event loop that made this object.
    """

    def __init__(
        self,
        login: Login,
        namespace: str,
        witness: Witness,
        on_exit: Callable[[], None],
        *,
        backoff: Backoff | None = None,
        many_exits: int = MANY_EXITS,
    ) -> None:
        self._login = login
        self._namespace = namespace
        self._witness = witness
        self._on_exit = on_exit
        self._backoff = backoff or Backoff(first=1.0, cap=300.0)
        self._many_exits = many_exits
        self._home = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        # It warns that it does not handle signals: in a thread it cannot, and must not.
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """The thread runs."""
        return self._thread.is_alive()

    def faults(self) -> list[str]:
        """What only a new process heals: the supervision has ended though nobody asked it to."""
        return ["kopf is not started again any more"] if self._over.is_set() and not self._stop.is_set() else []

    async def stop(self, seconds: float = 1.5) -> None:
        """Ask kopf to end, and wait a while; the thread does not keep the process alive."""
        self._stop.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, seconds)

    def _run(self) -> None:
        asyncio.run(self._until_over())

    async def _until_over(self) -> None:
        try:
            await self._supervise()
        finally:
            self._over.set()  # the thread itself may live on: what kopf leaves behind need not let its loop end

    async def _supervise(self) -> None:
        clock = asyncio.get_running_loop().time
        budget = RestartBudget(self._many_exits, EXITS_WITHIN_SECONDS, clock)
        while not self._stop.is_set():
            started = clock()
            try:
                await self._operator()
            except asyncio.CancelledError:
                log.debug("kopf was cancelled")
            except Exception as error:
                log.warning("kopf ended: %s: %s", type(error).__name__, error)
            if self._stop.is_set():
                return
            self._tell(self._on_exit)
            if not budget.spend():
                log.error("kopf ends again and again: RagServices are watched by our own informer alone")
            if clock() - started >= LIVED_SECONDS:
                self._backoff.reset()
            await self._pause(self._backoff.next())

    async def _pause(self, seconds: float) -> None:
        """Shorter when the end is wanted meanwhile."""
        await asyncio.to_thread(self._stop.wait, seconds)

    async def _operator(self) -> None:
        clusterwide = not self._namespace
        await kopf.operator(
            registry=self._registry(),
            settings=host_settings(),
            # Else kopf asks the password file for the user's name, and a container has no entry for its number.
            identity=cast(Any, "rag-operator"),
            stop_flag=self._stop,
            standalone=True,
            clusterwide=clusterwide,
            namespaces=() if clusterwide else [self._namespace],
        )

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        login = self._login

        @kopf.on.login(registry=registry)
        async def log_in(**_: Any) -> kopf.AiohttpSession:
            """A session of kopf's own: it closes what it is given."""
            return kopf.AiohttpSession(
                server=login.server, aiohttp_session=new_session(login, KOPF_AGENT), default_namespace=login.namespace
            )

        @kopf.on.event(RAG_SERVICE.group, RAG_SERVICE.version, RAG_SERVICE.plural, registry=registry)
        async def seen(body: kopf.Body, **_: Any) -> None:
            key = (str(body.metadata.namespace), str(body.metadata.name))
            self._tell(self._witness, key, int(body.metadata["resourceVersion"]))

        return registry

    def _tell(self, function: Callable[..., None], *arguments: Any) -> None:
        if not self._home.is_closed():
            self._home.call_soon_threadsafe(function, *arguments)


class EndlessPauses:
    """Pauses between attempts, for ever: kopf iterates anew for each request and gives up when they run out."""

    def __iter__(self) -> Iterator[float]:
        backoff = Backoff(first=1.0, cap=15.0, rng=random.Random())  # noqa: S311 (spread, not secrecy)
        while True:
            yield backoff.next()


def host_settings() -> kopf.OperatorSettings:
    """Watch and nothing else: no Events, no scanning, no peering, no writes."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.process.ultimate_exiting_timeout = None  # it would kill the whole process
    settings.networking.error_backoffs = EndlessPauses()
    settings.networking.request_timeout = 15
    settings.networking.connect_timeout = 5
    settings.networking.enforce_retry_after = True
    settings.watching.server_timeout = 280
    settings.watching.inactivity_timeout = 300  # a quiet kind is silent; our own informer looks sooner
    settings.watching.chunk_size = 500
    settings.queueing.exit_timeout = 0.5
    return settings
