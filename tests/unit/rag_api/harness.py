"""The API as it is hosted, on a socket of its own, with files and seams that a test chooses."""

import asyncio
import hashlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from rag_api.app import Application, Seams, create_app
from rag_api.protocol import BoundedProtocol
from rag_api.releases import SPOKEN
from rag_api.server import Server, server
from rag_api.settings import Settings
from rag_contract.environment import API_KEYS_FILE, ApiEnvironment, ApiKey
from rag_contract.release_table import (
    FILE_NAME,
    Endpoint,
    IndexRelease,
    ModelRelease,
    Policy,
    PromptRelease,
    ReleaseTable,
    Retrieval,
    Revision,
)

KEY = "a-client-key"
NOWHERE = Endpoint(url="http://127.0.0.1:9", model="rag")
REFUSAL = "Nothing in the documents says so."
JSON = {"content-type": "application/json"}


def api_key(identifier: str, key: str, **fields: Any) -> ApiKey:
    """An entry of keys.json for a key in clear."""
    return ApiKey(id=identifier, sha256=hashlib.sha256(key.encode()).hexdigest(), **fields)


def revision(
    number: int = 1, weight: int = 100, collection: str = "handbook", chunks: int = 0, **changes: Any
) -> Revision:
    """A revision of the extractive runtime."""
    made = Revision(
        number=number,
        weight=weight,
        prompt=PromptRelease(version=f"prompt-{number}", hash="0" * 8, system="system", refusal=REFUSAL),
        index=IndexRelease(
            version=f"index-{number}",
            hash="0" * 8,
            collection=collection,
            identity=SPOKEN,
            documents=1,
            chunks=chunks,
        ),
        model=ModelRelease(runtime="Extractive", name="extractive", hash="0" * 16, max_sentences=2),
        retrieval=Retrieval(mode="Sparse", top_k=6),
    )
    return made.model_copy(update=changes)


def served_by(*endpoints: Endpoint, **changes: Any) -> ModelRelease:
    """A model on these servers."""
    fields = {"runtime": "External", "name": "org/model", "revision": "abc", "hash": "1" * 16, **changes}
    return ModelRelease(endpoints=endpoints, **fields)


class Folder:
    """The mounted files of one pod."""

    def __init__(self, path: Path) -> None:
        self.releases = path / "releases"
        self.keys = path / "keys"
        self.model_keys = path / "model-keys"
        for each in (self.releases, self.keys, self.model_keys):
            each.mkdir(parents=True, exist_ok=True)

    def serve(self, *revisions: Revision, policy: Policy | None = None) -> ReleaseTable:
        """Write the release table."""
        table = ReleaseTable(service="handbook", revisions=revisions, policy=policy or Policy())
        self.write_releases(table.to_json())
        return table

    def write_releases(self, text: str) -> None:
        """Write any text as the release table, as one change."""
        _replace(self.releases / FILE_NAME, text)

    def allow(self, *keys: ApiKey) -> None:
        """Write the API keys."""
        self.write_keys(json.dumps([key.model_dump() for key in keys]))

    def write_model_key(self, name: str, text: str) -> None:
        """Write the key of a model server."""
        path = self.model_keys / name
        path.parent.mkdir(exist_ok=True)
        _replace(path, text)

    def write_keys(self, text: str) -> None:
        """Write any text as the API keys, as one change."""
        _replace(self.keys / API_KEYS_FILE, text)


def _replace(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


@dataclass
class Api:
    """A running API and a client for it."""

    url: str
    host: Server
    application: Application
    client: aiohttp.ClientSession

    async def ask(
        self, question: object, *, key: str = KEY, headers: dict[str, str] | None = None, **fields: Any
    ) -> "Answer":
        """`POST /query`."""
        sent = {"authorization": f"Bearer {key}", **(headers or {})}
        return await self.send("POST", "/query", json={"question": question, **fields}, headers=sent)

    async def send(self, method: str, path: str, **arguments: Any) -> "Answer":
        """Any request, read to its end."""
        async with self.client.request(method, path, **arguments) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, headers, await response.read())

    @asynccontextmanager
    async def stream(self, question: str, *, key: str = KEY, **fields: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """`POST /query/stream`, not yet read."""
        headers = {"authorization": f"Bearer {key}"}
        async with self.client.post(
            "/query/stream", json={"question": question, **fields}, headers=headers
        ) as response:
            yield response

    async def events(self, question: str, **fields: Any) -> list[tuple[str, Any]]:
        """A whole stream as its events."""
        async with self.stream(question, **fields) as response:
            return events(await response.text())

    async def metric(self, name: str) -> float:
        """Sum of a metric's samples whose line begins with the name."""
        answer = await self.send("GET", "/metrics")
        lines = [line for line in answer.body.decode().splitlines() if line.startswith(name)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    async def take(self, table: ReleaseTable) -> None:
        """Returns when the table is served."""
        await until(lambda: self.application.table_hash == table.table_hash())

    async def until_idle(self, seconds: float = 10) -> bool:
        """Whether all slots become free. The time is for a machine that is busy; how long it takes is for the benchmark."""
        try:
            await until(lambda: not self.application.drain.active, seconds)
        except TimeoutError:
            return False
        return True


async def until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Returns when it is true. Raises TimeoutError after a time that only a fault takes."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


@dataclass
class Answer:
    """A response that was read to its end; header names in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error code, empty for another body."""
        return str(self.json.get("error", {}).get("code", ""))


def events(text: str) -> list[tuple[str, Any]]:
    """The events of a stream's text, comments left out."""
    found = []
    for block in text.split("\n\n"):
        if block.startswith("event: "):
            name, data = block.split("\n", 1)
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def names(stream: Iterable[tuple[str, Any]]) -> list[str]:
    """The names of the events."""
    return [name for name, _ in stream]


@asynccontextmanager
async def serving(
    folder: Path,
    qdrant_url: str,
    *,
    seams: Seams | None = None,
    protocol: type[BoundedProtocol] = BoundedProtocol,
    qdrant_key: str = "",
    **environment: Any,
) -> AsyncIterator[Api]:
    """The API on a free port. The folder holds its mounted files; other fields go into its environment."""
    values = {
        "service": "handbook",
        "qdrant_url": qdrant_url,
        "releases_path": str(folder / "releases"),
        "keys_path": str(folder / "keys"),
        "model_keys_path": str(folder / "model-keys"),
        "host": "127.0.0.1",
        "port": 0,
        "requests_per_minute": 0,
        "drain_seconds": 1,
        **environment,
    }
    settings = Settings(ApiEnvironment(**values), qdrant_key, "1.2.3", "abc")
    application = create_app(settings, seams)
    host = server(application, settings, protocol)
    # The protocol is named, because asyncio switches Nagle's algorithm off only then.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        task = asyncio.create_task(host.serve([listener]))
        while not host.started:
            assert not task.done(), "the server did not start"
            await asyncio.sleep(0.002)
        async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=20)) as client:
            yield Api(url, host, application, client)
        await asyncio.wait_for(_end(host, application, task), 10)


async def _end(host: Server, application: Application, serving: asyncio.Task[None]) -> None:
    """As uvicorn ends, but for its two rests, which hundreds of tests would feel. A stop that has begun goes its own way."""
    if host.should_exit or application.drain.draining:
        await serving
        return
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving
    for listening in host.servers:
        listening.close()
    for connection in list(host.server_state.connections):
        connection.shutdown()
    await until(lambda: not host.server_state.connections and not host.server_state.tasks)
    await host.lifespan.shutdown()
