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

    async def create(self, obj: Json) -> Json:
        """Create an object."""


class SecretMaker:
    """Makes each Secret once; that it exists already is as good."""

    def __init__(self, client: Creator) -> None:
        self._client = client
        self._made: Bounded[tuple[str, str], None] = Bounded(MAX_REMEMBERED)
        self._missing: Bounded[tuple[str, str], None] = Bounded(MAX_REMEMBERED)

    async def create(
        self, service_uid: str, name: str, make: Callable[[Callable[[], str]], Json], *, known: bool
    ) -> str:
        """Its uid when it was made just now, else empty. `known`: children name it, so it was made."""
        secret = (service_uid, name)
        if secret in self._made or (known and secret not in self._missing):
            return ""
        uid = ""
        try:
            answer = await self._client.create(make(lambda: secrets.token_urlsafe(TOKEN_BYTES)))
            uid = str(answer["metadata"]["uid"])
        except ApiError as error:
            if not error.is_already_exists:
                self._missing.set(secret, None)
                raise
        self._missing.drop(secret)
        self._made.set(secret, None)
        return uid

    def forget(self, service_uid: str, name: str) -> None:
        """The next pass creates it again."""
        self._made.drop((service_uid, name))
        self._missing.set((service_uid, name), None)
