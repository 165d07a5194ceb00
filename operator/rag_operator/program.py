"""The operator as a process: what is started in which order, and how it ends.

login -> client -> caches fill -> Lease -> workers, kopf          SIGTERM -> workers stop -> Lease given back -> end
"""

import asyncio
import logging
import secrets
import signal
import socket
from collections.abc import Callable
from datetime import datetime

from .controller import Controller
from .handlers import KopfHost
from .runtime.client import Client
from .runtime.lease import LeaderElection
from .runtime.login import Login
from .runtime.metrics import Metrics
from .runtime.probes import serving
from .runtime.supervise import Supervisor
from .settings import PACKAGE_VERSION, Settings

log = logging.getLogger(__name__)


async def serve(
    settings: Settings, login: Login, now: Callable[[], datetime], supervisor: Supervisor | None = None
) -> int:
    """Run until SIGTERM or SIGINT (exit code 0), or until something that must live has died (1).

    Whoever brings the `supervisor` can stop the whole or look at its tasks.
    """
    metrics = Metrics(PACKAGE_VERSION)
    supervisor = supervisor or Supervisor()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)
    log.info(
        "starting", extra={"version": PACKAGE_VERSION, "server": login.server, "scope": settings.namespace or "all"}
    )
    async with Client(login, on_request=metrics.request) as client:
        controller = Controller(client, settings, metrics, now)
        host = KopfHost(login, settings.namespace, controller.witness, metrics.host_exits.inc)
        async with serving(
            settings.listen_address,
            metrics_port=settings.metrics_port,
            health_port=settings.health_port,
            scrape=metrics.scrape,
            faults=lambda: [*controller.faults(), *host.faults(), *(f"{name} is dead" for name in supervisor.dead)],
            state=controller.state,
        ):
            election = _election(settings, client, login, supervisor, now)
            for name, informer in controller.informers.items():
                supervisor.start(f"informer of {name}", informer.run())
            if not settings.namespace:  # with the rights of one namespace nodes are nobody's business
                supervisor.start("nodes", controller.nodes.run())
            supervisor.start("resync", controller.resync())
            supervisor.start("workers", _work(controller, election, host, metrics))
            if election is not None:
                supervisor.start("leader election", election.run())
            await supervisor.wait()
            await _end(supervisor, election, host)
        await controller.cluster.close()
    if supervisor.fault:
        log.error("ending: %s", supervisor.fault)
    return 1 if supervisor.fault else 0


async def _work(controller: Controller, election: LeaderElection | None, host: KopfHost, metrics: Metrics) -> None:
    """Lead, then work. Caches fill meanwhile."""
    if election is not None:
        await election.leading.wait()
    metrics.leader.set(1)
    await controller.synced()
    host.start()
    await controller.work()


async def _end(supervisor: Supervisor, election: LeaderElection | None, host: KopfHost) -> None:
    """Nobody writes any more, then the Lease is given back: the next leader never meets us."""
    log.info("ending")
    await supervisor.cancel("workers", seconds=1.0)
    await supervisor.cancel("leader election", seconds=0.5)
    if election is not None:
        await election.release()
    await host.stop()
    await supervisor.cancel(seconds=1.0)


def _election(
    settings: Settings, client: Client, login: Login, supervisor: Supervisor, now: Callable[[], datetime]
) -> LeaderElection | None:
    if not settings.leader_election:
        return None
    election = LeaderElection(
        client,
        namespace=settings.lease_namespace or settings.namespace or login.namespace,
        name=settings.lease_name,
        identity=f"{socket.gethostname()}_{secrets.token_hex(4)}",
        now=now,
        lost=lambda: supervisor.stop("the Lease is lost"),
    )
    client.write_only_while(lambda: election.held)
    return election
