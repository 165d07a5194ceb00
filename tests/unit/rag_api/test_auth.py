"""Keys, tenants and roles: who sees what, whatever happens to the file."""

import asyncio
import random
import resource
from pathlib import Path
from typing import Any

import pytest
from rag_api.auth import KeyTable
from rag_api.errors import Unauthorized
from rag_contract.identity import SPARSE_VECTOR

from . import corpus
from .conftest import Store
from .doubles import answering, source
from .doubles import store as store_double
from .harness import KEY, Answer, Api, Folder, api_key, revision, serving

TENANTS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def tenants(store: Store) -> int:
    """A collection in which every tenant has its own code word, for everybody, for HR and for the board."""
    points = [
        corpus.chunk(f"The secret word of the {part} is {tenant}-{part}.", tenant=tenant, roles=[role])
        for tenant in TENANTS
        for part, role in (("office", "*"), ("salaries", "hr"), ("takeover", "board"))
    ]
    asyncio.run(corpus.build(store.url, "tenants", points, corpus.stamp(points), store.write_key))
    return len(points)


def _keys() -> list[tuple[str, str, tuple[str, ...]]]:
    roles: tuple[tuple[str, ...], ...] = ((), ("hr",), ("hr", "board"))
    return [(f"key-{tenant}-{len(each)}", tenant, each) for tenant in TENANTS for each in roles]


async def test_tenants_and_roles_never_mix_under_load(
    store: Store, folder: Folder, tmp_path: Path, tenants: int
) -> None:
    folder.allow(*(api_key(key, key, tenant=tenant, roles=roles) for key, tenant, roles in _keys()))
    folder.serve(revision(collection="tenants", chunks=tenants))
    chance = random.Random(7)

    async def one(api: Api, key: str, tenant: str, roles: tuple[str, ...]) -> None:
        part, needed = chance.choice([("office", None), ("salaries", "hr"), ("takeover", "board")])
        question = f"What is the secret word of the {part}?"
        if chance.random() < 0.5:
            answer = (await api.ask(question, key=key, top_k=20)).json
            seen = str(answer)
        else:
            told = await api.events(question, key=key, top_k=20)
            seen = str(told)
        others = [other for other in TENANTS if other != tenant]
        assert not any(f"{other}-" in seen for other in others)
        assert (f"{tenant}-{part}" in seen) == (needed is None or needed in roles)

    async with serving(tmp_path, store.url, qdrant_key=store.key, max_concurrent_requests=100) as api:
        for _ in range(4):
            await asyncio.gather(*(one(api, *each) for each in _keys() * 3))


async def test_a_role_named_everybody_gives_nothing_more(
    store: Store, folder: Folder, tmp_path: Path, tenants: int
) -> None:
    folder.allow(api_key("star", KEY, tenant="red", roles=("*",)))
    folder.serve(revision(collection="tenants", chunks=tenants))
    async with serving(tmp_path, store.url, qdrant_key=store.key) as api:
        answer = (await api.ask("What is the secret word of the takeover?", top_k=20)).json
    assert "takeover" not in str(answer)


async def test_the_filter_is_part_of_the_query(folder: Folder, tmp_path: Path) -> None:
    asked: list[dict[str, object]] = []

    async def remember(request: object) -> object:
        asked.append(await request.json())  # type: ignore[attr-defined]
        return await answering()(request)  # type: ignore[arg-type]

    folder.allow(api_key("k", KEY, tenant="red", roles=("hr",)))
    folder.serve(revision())
    async with store_double(remember) as url, serving(tmp_path, url) as api:  # type: ignore[arg-type]
        await api.ask("Anything?", top_k=4)
    (body,) = asked
    assert body["filter"] == {
        "must": [{"key": "tenant", "match": {"value": "red"}}, {"key": "roles", "match": {"any": ["*", "hr"]}}]
    }
    assert (body["limit"], body["using"]) == (4, SPARSE_VECTOR)
    assert "prefetch" not in body


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
async def test_both_headers_carry_the_key(folder: Folder, tmp_path: Path, header: str) -> None:
    folder.serve(revision())
    value = f"bearer  {KEY}" if header == "authorization" else KEY
    async with store_double(answering(source("x"))) as url, serving(tmp_path, url) as api:
        answer = await api.send("POST", "/query", json={"question": "x"}, headers={header: value})
    assert answer.status == 200


