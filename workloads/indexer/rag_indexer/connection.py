"""The connection to Qdrant, which the modules `store` and `catalog` share: every call is repeated with back-off until its time is up."""

import warnings
from collections.abc import Awaitable, Callable
from typing import TypeVar

from qdrant_client import AsyncQdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from .errors import IndexFailure
from .patience import Passing, Patience

OLDEST_SERVER = (1, 16)
"""Collection metadata, which carries the stamp, came with 1.16."""
REQUEST_SECONDS = 60
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0

T = TypeVar("T")


class Missing(Exception):
    """What the call names does not exist."""


class Exists(Exception):
    """What the call would make exists already."""


class Connection:
    """One Qdrant server. `wait_seconds` bounds how long a call is repeated while the server is away."""

    def __init__(self, url: str, api_key: str | None, wait_seconds: float) -> None:
        self._patience = Patience("vector store", wait_seconds, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        with warnings.catch_warnings():
            # A key over plain http: inside the cluster it is the operator's own Service, outside it is the user's choice.
            warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
            self.client = AsyncQdrantClient(
                url=url, port=None, api_key=api_key, timeout=REQUEST_SECONDS, check_compatibility=False
            )

    async def close(self) -> None:
        await self.client.close()

    async def connect(self, on_waiting: Callable[[], None]) -> None:
        """Waits for the server and checks its version and the key. Raises IndexFailure."""
        version = (await self.repeat("reach", "Qdrant", self.client.info, on_waiting)).version
        if _minor(version) < OLDEST_SERVER:
            oldest = ".".join(map(str, OLDEST_SERVER))
            raise IndexFailure("UnsupportedVectorStore", f"Qdrant {version} is too old: run {oldest} or newer.")

    async def repeat(
        self, verb: str, what: str, call: Callable[[], Awaitable[T]], on_waiting: Callable[[], None] = lambda: None
    ) -> T:
        """Repeats a call that failed for reasons that pass. Raises IndexFailure, Missing or Exists. `what` is for messages."""

        async def once() -> T:
            try:
                return await call()
            except UnexpectedResponse as error:
                _refusal(verb, what, error)
                raise Passing(f"status {error.status_code}") from error
            except ResourceExhaustedResponse as error:
                raise Passing("status 429", error.retry_after_s) from error
            except ResponseHandlingException as error:
                raise Passing(type(error.source).__name__) from error

        def given_up(reason: str) -> IndexFailure:
            return IndexFailure(
                "VectorStoreUnreachable",
                f"Cannot {verb} the collection within {self._patience.seconds:.0f} s ({reason}): "
                "see whether Qdrant runs and whether its address is right.",
                retryable=True,
            )

        return await self._patience.repeat(once, given_up, on_waiting)


def _refusal(verb: str, name: str, error: UnexpectedResponse) -> None:
    """Raises for a status that repeating will not change; returns for the others."""
    status = error.status_code or 0
    if status in (401, 403):
        raise IndexFailure(
            "VectorStoreUnauthorized",
            "Qdrant refuses the key: the Secret must hold a key that may write.",
            retryable=True,  # a corrected Secret reaches the next pod
        ) from error
    if status == 404:
        raise Missing(name) from error
    if status == 409:
        raise Exists(name) from error
    if 400 <= status < 500 and status not in (408, 429):
        raise IndexFailure("VectorStoreRefused", f"Qdrant refuses to {verb} {name}: {_message(error)}") from error


def _message(error: UnexpectedResponse) -> str:
    try:
        return str(error.structured()["status"]["error"])[:500]
    except (ValueError, KeyError, TypeError):
        return f"status {error.status_code}"


def _minor(version: str) -> tuple[int, ...]:
    parts = version.split("-", maxsplit=1)[0].split(".")[:2]
    return tuple(int(part) if part.isdigit() else 0 for part in parts)


def bind(call: Callable[..., Awaitable[T]], *args: object, **options: object) -> Callable[[], Awaitable[T]]:
    """A call with its arguments bound now; a lambda in a loop would see the last ones."""
    return lambda: call(*args, **options)
