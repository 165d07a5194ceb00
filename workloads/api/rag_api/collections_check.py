"""A collection is queried only when it is the one that the release names: complete, and of the identity it was built for."""

from rag_contract.identity import CollectionStamp
from rag_contract.release_table import IndexRelease, Revision

from .errors import NotReady
from .retriever import CollectionInfo, Qdrant


class Collections:
    """Remembers which collections were found right. `/ready` looks again and takes it back when one is no longer."""

    def __init__(self, qdrant: Qdrant) -> None:
        self._qdrant = qdrant
        self._right: set[tuple[str, str]] = set()

    async def ensure(self, revision: Revision) -> None:
        """Look at the collection unless it was found right before. Raises NotReady and what the retriever raises."""
        if _key(revision) not in self._right:
            problem = await self.look(revision)
            if problem:
                raise NotReady("The index of this release is not usable.", retry_after=5)

    async def look(self, revision: Revision) -> str:
        """What is wrong with the collection now; empty when nothing. Raises what the retriever raises."""
        info = await self._qdrant.collection(revision.index.collection)
        problem = fault(revision.index, info)
        if problem:
            self.forget(revision)
        else:
            self._right.add(_key(revision))
        return problem

    def forget(self, revision: Revision) -> None:
        """Look again before the next query."""
        self._right.discard(_key(revision))


def fault(index: IndexRelease, info: CollectionInfo) -> str:
    """Why the collection may not be queried for this release; empty when it may."""
    stamp = info.stamp
    if stamp is None:
        return f"Collection {index.collection} bears no stamp of an indexer: run the index Job again."
    faults = (
        (not stamp.complete, "is not complete: its index Job has not finished"),
        (
            stamp.identity.fingerprint() != index.identity.fingerprint(),
            f"was built by {_words(stamp)}, the release names another identity: build the index anew",
        ),
        (
            stamp.chunks != index.chunks,
            f"was built with {stamp.chunks} chunks, the release names {index.chunks}: build the index anew",
        ),
        (info.status == "red", "is reported as damaged by the vector store: see its log"),
        (bool(index.chunks) and not info.points, "has lost its points: run the index Job again"),
    )
    return next((f"Collection {index.collection} {words}." for wrong, words in faults if wrong), "")


def _words(stamp: CollectionStamp) -> str:
    return f"{stamp.identity.provider} {stamp.identity.model}, {stamp.identity.chunker}"


def _key(revision: Revision) -> tuple[str, str]:
    return revision.index.collection, revision.index.identity.fingerprint()
