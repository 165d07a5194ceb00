"""Rates and slots."""

import asyncio
import random

import pytest
from rag_api.errors import ConcurrencyLimit, RateLimited
from rag_api.limits import RateLimit, Slots


class Clock:
    """A clock that a test sets, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_full_bucket_allows_a_burst_and_then_an_even_rate() -> None:
    clock = Clock()
    rate = RateLimit(60, clock)
    for _ in range(60):
        rate.take("a")
    with pytest.raises(RateLimited) as refused:
        rate.take("a")
    assert refused.value.retry_after == 2
    clock.now += 1.01
    rate.take("a")
    with pytest.raises(RateLimited):
        rate.take("a")


def test_after_the_time_it_names_a_client_is_let_in() -> None:
    for per_minute in (1, 7, 60, 1000):
        clock = Clock()
        rate = RateLimit(per_minute, clock)
        for _ in range(per_minute):
            rate.take("a")
        with pytest.raises(RateLimited) as refused:
            rate.take("a")
        clock.now += refused.value.retry_after or 0
        rate.take("a")


def test_rest_saves_up_no_more_than_one_burst() -> None:
    clock = Clock()
    rate = RateLimit(2, clock)
    rate.take("a")
    clock.now += 86_400
    rate.take("a")
    rate.take("a")
    with pytest.raises(RateLimited):
        rate.take("a")


def test_keys_do_not_share_a_bucket_and_zero_is_no_limit() -> None:
    rate = RateLimit(1, Clock())
    rate.take("a")
    rate.take("b")
    unlimited = RateLimit(0, Clock())
    assert {()} == {unlimited.take("a") for _ in range(1000)}


async def test_slots_are_never_exceeded_nor_lost() -> None:
    """Random work, waits and cancellations; afterwards every slot is free again."""
    chance = random.Random(3)
    slots = Slots(3, 0.02)
    at_work = most = 0

    async def one() -> None:
        nonlocal at_work, most
        try:
            await slots.acquire()
        except ConcurrencyLimit:
            return
        try:
            at_work += 1
            most = max(most, at_work)
            await asyncio.sleep(chance.random() * 0.01)
        finally:
            at_work -= 1
            slots.release()

    for _ in range(40):
        tasks = [asyncio.create_task(one()) for _ in range(12)]
        await asyncio.sleep(chance.random() * 0.01)
        for task in chance.sample(tasks, 4):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert (3, 0, 0) == (most, slots.used, slots.waiting)


async def test_the_first_to_wait_is_the_first_to_go() -> None:
    slots = Slots(1, 1.0)
    await slots.acquire()
    order: list[int] = []

    async def one(number: int) -> None:
        await slots.acquire()
        order.append(number)
        slots.release()

    tasks = [asyncio.create_task(one(number)) for number in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(ConcurrencyLimit):
        await asyncio.gather(*(slots.acquire() for _ in range(5)))
    slots.release()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]


async def test_a_slot_handed_over_in_the_moment_of_leaving_goes_on() -> None:
    slots = Slots(1, 5.0)
    await slots.acquire()
    leaving = asyncio.create_task(slots.acquire())
    await asyncio.sleep(0)
    slots.release()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert (0, 0) == (slots.used, slots.waiting)
