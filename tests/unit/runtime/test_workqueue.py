"""One entry a key, one worker a key, and nothing that was added is forgotten."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from rag_operator.runtime.errors import NotLeading, Unreachable, fault_id
from rag_operator.runtime.workers import Outcome, Workers
from rag_operator.runtime.workqueue import CAP_SECONDS, Level, WorkQueue

from .waiting import eventually


class Clock:
    """A clock that stands until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def queue_with(clock: Callable[[], float], **settings: float) -> WorkQueue[str]:
    return WorkQueue(clock=clock, rng=random.Random(7), **settings)


async def drain(queue: WorkQueue[str]) -> list[str]:
    """All keys whose turn it is now, in order."""
    keys = []
    while queue.depth:
        keys.append((await queue.take()).key)
        queue.done(keys[-1])
    return keys


async def test_a_key_is_there_once() -> None:
    queue = queue_with(Clock())
    for key in "abaab":
        queue.add(key)
    assert ["a", "b"] == await drain(queue)


async def test_a_key_added_while_a_worker_has_it_comes_again_after_that() -> None:
    queue = queue_with(Clock())
    queue.add("a")
    await queue.take()
    queue.add("a")
    queue.add("a")
    assert 0 == queue.depth
    queue.done("a")
    assert ["a"] == await drain(queue)


async def test_the_earliest_wish_wins() -> None:
    clock = Clock()
    queue = queue_with(clock)
    queue.add("a", 60)
    queue.add("a", 5)
    queue.add("a", 30)
    clock.now += 5
    assert ["a"] == await drain(queue)
    clock.now += 100
    assert [] == await drain(queue)


async def test_a_wish_for_now_overtakes_one_for_later() -> None:
    clock = Clock()
    queue = queue_with(clock)
    queue.add("a", 60)
    queue.add("a")
    assert ["a"] == await drain(queue)
    clock.now += 100
    assert [] == await drain(queue)


async def test_a_later_wish_does_not_hold_back_a_ready_key() -> None:
    queue = queue_with(Clock())
    queue.add("a")
    queue.add("a", 60)
    assert ["a"] == await drain(queue)


async def test_low_keys_yield_but_do_not_starve() -> None:
    queue = queue_with(Clock())
    queue.add("low", level=Level.IDLE)
    for number in range(20):
        queue.add(f"h{number}")
    assert 8 == (await drain(queue)).index("low")


async def test_a_low_key_that_changes_is_no_longer_low() -> None:
    queue = queue_with(Clock())
    for key in ("x", "y", "a"):
        queue.add(key, level=Level.IDLE)
    queue.add("h")
    queue.add("a")
    assert ["h", "a", "x", "y"] == await drain(queue)


async def test_what_follows_comes_after_what_is_wanted_and_before_what_nobody_waits_for() -> None:
    queue = queue_with(Clock())
    for level in (Level.IDLE, Level.FOLLOW, Level.URGENT):
        for number in (1, 2):
            queue.add(f"{level.name} {number}", level=level)
    assert ["URGENT 1", "URGENT 2", "FOLLOW 1", "FOLLOW 2", "IDLE 1", "IDLE 2"] == await drain(queue)


async def test_no_level_starves() -> None:
    queue = queue_with(Clock())
    for level in Level:
        for number in range(40):
            queue.add(f"{level.name} {number}", level=level)
    order = await drain(queue)
    assert [f"URGENT {number}" for number in range(8)] == order[:8]
    assert {"FOLLOW 0", "IDLE 0"} == set(order[8:10])
    assert order.index("URGENT 39") < 60


async def test_back_off_doubles_up_to_its_cap_and_starts_anew() -> None:
    clock = Clock()
    queue = queue_with(clock)
    pauses = [queue.retry("a") for _ in range(30)]
    for number, pause in enumerate(pauses):
        whole = min(0.2 * 2**number, CAP_SECONDS)
        assert whole / 2 <= pause <= whole
    assert len(set(pauses)) > 20, "without jitter all failing keys would come back together"
    queue.forget("a")
    assert queue.retry("a") <= 0.2


async def test_a_wish_for_next_month_that_is_told_at_each_pass_is_kept_once() -> None:
    clock = Clock()
    queue = queue_with(clock)
    queue.add("soon", 5000)  # what is behind it in time cannot be seen to be stale
    for key in "abc" * 1000:
        queue.add(key)
        await drain(queue)
        queue.add(key, 30 * 86400)
        clock.now += 1
    assert len(queue._heap) < 100
    clock.now += 30 * 86400
    assert ["soon", "a", "b", "c"] == await drain(queue)


async def test_nothing_waits_for_a_worker_before_there_are_any() -> None:
    """A stand-by's caches fill its queue long before it leads."""
    clock = Clock()
    queue = queue_with(clock)
    queue.add("a")
    queue.add("b")
    clock.now += 3600
    assert 0 == (await queue.take()).waited
    clock.now += 5
    assert 5 == (await queue.take()).waited


async def test_taking_waits_for_the_time() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", 0.15)
    began = asyncio.get_running_loop().time()
    assert "a" == (await asyncio.wait_for(queue.take(), 2)).key
    assert asyncio.get_running_loop().time() - began >= 0.14


