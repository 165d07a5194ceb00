"""Secrets that may not be read: made once, and asked for by a create that stores nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from rag_operator.cluster.secret_maker import SecretMaker
from rag_operator.runtime.errors import ApiError, RuntimeFault, Unreachable

Json = dict[str, Any]


class Server:
    """A double of the client. `error` is raised after the next create was carried out."""

    def __init__(self) -> None:
        self.stored: dict[str, Json] = {}
        self.calls: list[str] = []
        self.error: RuntimeFault | None = None

    async def create(self, obj: Json, *, dry_run: bool = False) -> Json:
        self.calls.append("try" if dry_run else "create")
        if obj["name"] in self.stored:
            raise ApiError(409, "AlreadyExists")
        if not dry_run:
            self.stored[obj["name"]] = obj
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return obj


def make(token: Callable[[], str]) -> Json:
    return {"name": "key", "content": token()}


async def lost(maker: SecretMaker) -> str:
    return await maker.lost("u", "key", make)


async def create(maker: SecretMaker, *, known: bool = True) -> None:
    await maker.create("u", "key", make, known=known)


async def test_nobody_asks_for_what_is_not_missed() -> None:
    server = Server()
    maker = SecretMaker(server)
    await create(maker, known=False)
    await create(maker)
    assert "" == await lost(maker)
    assert ["create"] == server.calls


async def test_one_loss_has_one_name_until_it_is_made_up_for() -> None:
    server = Server()
    maker = SecretMaker(server)
    maker.forget("u", "key")
    first = await lost(maker)
    maker.forget("u", "key")  # pods go on saying so
    assert first
    assert first == await lost(maker)
    assert {} == server.stored
    await create(maker)
    assert "" == await lost(maker)
    server.stored.clear()
    maker.forget("u", "key")
    assert await lost(maker) not in {"", first}


async def test_what_is_there_was_not_lost() -> None:
    server = Server()
    server.stored["key"] = {}
    maker = SecretMaker(server)
    maker.forget("u", "key")
    assert "" == await lost(maker)
    await create(maker)
    assert ["try"] == server.calls


async def test_a_making_that_was_not_heard_of_is_no_second_loss() -> None:
    server = Server()
    maker = SecretMaker(server)
    maker.forget("u", "key")
    assert await lost(maker)
    server.error = Unreachable("the connection broke")
    with pytest.raises(Unreachable):
        await create(maker)
    assert "" == await lost(maker)
    assert ["try", "create", "try"] == server.calls


async def test_a_refusal_is_raised_and_tried_again() -> None:
    server = Server()
    maker = SecretMaker(server)
    server.error = ApiError(403, "Forbidden")
    with pytest.raises(ApiError):
        await create(maker, known=False)
    server.stored.clear()
    await create(maker, known=True)
    assert ["create", "create"] == server.calls
