"""Two contenders and a Lease whose versions are checked as the API server does; times shortened to tenths."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from rag_operator.runtime.client import Client
from rag_operator.runtime.lease import LeaderElection, LeaseTimes
from rag_operator.runtime.login import Login

from .server_double import ServerDouble, running, status
from .waiting import eventually

TIMES = LeaseTimes(duration=1.0, renew=0.6, retry=0.1, call=0.2)


class Contender:
    """One process that wants the lead."""

    def __init__(
        self,
        login: Login,
        name: str,
        times: LeaseTimes = TIMES,
        on_request: Callable[[str, str, int], None] = lambda verb, kind, status: None,
    ) -> None:
        self.client = Client(login, request_seconds=30, on_request=on_request)
        self.losses = 0
        self.lost_at = 0.0
        self.election = LeaderElection(
            self.client, "team", "operator", name, now=lambda: datetime.now(UTC), lost=self._lost, times=times
        )
        self.task = asyncio.create_task(self.election.run())

    def _lost(self) -> None:
        self.losses += 1
        self.lost_at = now()

    async def die(self) -> None:
        """As by SIGKILL: nothing is given back."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def end(self) -> None:
        await self.die()
        await self.client.close()


@pytest.fixture
async def server() -> AsyncIterator[tuple[ServerDouble, Login]]:
    async with running() as made:
        yield made


@pytest.fixture
async def double(server: tuple[ServerDouble, Login]) -> ServerDouble:
    return server[0]


@pytest.fixture
async def leader(server: tuple[ServerDouble, Login]) -> AsyncIterator[Contender]:
    made = Contender(server[1], "one")
    await asyncio.wait_for(made.election.leading.wait(), 3)
    yield made
    await made.end()


@pytest.fixture
async def other(server: tuple[ServerDouble, Login], leader: Contender) -> AsyncIterator[Contender]:
    made = Contender(server[1], "two")
    yield made
    await made.end()


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def leading(
    login: Login, times: LeaseTimes, on_request: Callable[[str, str, int], None] = lambda verb, kind, status: None
) -> AsyncIterator[Contender]:
    """A leader with times of its own."""
    made = Contender(login, "one", times, on_request)
    try:
        await asyncio.wait_for(made.election.leading.wait(), 3)
        yield made
    finally:
        await made.end()


async def held_again(made: Contender, seconds: float) -> bool:
    """Whether the lead, once it is no longer held, is held once more within this time."""
    await eventually(False, lambda: made.election.held)
    end = now() + seconds
    while now() < end:
        if made.election.held:
            return True
        await asyncio.sleep(0.01)
    return False


def holder(double: ServerDouble) -> str:
    assert double.lease is not None
    return str(double.lease["spec"]["holderIdentity"])


async def test_one_leads_and_keeps_leading(double: ServerDouble, leader: Contender, other: Contender) -> None:
    await asyncio.sleep(1.5)
    assert leader.election.held
    assert not other.election.leading.is_set()
    assert ("one", 0) == (holder(double), leader.losses)


async def test_a_dead_leader_is_followed_after_the_duration(
    double: ServerDouble, leader: Contender, other: Contender
) -> None:
    await asyncio.sleep(0.3)
    await leader.die()
    died = asyncio.get_running_loop().time()
    await asyncio.wait_for(other.election.leading.wait(), 3)
    assert 0.6 <= asyncio.get_running_loop().time() - died <= 2.0
    assert "two" == holder(double)
    assert double.lease is not None
    assert 1 == double.lease["spec"]["leaseTransitions"]
    assert not leader.election.held, "by now the dead one would not have written any more either"


async def test_a_lease_given_back_is_taken_at_once(double: ServerDouble, leader: Contender, other: Contender) -> None:
    await asyncio.sleep(0.3)
    await leader.die()
    await leader.election.release()
    assert "" == holder(double)
    assert not leader.election.held
    began = asyncio.get_running_loop().time()
    await asyncio.wait_for(other.election.leading.wait(), 3)
    assert asyncio.get_running_loop().time() - began < TIMES.duration - 0.2
    assert 0 == leader.losses


async def test_a_lease_is_given_back_although_a_renewal_was_cut_off(double: ServerDouble, leader: Contender) -> None:
    """The server stored what the cancelled call sent, so the version that is known is not the stored one."""
    await leader.die()
    assert double.lease is not None
    double.lease = {**double.lease, "metadata": {**double.lease["metadata"], "resourceVersion": "99999"}}
    await leader.election.release()
    assert "" == holder(double)


