"""Old collections go, the alias moves last: against the stand-in for Qdrant, whose aliases are proven against recordings."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rag_contract.environment import SweepEnvironment
from rag_contract.reports import SweepResult
from rag_indexer import build
from rag_indexer.__main__ import main
from rag_indexer.catalog import Catalog
from rag_indexer.connection import Connection
from rag_indexer.errors import IndexFailure
from rag_indexer.progress import Progress
from rag_indexer.servers import Servers
from rag_indexer.store import Store
from rag_indexer.sweep import sweep

from tests.qdrant_standin.fixture import Standin

from .conftest import KEY
from .support import settings, write

DOCUMENTS = {"a.md": "# Leave\n\nA full-time employee gets 18 days of annual leave."}
HASHES = {version: f"{version}-hash".ljust(16, "0") for version in ("v1", "v2", "v3")}


class Shelf:
    """Collections of one service, each test with an alias of its own."""

    def __init__(self, server: Standin, alias: str, folder: Path) -> None:
        self.url, self.alias, self.folder = server.url, alias, write(folder, DOCUMENTS)
        self.connection = Connection(server.url, KEY, wait_seconds=5)
        self.catalog = Catalog(self.connection, alias)

    def name(self, version: str) -> str:
        return f"{self.alias}.{version}.{HASHES[version]}"

    def names(self, *versions: str) -> list[str]:
        return [self.name(version) for version in versions]

    async def build(self, version: str, **changes: Any) -> str:
        """What the index Job does; returns the collection."""
        store = Store(self.url, KEY, self.name(version), wait_seconds=5)
        chosen = settings(
            qdrant_url=self.url,
            collection=self.name(version),
            version=version,
            content_hash=HASHES[version],
            documents_path=str(self.folder),
            **changes,
        )
        try:
            result = await build.build(chosen, Servers(store), Progress())
        finally:
            await store.close()
        assert result.outcome == "Succeeded"
        return result.alias

    async def abandon(self, version: str) -> None:
        """What a build leaves that was killed before its end."""
        store = Store(self.url, KEY, self.name(version), wait_seconds=5)
        chosen = settings(collection=self.name(version), version=version, content_hash=HASHES[version])
        await store.create(build.new_stamp(chosen))
        await store.close()

    def settings(self, target: str | None, *keep: str) -> SweepEnvironment:
        return SweepEnvironment(
            alias=self.alias, target=target, keep=",".join(keep), qdrant_url=self.url, wait_seconds=5
        )

    async def sweep(self, target: str | None, *keep: str) -> SweepResult:
        return await sweep(self.settings(target, *keep), self.connection, Progress())

    async def there(self) -> list[str]:
        return [one.name for one in await self.catalog.collections()]


@pytest.fixture
async def shelf(qdrant: Standin, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shelf]:
    made = Shelf(qdrant, f"team.{''.join(c if c.isalnum() else '-' for c in request.node.name)}", tmp_path / "docs")
    yield made
    await made.connection.close()


async def test_what_is_not_kept_goes_and_the_alias_moves(shelf: Shelf) -> None:
    for version in ("v1", "v2"):
        await shelf.build(version)
    await shelf.abandon("v3")
    await shelf.catalog.promote(shelf.name("v1"))
    result = await shelf.sweep(shelf.name("v2"), *shelf.names("v2"))
    assert (result.alias, result.dropped) == (shelf.name("v2"), 2)
    assert result.message == f"dropped: {shelf.name('v1')}, {shelf.name('v3')}. "
    assert await shelf.there() == shelf.names("v2")
    assert await shelf.catalog.named() == shelf.name("v2")
    again = await shelf.sweep(shelf.name("v2"), *shelf.names("v2"))
    assert (again.alias, again.dropped, again.message) == (shelf.name("v2"), 0, "")


async def test_what_is_kept_stays_though_the_alias_moves_away(shelf: Shelf) -> None:
    for version in ("v1", "v2"):
        await shelf.build(version)
    await shelf.sweep(shelf.name("v2"), *shelf.names("v1", "v2"))
    await shelf.sweep(shelf.name("v1"), *shelf.names("v1", "v2"))
    assert await shelf.there() == shelf.names("v1", "v2")
    assert await shelf.catalog.named() == shelf.name("v1")


async def test_other_services_of_the_same_store_are_left_alone(shelf: Shelf) -> None:
    """One has a name that begins with ours, one was made by no indexer, one bears the stamp of another content."""
    other = Store(shelf.url, KEY, f"{shelf.alias}-2.v1.{HASHES['v1']}", wait_seconds=5)
    stamp = build.new_stamp(settings(content_hash=HASHES["v1"]))
    await other.create(stamp)
    copied = Store(shelf.url, KEY, f"{shelf.alias}.mine", wait_seconds=5)
    await copied.create(stamp)
    await other.close()
    await copied.connection.client.create_collection(f"{shelf.alias}.by-hand", vectors_config={})
    await copied.close()
    result = await shelf.sweep(None)
    assert (result.dropped, result.alias) == (0, "")
    assert result.message == f"left, as no indexer made it: {shelf.alias}.by-hand, {shelf.alias}.mine. "
    assert await Catalog(shelf.connection, f"{shelf.alias}-2").collections()


async def test_nothing_is_dropped_while_the_alias_cannot_follow(shelf: Shelf) -> None:
    await shelf.build("v1")
    await shelf.abandon("v2")
    for target in (shelf.name("v2"), shelf.name("v3")):
        with pytest.raises(IndexFailure, match="not there, or not complete") as failure:
            await shelf.sweep(target)
        assert (failure.value.reason, failure.value.retryable) == ("CollectionLost", True)
    assert await shelf.there() == shelf.names("v1", "v2")


async def test_an_alias_of_somebody_else_is_not_taken(shelf: Shelf) -> None:
    await shelf.build("v1")
    foreign = Catalog(shelf.connection, shelf.alias)
    store = Store(shelf.url, KEY, f"foreign-{shelf.alias}", wait_seconds=5)
    await store.create(build.new_stamp(settings()))
    await store.close()
    await foreign.promote(f"foreign-{shelf.alias}")
    with pytest.raises(IndexFailure, match="not this service's") as failure:
        await shelf.sweep(shelf.name("v1"))
    assert (failure.value.reason, failure.value.retryable) == ("AliasTaken", False)
    assert await shelf.catalog.named() == f"foreign-{shelf.alias}"
    await shelf.connection.client.delete_collection(f"foreign-{shelf.alias}")


async def test_an_alias_that_moves_meanwhile_is_left_as_it_is(shelf: Shelf) -> None:
    """Compare and set: between the first look and the move somebody sets it."""
    for version in ("v1", "v2"):
        await shelf.build(version)
    somebody = Catalog(shelf.connection, shelf.alias)

    class Raced(Catalog):
        looks = 0

        async def named(self) -> str:
            self.looks += 1
            before = await super().named()
            if self.looks == 1:
                await somebody.promote(shelf.name("v1"))
            return before

    with pytest.raises(IndexFailure, match="moved by somebody else") as failure:
        await Raced(shelf.connection, shelf.alias).promote(shelf.name("v2"))
    assert failure.value.retryable
    assert await shelf.catalog.named() == shelf.name("v1")


async def test_the_first_build_names_its_collection_and_later_ones_do_not(shelf: Shelf) -> None:
    assert await shelf.build("v1", alias=shelf.alias) == shelf.name("v1")
    assert await shelf.build("v2") == ""
    assert await shelf.catalog.named() == shelf.name("v1")
    assert await shelf.build("v1", alias=shelf.alias) == shelf.name("v1")


async def test_a_build_does_not_fail_for_the_alias(shelf: Shelf) -> None:
    await shelf.connection.client.create_collection(shelf.alias, vectors_config={})
    assert await shelf.build("v1", alias=shelf.alias) == ""
    await shelf.connection.client.delete_collection(shelf.alias)


def test_the_program_sweeps_and_says_so(qdrant: Standin, tmp_path: Path) -> None:
    ended = tmp_path / "end"
    chosen = SweepEnvironment(alias="team.none", qdrant_url=qdrant.url, wait_seconds=5, termination_path=str(ended))
    assert main(["sweep"], chosen.to_env() | {"RAG_QDRANT_API_KEY": KEY}) == 0
    assert SweepResult.model_validate_json(ended.read_text()).outcome == "Succeeded"
    assert main(["sweep"], chosen.to_env() | {"RAG_QDRANT_API_KEY": "wrong"}) == 1
    assert SweepResult.model_validate_json(ended.read_text()).reason == "VectorStoreUnauthorized"
    assert main(["sweep"], {"RAG_SWEEP_TERMINATION_PATH": str(ended)}) == 2
    assert SweepResult.model_validate_json(ended.read_text()).reason == "InvalidSettings"