async def test_a_waiting_taker_is_woken_by_an_earlier_key() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("late", 60)
    taker = asyncio.create_task(queue.take())
    await asyncio.sleep(0.02)
    queue.add("early")
    assert "early" == (await asyncio.wait_for(taker, 2)).key


async def test_a_key_that_comes_again_goes_to_whoever_waits() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.take()
    other = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.add("a")
    await asyncio.sleep(0.01)
    assert not other.done()
    queue.done("a")
    assert "a" == (await asyncio.wait_for(other, 1)).key


@pytest.mark.parametrize("seed", range(25))
async def test_every_change_is_seen_and_no_key_is_with_two_workers(seed: int) -> None:
    """Random additions while random workers run: the last change of each key is seen by a pass that began after it."""
    rng = random.Random(seed)
    queue: WorkQueue[str] = WorkQueue(first=0.001, cap=0.01)
    world = dict.fromkeys("abcde", 0)
    seen = dict.fromkeys("abcde", 0)
    busy: set[str] = set()
    twice: set[str] = set()
    passes = 0

    async def handle(key: str) -> float | None:
        nonlocal passes
        passes += 1
        twice.update(busy & {key})  # an assertion here would be taken for a bug of the pass
        busy.add(key)
        version = world[key]
        await asyncio.sleep(rng.choice([0, 0, 0.001]))
        busy.discard(key)
        if rng.random() < 0.2:
            raise Unreachable("again")
        seen[key] = version
        return None

    run = asyncio.create_task(Workers(queue, handle).run(4))
    for _ in range(120):
        key = rng.choice("abcde")
        world[key] += 1
        queue.add(key, rng.choice([0, 0, 0, 0.002]), level=rng.choice(list(Level)))
        if rng.random() < 0.3:
            await asyncio.sleep(rng.choice([0, 0.001]))
    await eventually(world, lambda: seen)
    assert set() == twice
    assert not run.done()
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def outcomes(result: Callable[[], float | None]) -> tuple[list[str], WorkQueue[str], list[BaseException]]:
    """What one pass with this result leads to."""
    queue: WorkQueue[str] = WorkQueue(first=30)
    told: list[Outcome] = []
    bugs: list[BaseException] = []

    async def handle(key: str) -> float | None:
        return result()

    async def on_bug(key: str, error: BaseException) -> None:
        bugs.append(error)
        raise Unreachable("the report is lost too")

    workers = Workers(queue, handle, on_outcome=lambda key, outcome: told.append(outcome), on_bug=on_bug)
    run = asyncio.create_task(workers.run(2))
    queue.add("a")
    await eventually(1, lambda: len(told))
    assert not run.done(), "one key's trouble must not end the workers"
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    return [outcome.result for outcome in told], queue, bugs


def raising(error: Exception) -> Callable[[], float | None]:
    def fail() -> float | None:
        raise error

    return fail


async def test_a_settled_key_rests() -> None:
    results, queue, _ = await outcomes(lambda: None)
    assert (["done"], 0) == (results, queue.waiting)


async def test_a_second_look_is_kept() -> None:
    results, queue, _ = await outcomes(lambda: 5.0)
    assert (["again"], 1) == (results, queue.waiting)


async def test_a_bug_in_the_report_of_a_bug_ends_nothing() -> None:
    queue: WorkQueue[str] = WorkQueue(first=30)
    seen: list[str] = []

    async def handle(key: str) -> float | None:
        seen.append(key)
        raise ValueError("bug")

    async def on_bug(key: str, error: BaseException) -> None:
        raise KeyError("another bug")

    run = asyncio.create_task(Workers(queue, handle, on_bug=on_bug).run(1))
    for key in ("a", "b"):
        queue.add(key)
    await eventually(["a", "b"], lambda: seen)
    assert not run.done()
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


def test_a_bug_has_the_same_id_on_every_attempt_and_tells_no_data() -> None:
    ids = set()
    for data in ("a", "b"):
        with pytest.raises(ValueError, match=data) as caught:
            raising(ValueError(data))()
        ids.add(fault_id(caught.value))
    assert len(ids) == 1


@pytest.mark.parametrize("error", [Unreachable("x"), ValueError("bug")])
async def test_a_failing_key_backs_off(error: Exception) -> None:
    results, queue, bugs = await outcomes(raising(error))
    assert (1, 1) == (queue.waiting, queue.failures("a"))
    assert (["error"] if bugs else ["retry"]) == results
    assert isinstance(error, ValueError) == bool(bugs)


async def test_a_pass_that_lost_the_lead_is_not_repeated() -> None:
    results, queue, _ = await outcomes(raising(NotLeading("x")))
    assert (["retry"], 0) == (results, queue.waiting)


async def test_what_encloses_a_pass_encloses_its_failure_too(caplog: pytest.LogCaptureFixture) -> None:
    queue: WorkQueue[str] = WorkQueue(first=30)
    inside: list[bool] = []
    within = False

    @contextmanager
    def around(key: str) -> Iterator[None]:
        nonlocal within
        within = True
        yield
        within = False

    async def on_bug(key: str, error: BaseException) -> None:
        inside.append(within)

    async def fail(key: str) -> float | None:
        raise ValueError("bug")

    run = asyncio.create_task(Workers(queue, fail, on_bug=on_bug, around=around).run(1))
    queue.add("a")
    await eventually([True], lambda: inside)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert "this is a bug" in caplog.text
    assert not within
