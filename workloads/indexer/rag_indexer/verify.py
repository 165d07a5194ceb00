"""Checks that a collection holds what its index should: exact count, and chunks that are found by their own sentences."""

from rag_contract import payload
from rag_contract.analysis import encode_query
from rag_contract.sentences import split

from .corpus import searched
from .errors import IndexFailure
from .servers import Servers
from .store import Store, Stored

SAMPLES = 8
HITS = 10


async def contents(servers: Servers, expected_chunks: int) -> None:
    """Raises IndexFailure with reason VerificationFailed."""
    store = servers.store
    counted = await store.count()
    if counted != expected_chunks:
        raise _failure(f"it holds {counted} chunks instead of {expected_chunks}")
    samples = await store.sample(SAMPLES)
    for stored in samples:
        if not await _finds_itself(store, stored):
            raise _failure(f"the chunk {stored.fields.get(payload.CHUNK_ID)} is not found by its own sentence")
    if servers.embedder is None:
        return
    for stored, vector in zip(samples, await servers.embedder.embed([_whole(each) for each in samples]), strict=True):
        if not await _finds_by_vector(store, stored, vector):
            raise _failure(f"the chunk {stored.fields.get(payload.CHUNK_ID)} is not found by its own vector")


async def _finds_itself(store: Store, stored: Stored) -> bool:
    """Asks as a reader of the chunk would. Another hit that holds the same sentence is as good: texts repeat."""
    sentence = _longest_sentence(str(stored.fields[payload.TEXT]))
    roles = stored.fields[payload.ROLES]
    if not isinstance(roles, list) or not sentence:
        return False
    hits = await store.search(encode_query(sentence), str(stored.fields[payload.TENANT]), roles, HITS)
    return any(hit.id == stored.id or sentence in str(hit.fields.get(payload.TEXT)) for hit in hits)


async def _finds_by_vector(store: Store, stored: Stored, vector: list[float]) -> bool:
    """Embedded once more, the chunk is among the nearest; chunks of the same text are as good."""
    roles = stored.fields[payload.ROLES]
    if not isinstance(roles, list):
        return False
    hits = await store.search(vector, str(stored.fields[payload.TENANT]), roles, HITS)
    text = stored.fields[payload.TEXT]
    return any(hit.id == stored.id or hit.fields.get(payload.TEXT) == text for hit in hits)


def _whole(stored: Stored) -> str:
    """The text that the chunk was embedded by."""
    fields = stored.fields
    return searched(str(fields[payload.TITLE]), str(fields[payload.HEADING]), str(fields[payload.TEXT]))


def _longest_sentence(text: str) -> str:
    """Of those that hold a word to search for, the longest."""
    sentences = [text[span.start : span.end] for span in split(text)]
    return max((s for s in sentences if encode_query(s).indices), key=len, default="")


def _failure(what: str) -> IndexFailure:
    return IndexFailure(
        "VerificationFailed",
        f"The collection is not what the documents say: {what}. If the documents changed while they were read, "
        "let the Job run again; if it persists, set a new spec.index.version.",
        retryable=True,
    )