async def test_without_authentication_everybody_is_the_default_tenant(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision())
    (folder.keys / "keys.json").unlink()
    async with (
        store_double(answering(source("Anything goes here."))) as url,
        serving(tmp_path, url, auth_mode="None") as api,
    ):
        answer = await api.send("POST", "/query", json={"question": "Anything goes?"})
        ready = await api.send("GET", "/ready")
    assert (200, 200) == (answer.status, ready.status)


async def _becomes(api: Api, status: int, key: str = KEY) -> bool:
    for _ in range(500):
        if (await api.ask("Anything?", key=key)).status == status:
            return True
        await asyncio.sleep(0.02)
    return False


async def test_keys_are_reloaded_kept_and_taken_away(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision())
    async with store_double(answering()) as url, serving(tmp_path, url) as api:
        assert await _becomes(api, 200)
        folder.allow(api_key("default", KEY), api_key("second", "another"))
        assert await _becomes(api, 200, "another")
        folder.allow(api_key("second", "another"))
        assert await _becomes(api, 401)
        for broken in ("{", "[]]", '[{"id": "x"}]', '[{"id": "x", "sha256": "%s", "secret": "s"}]' % ("0" * 64)):
            folder.write_keys(broken)
            check = await _checked(api, "keys.json cannot be used")
            assert check["ok"]
            assert (await api.ask("Anything?", key="another")).status == 200
            folder.allow(api_key("second", "another"))
            await _checked(api, "")
        (folder.keys / "keys.json").unlink()
        assert await _becomes(api, 503, "another")
        check = _check(await api.send("GET", "/ready"))
        assert not check["ok"]
        assert "missing" in check["message"]


async def _checked(api: Api, word: str) -> dict[str, Any]:
    """The check as soon as its message holds the word, or is empty for none."""
    async with asyncio.timeout(20):
        while True:
            check = _check(await api.send("GET", "/ready"))
            if word in check["message"] and bool(word) == bool(check["message"]):
                return check
            await asyncio.sleep(0.02)


def _check(answer: Answer) -> dict[str, Any]:
    checks: list[dict[str, Any]] = answer.json["checks"]
    return next(check for check in checks if check["name"] == "api_keys")


def test_keys_that_could_not_be_read_in_a_bad_moment_are_read_in_the_next(folder: Folder) -> None:
    """No file descriptor is left when a key is taken away."""
    table = KeyTable(folder.keys)
    table.refresh()
    folder.allow(api_key("second", "another"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        table.refresh()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "cannot be used (OSError)" in table.check().message
    assert _id(table, KEY) == "default"
    table.refresh()
    assert (_id(table, "another"), table.check().message) == ("second", "")
    with pytest.raises(Unauthorized):
        _id(table, KEY)


def test_a_table_that_is_too_large_is_not_read_again_and_again(folder: Folder) -> None:
    table = KeyTable(folder.keys)
    table.refresh()
    folder.write_keys(" " * (2 * 1024 * 1024 + 1))
    table.refresh()
    assert "larger than 2097152 bytes" in table.check().message
    assert _id(table, KEY) == "default"
    assert not table._file.changed()


def _id(table: KeyTable, key: str) -> str:
    return table.authenticate({"headers": [(b"x-api-key", key.encode())]}).key_id


def test_a_table_in_which_a_key_appears_twice_is_refused(folder: Folder) -> None:
    folder.allow(api_key("a", KEY), api_key("a", "other"))
    table = KeyTable(folder.keys)
    table.refresh()
    assert "appears twice" in table.check().message
    assert not table.check().ok
