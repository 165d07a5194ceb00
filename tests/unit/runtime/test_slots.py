"""Who comes first is served first; nobody is lost, whoever gives up."""

import asyncio

from rag_operator.runtime.slots import Slots, rank


class Hall:
    """Some who want in, and the order in which they were inside."""

    def __init__(self, count: int) -> None:
        self.slots = Slots(count)
        self.order: list[str] = []
        self.inside = self.most = 0

    def come(self, name: str, turn: int) -> asyncio.Task[None]:
        rank.set(turn)
        return asyncio.create_task(self._pass(name))

    async def _pass(self, name: str) -> None:
        async with self.slots.one():
            self.order.append(name)
            self.inside += 1
            self.most = max(self.most, self.inside)
            await asyncio.sleep(0.005)
            self.inside -= 1


async def test_the_second_request_of_an_early_pass_comes_before_the_first_of_a_late_one() -> None:
    hall = Hall(1)
    tasks = [hall.come("first", 1)]
    await asyncio.sleep(0)
    tasks += [hall.come(name, turn) for name, turn in (("late a", 3), ("late b", 3), ("early", 2), ("nobody's", 0))]
    await asyncio.gather(*tasks)
    assert ["first", "nobody's", "early", "late a", "late b"] == hall.order


async def test_no_more_than_so_many_at_a_time() -> None:
    hall = Hall(3)
    await asyncio.gather(*(hall.come(str(number), 0) for number in range(20)))
    assert (20, 3) == (len(hall.order), hall.most)


async def test_who_gives_up_leaves_no_slot_behind() -> None:
    hall = Hall(1)
    first, second, third = hall.come("first", 1), hall.come("second", 1), hall.come("third", 1)
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(first, second, third, return_exceptions=True)
    assert ["first", "third"] == hall.order


async def test_who_gives_up_at_the_very_moment_hands_the_slot_on() -> None:
    hall = Hall(1)
    holder = hall.slots.one()
    await holder.__aenter__()
    waiting, after = hall.come("waiting", 1), hall.come("after", 2)
    await asyncio.sleep(0)
    await holder.__aexit__(None, None, None)
    waiting.cancel()
    await asyncio.wait_for(asyncio.gather(waiting, after, return_exceptions=True), 1)
    assert ["after"] == hall.order
