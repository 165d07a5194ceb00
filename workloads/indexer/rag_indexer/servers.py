"""What a run works with: the vector store, and an embedding server where the collection has embeddings."""

from dataclasses import dataclass

from .embedder import Embedder
from .store import Store


@dataclass(frozen=True, slots=True)
class Servers:
    """`at_once` batches are on their way at a time: with an embedder one is embedded while another is written."""

    store: Store
    embedder: Embedder | None = None

    @property
    def at_once(self) -> int:
        return 1 if self.embedder is None else 3

    async def close(self) -> None:
        if self.embedder is not None:
            await self.embedder.close()
        await self.store.close()
