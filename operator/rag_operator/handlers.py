"""kopf as a host: it logs in, watches RagServices with its own session, and tells each event on. No logic is here.

Why beside our own informer: docs/decisions/0003-kopf-as-host.md. kopf runs in a thread of its own with its own event loop,
because on its way out it cancels every task of the loop that it ran on; and it is started again when it ends, because a torn
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
MAX_EXITS = 5
EXITS_WITHIN_SECONDS = 600.0
Witness = Callable[[tuple[str, str], int], None]


class KopfHost:
    """Runs kopf until `stop`. `witness` and `on_exit` are called on the event loop that made this object.

    `on_exit(True)` says that kopf has ended too often: the process should end.
    """

    def __init__(
        self,
        login: Login,
        namespace: str,
        witness: Witness,
        on_exit: Callable[[bool], None],
        *,
        backoff: Backoff | None = None,
        max_exits: int = MAX_EXITS,
    ) -> None:
        self._login = login
        self._namespace = namespace
        self._witness = witness
        self._on_exit = on_exit
        self._backoff = backoff or Backoff(first=1.0, cap=30.0)
        self._max_exits = max_exits
        self._home = asyncio.get_running_loop()
        self._stop = threading.Event()
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

    async def stop(self, seconds: float = 1.5) -> None:
        """Ask kopf to end, and wait a while; the thread does not keep the process alive."""
        self._stop.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, seconds)

    def _run(self) -> None:
        asyncio.run(self._supervise())

    async def _supervise(self) -> None:
        budget = RestartBudget(self._max_exits, EXITS_WITHIN_SECONDS, asyncio.get_running_loop().time)
        while not self._stop.is_set():
            try:
                await self._operator()
            except asyncio.CancelledError:
                log.debug("kopf was cancelled")
            except Exception as error:
                log.warning("kopf ended: %s: %s", type(error).__name__, error)
            if self._stop.is_set():
                return
            more = budget.spend()
            self._tell(self._on_exit, not more)
            if not more:
                return
            await asyncio.sleep(self._backoff.next())

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