async def test_a_lease_that_another_one_took_is_not_given_back(double: ServerDouble, leader: Contender) -> None:
    await leader.die()
    assert double.lease is not None
    taken = {**double.lease["spec"], "holderIdentity": "somebody"}
    double.lease = {**double.lease, "spec": taken, "metadata": {**double.lease["metadata"], "resourceVersion": "99999"}}
    await leader.election.release()
    assert "somebody" == holder(double)


async def test_a_leader_that_cannot_renew_stops_before_others_may_start(
    double: ServerDouble, leader: Contender
) -> None:
    double.answers.extend(status(500, "InternalError") for _ in range(1000))
    began = asyncio.get_running_loop().time()
    await eventually(False, lambda: leader.election.held, 3)
    assert asyncio.get_running_loop().time() - began <= TIMES.renew + 0.2
    await eventually(1, lambda: leader.losses)
    assert leader.task.done()


async def test_a_server_that_hangs_counts_as_no_renewal(double: ServerDouble, leader: Contender) -> None:
    double.answers.extend(30.0 for _ in range(20))
    await eventually(1, lambda: leader.losses, 3)


async def test_the_loss_is_told_when_it_happens_although_a_call_hangs(server: tuple[ServerDouble, Login]) -> None:
    double, login = server
    async with leading(login, LeaseTimes(duration=5.0, renew=0.6, retry=0.1, call=3.0)) as leader:
        double.answers.extend(30.0 for _ in range(20))
        await eventually(False, lambda: leader.election.held)
        ended = now()
        await eventually(1, lambda: leader.losses)
        assert leader.lost_at - ended < 1.0


async def test_a_renewal_that_is_answered_after_the_lead_lapsed_does_not_bring_it_back(
    server: tuple[ServerDouble, Login],
) -> None:
    """What was refused meanwhile is in no queue: the process must end."""
    double, login = server
    async with leading(login, LeaseTimes(duration=5.0, renew=0.6, retry=0.1, call=2.0)) as leader:
        double.answers.extend([status(500, "InternalError"), status(500, "InternalError"), 0.5])
        assert not await held_again(leader, 0.6)
        await eventually(1, lambda: leader.losses)


async def test_a_process_that_was_frozen_with_the_answer_in_its_hand_does_not_lead_again(
    server: tuple[ServerDouble, Login],
) -> None:
    """Frozen after the answer was read and before it was looked at: no time-out can tell any more."""
    leaders: list[Contender] = []
    frozen: list[bool] = []

    def freeze(verb: str, kind: str, code: int) -> None:
        if verb == "update" and not frozen:
            renewed = leaders[0].election._renewed_at
            assert renewed is not None
            frozen.append(True)
            time.sleep(max(0.0, renewed + 0.65 - now()))

    async with leading(server[1], LeaseTimes(duration=5.0, renew=0.6, retry=0.3, call=2.0), freeze) as leader:
        leaders.append(leader)
        await eventually([True], lambda: frozen)
        assert not leader.election.held
        await eventually(1, lambda: leader.losses)


async def test_a_short_outage_is_survived(double: ServerDouble, leader: Contender) -> None:
    double.answers.extend(status(503, "Unavailable") for _ in range(3))
    await asyncio.sleep(1.2)
    assert leader.election.held
    assert 0 == leader.losses


async def test_a_renewal_whose_answer_is_lost_keeps_the_lead(double: ServerDouble, leader: Contender) -> None:
    assert double.lease is not None
    applied = dict(double.lease["metadata"], resourceVersion="99999")
    double.lease = {**double.lease, "metadata": applied}  # stored, but we never heard of it
    await asyncio.sleep(1.0)
    assert leader.election.held
    assert 0 == leader.losses


async def test_a_lease_taken_by_somebody_else_ends_the_lead(double: ServerDouble, leader: Contender) -> None:
    assert double.lease is not None
    spec = {**double.lease["spec"], "holderIdentity": "somebody"}
    double.lease = {**double.lease, "spec": spec, "metadata": {**double.lease["metadata"], "resourceVersion": "99999"}}
    await eventually(1, lambda: leader.losses)
    assert not leader.election.held
    assert "somebody" == holder(double)


async def test_a_deleted_lease_is_made_anew(double: ServerDouble, leader: Contender) -> None:
    double.lease = None
    await eventually(True, lambda: double.lease is not None)
    await asyncio.sleep(0.3)
    assert leader.election.held
    assert 0 == leader.losses


async def test_two_that_start_together_do_not_both_lead(server: tuple[ServerDouble, Login]) -> None:
    contenders = [Contender(server[1], name) for name in ("one", "two", "three")]
    await asyncio.sleep(1.0)
    assert 1 == sum(contender.election.held for contender in contenders)
    for contender in contenders:
        await contender.end()
