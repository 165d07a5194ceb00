"""The spans of one request: what the code tells about its stages, whether or not anybody collects it.

    POST /query                    server     one for each question
    ├── queue                      internal   where it had to wait for a slot of this pod
    ├── retrieval                  internal
    │   ├── embeddings MODEL       client
    │   └── query COLLECTION       client
    └── generation                 internal
        └── chat MODEL             client     one for each server that was asked

A span is passed explicitly, as everything about a request: generators run in more than one task. It holds names, numbers and
versions; never a question, a prompt, a chunk, an answer, or the text of an exception.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self
from urllib.parse import urlsplit

Value = str | int | float | bool | Sequence[str]
Attributes = Mapping[str, Value | None]
Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Sending:
    """How spans are sent, in seconds: the pause between batches, the bound of one, and of the last ones when the process stops.

    `flush` lies behind the drain's last words and before the end of the pod's grace. `queue` is the number of spans that wait.
    """

    pause: float = 1.0
    timeout: float = 5.0
    flush: float = 1.5
    queue: int = 2048


class Span(Protocol):
    """One open span; a context manager that ends it. Attributes that are None are left out.

    `trace_id` has 32 hex digits, and is empty when nothing is traced. `traceparent` is the header that tells a server which
    is asked to go on with this trace, empty to send none.
    """

    @property
    def recording(self) -> bool: ...

    @property
    def trace_id(self) -> str: ...

    @property
    def traceparent(self) -> str: ...

    def set(self, attributes: Attributes) -> None:
        """Put attributes on it."""

    def share(self, attributes: Attributes) -> None:
        """Put attributes on all spans that are opened below it from now on."""

    def fail(self, error_type: str) -> None:
        """It went wrong; the word is from a closed list."""

    def stage(self, name: str) -> "Span":
        """Open a span below it for a part of our own work."""

    def call(self, name: str, attributes: Attributes | None = None) -> "Span":
        """Open a span below it for one request to a server."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Tracer(Protocol):
    """Where the spans of requests come from."""

    def open(self) -> None:
        """Begin to send spans."""

    async def close(self) -> None:
        """Send what is left, in bounded time."""

    def request(self, method: str, route: str, headers: Headers) -> Span:
        """The span of one request, open. Not before `open`."""


class Unrecorded:
    """Implements `Span`: nobody collects it. What is opened below it is the same."""

    __slots__ = ("trace_id", "traceparent")
    recording: bool = False

    def __init__(self, trace_id: str = "", traceparent: str = "") -> None:
        self.trace_id = trace_id
        self.traceparent = traceparent

    def set(self, attributes: Attributes) -> None:
        """Nothing."""

    def share(self, attributes: Attributes) -> None:
        """Nothing."""

    def fail(self, error_type: str) -> None:
        """Nothing."""

    def stage(self, name: str) -> Span:
        """Itself."""
        return self

    def call(self, name: str, attributes: Attributes | None = None) -> Span:
        """Itself."""
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing."""


NOTHING: Final[Span] = Unrecorded()


class NoTracer:
    """Implements `Tracer` for a service without a collector."""

    def open(self) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""

    def request(self, method: str, route: str, headers: Headers) -> Span:
        """No span."""
        return NOTHING


UNTRACED: Final[Tracer] = NoTracer()


def error_type(error: BaseException) -> str:
    """One word for what went wrong: an error's own, or the name of its class; never its text."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "cancelled"
    return str(getattr(error, "error_type", "")) or type(error).__name__


def model_call(span: Span, operation: str, url: str, model: str) -> Span:
    """Open a span for a request in the OpenAI protocol: "chat" or "embeddings"."""
    if not span.recording:
        return span
    told: dict[str, Value | None] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model,
    }
    return span.call(f"{operation} {model}", told | _server(url))


def store_call(span: Span, url: str, collection: str) -> Span:
    """Open a span for a query of the vector store."""
    if not span.recording:
        return span
    told: dict[str, Value | None] = {
        "db.system.name": "qdrant",
        "db.operation.name": "query",
        "db.collection.name": collection,
    }
    return span.call(f"query {collection}", told | _server(url))


def onward(span: Span) -> dict[str, str]:
    """Headers by which the server that is asked can go on with the trace."""
    return {"traceparent": span.traceparent} if span.traceparent else {}


def _server(url: str) -> dict[str, Value | None]:
    """Where it listens, without path and credentials."""
    parts = urlsplit(url)
    return {"server.address": parts.hostname, "server.port": parts.port or (443 if parts.scheme == "https" else 80)}
