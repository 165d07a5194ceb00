"""One stand-in for Qdrant for all tests here; each test has a collection of its own."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from rag_contract.environment import IndexerEnvironment
from rag_indexer.progress import Progress
from rag_indexer.servers import Servers
from rag_indexer.store import Store

from tests.qdrant_standin.fixture import Standin, start_standin

from .support import settings

KEY = "write-key-for-tests"
READ_KEY = "read-key-for-tests"


@pytest.fixture(scope="session")
def qdrant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    with start_standin(tmp_path_factory.mktemp("qdrant"), api_key=KEY, read_only_api_key=READ_KEY) as server:
        yield server


class Bench:
    """One collection: its settings, its store, and the raw answers of the server about it."""

    def __init__(self, server: Standin, collection: str) -> None:
        self.server = server
        self.collection = collection
        self.store = Store(server.url, KEY, collection, wait_seconds=5)
        self.servers = Servers(self.store)
        self.progress = Progress()

    def settings(self, **changes: Any) -> IndexerEnvironment:
        return settings(**({"qdrant_url": self.server.url, "collection": self.collection} | changes))

    async def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """A raw request below the collection, with the key that may write."""
        async with aiohttp.ClientSession(headers={"api-key": KEY}) as session:
            url = f"{self.server.url}/collections/{self.collection}{path}"
            async with session.request(method, url, json=body) as answer:
                content: dict[str, Any] = await answer.json()
                return content

    async def count(self) -> int:
        answer = await self.ask("POST", "/points/count", {"exact": True})
        return int(answer["result"]["count"])

    async def stamp(self) -> dict[str, Any]:
        answer = await self.ask("GET", "")
        found: dict[str, Any] = answer["result"]["config"]["metadata"]["rag"]
        return found


@pytest.fixture
async def bench(qdrant: Standin, request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    made = Bench(qdrant, "".join(c if c.isalnum() else "-" for c in request.node.name))
    yield made
    await made.store.close()
