"""Generated Secrets: created, never read. What this process remembers of them is that they exist."""

import secrets
from collections.abc import Callable
from typing import Any, Protocol

from ..runtime.bounded import Bounded
from ..runtime.errors import ApiError

Json = dict[str, Any]

MAX_REMEMBERED = 65536
TOKEN_BYTES = 32


class Creator(Protocol):
    """Of the Kubernetes client, what is used here."""

    async def create(self, obj: Json, *, dry_run: bool = False) -> Json:
        """Create an object, or only learn whether that could be done."""


class SecretMaker:
    """Makes each Secret once; that it exists already is as good."""

    def __init__(self, client: Creator) -> None:
        self._client = client
        self._made: Bounded[tuple[str, str], None] = Bounded(MAX_REMEMBERED)
        self._missing: Bounded[tuple[str, str], str] = Bounded(MAX_REMEMBERED)

    async def create(
        self, service_uid: str, name: str, make: Callable[[Callable[[], str]], Json], *, known: bool
    ) -> None:
        """`known`: children name it, so it was made."""
        secret = (service_uid, name)
        if secret in self._made or (known and secret not in self._missing):
            return
        try:
            await self._client.create(make(_token))
        except ApiError as error:
            if not error.is_already_exists:
                self._forget(secret)
                raise
        self._is_there(secret)

    async def lost(self, service_uid: str, name: str, make: Callable[[Callable[[], str]], Json]) -> str:
        """A name for the loss, the same until it is made; empty when it is there, or nobody said that it is missing.

        What may not be read can be asked for by a create that stores nothing.
        """
        secret = (service_uid, name)
        loss = self._missing.get(secret)
        if loss is None:
            return ""
        try:
            await self._client.create(make(_token), dry_run=True)
        except ApiError as error:
            if not error.is_already_exists:
                raise
            self._is_there(secret)
            return ""
        return loss

    def forget(self, service_uid: str, name: str) -> None:
        """The next pass creates it again."""
        self._forget((service_uid, name))

    def _forget(self, secret: tuple[str, str]) -> None:
        self._made.drop(secret)
        if secret not in self._missing:
            self._missing.set(secret, secrets.token_hex(8))

    def _is_there(self, secret: tuple[str, str]) -> None:
        self._missing.drop(secret)
        self._made.set(secret, None)


def _token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)
