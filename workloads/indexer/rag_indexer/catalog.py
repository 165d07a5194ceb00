"""All collections of one RagService in Qdrant, and the alias that outside readers ask.

Qdrant is shared where it runs elsewhere: what does not begin with the service's own prefix is not looked at.
"""

import logging
from dataclasses import dataclass

from qdrant_client import models
from rag_contract.identity import CollectionStamp

from .connection import Connection, Exists, Missing, bind
from .errors import IndexFailure
from .store import stamp_of

log = logging.getLogger("rag_indexer")


@dataclass(frozen=True, slots=True)
class Found:
    """A collection under our prefix. `stamp` is None when no indexer made it."""

    name: str
    stamp: CollectionStamp | None

    @property
    def ours(self) -> bool:
        """Made by an indexer under this very name: the name ends with the hash of what the stamp says is in it."""
        return self.stamp is not None and self.name.endswith(f".{self.stamp.content_hash[:16]}")


class Catalog:
    """What `alias` owns: the alias itself, and the collections whose names begin with it and a dot."""

    def __init__(self, connection: Connection, alias: str) -> None:
        self._repeat = connection.repeat
        self._client = connection.client
        self._alias = alias

    async def collections(self) -> list[Found]:
        """By name, those under our prefix."""
        listed = (await self._repeat("list", "collections", self._client.get_collections)).collections
        found = []
        for name in sorted(one.name for one in listed if self._is_below(one.name)):
            look = bind(self._client.get_collection, name)
            try:
                found.append(Found(name, stamp_of(await self._repeat("read", name, look))))
            except Missing:
                continue  # dropped by somebody else since it was listed
        return found

    async def drop(self, name: str) -> None:
        """Removes a collection, and aliases that name it; one that is gone is fine."""
        await self._repeat("drop", name, bind(self._client.delete_collection, name))

    async def named(self) -> str:
        """The collection that the alias names, empty for none."""
        pairs = (await self._repeat("list", "aliases", self._client.get_aliases)).aliases
        return next((pair.collection_name for pair in pairs if pair.alias_name == self._alias), "")

    async def promote(self, target: str) -> str:
        """Makes the alias name `target`; returns what it named before. Raises IndexFailure.

        Qdrant moves an alias without asking what it names. So it is moved only from nothing or from a collection of ours, it is
        looked at once more right before, and it is read back.
        """
        before = await self.named()
        if before == target:
            return before
        if before and not self._is_below(before):
            raise IndexFailure(
                "AliasTaken", f"{self._taken()} names the collection {before}, which is not this service's."
            )
        if await self.named() != before:
            raise IndexFailure("AliasMoved", f"{self._taken()} was moved by somebody else meanwhile.", retryable=True)
        try:
            await self._repeat(
                "name", target, bind(self._client.update_collection_aliases, self._change(before, target))
            )
        except Exists:
            message = f"A collection has the name of the alias {self._alias}: outside readers need it. Remove it."
            raise IndexFailure("AliasTaken", message) from None
        except Missing:
            message = f"The collection {target} is gone, so the alias {self._alias} still names {before or 'nothing'}."
            raise IndexFailure("CollectionLost", message, retryable=True) from None
        after = await self.named()
        if after != target:
            message = f"{self._taken()} names {after or 'nothing'} after it was set to {target}."
            raise IndexFailure("AliasMoved", message, retryable=True)
        log.info("alias moved", extra={"alias": self._alias, "from": before, "to": target})
        return before

    def _change(self, before: str, target: str) -> list[models.AliasOperations]:
        """In one call, so that no reader finds the alias gone."""
        made = models.CreateAliasOperation(
            create_alias=models.CreateAlias(collection_name=target, alias_name=self._alias)
        )
        gone = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=self._alias))
        return [gone, made] if before else [made]

    def _is_below(self, name: str) -> bool:
        return name.startswith(f"{self._alias}.")

    def _taken(self) -> str:
        return f"The alias {self._alias}"
