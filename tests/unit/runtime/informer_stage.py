"""An informer on the double of the API server, and what it reported."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from rag_operator.runtime.backoff import Backoff
from rag_operator.runtime.client import Client
from rag_operator.runtime.informer import Informer
from rag_operator.runtime.kinds import CONFIG_MAP

from .server_double import ServerDouble, running
from .waiting import eventually

Json = dict[str, Any]


@dataclass
class Stage:
    """A server, an informer that watches it, and what the informer reported."""

    server: ServerDouble
    informer: Informer
    changes: list[tuple[Json | None, Json | None]] = field(default_factory=list)

    def values(self) -> dict[str, str]:
        return {obj["metadata"]["name"]: obj["data"]["value"] for obj in self.informer.items()}

    async def becomes(self, **expected: str) -> None:
        """The cache, and the sum of what was reported, are both as expected."""
        await eventually(expected, self.values)
        told: dict[str, str] = {}
        for old, new in self.changes:
            if new is not None:
                told[new["metadata"]["name"]] = new["data"]["value"]
            elif old is not None:
                del told[old["metadata"]["name"]]
        assert expected == told


@asynccontextmanager
async def stage(*names: str, silence: float = 30.0, page_size: int = 500) -> AsyncIterator[Stage]:
    async with running() as (server, login), Client(login, silence_seconds=silence, request_seconds=2) as client:
        for name in names:
            server.put(name, "old")
        changes: list[tuple[Json | None, Json | None]] = []
        informer = Informer(
            client,
            CONFIG_MAP,
            namespace="team",
            on_change=lambda old, new: changes.append((old, new)),
            index=lambda obj: obj["data"]["value"],
            page_size=page_size,
            backoff=Backoff(first=0.02, cap=0.1),
        )
        task = asyncio.create_task(informer.run())
        try:
            await asyncio.wait_for(informer.synced.wait(), 5)
            await eventually(1, lambda: server.watchers)
            yield Stage(server, informer, changes)
            assert not task.done(), "the informer died"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def rewind(it: Stage) -> None:
    """Put the store back to an earlier time: other contents, lower versions, no history."""
    it.server.put("a", "late")
    await it.becomes(a="late", b="old")
    it.server.version = 50
    it.server.objects.clear()
    it.server.history.clear()
    it.server.put("a", "restored", silently=True)
