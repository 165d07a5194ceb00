"""Checks that a collection holds what its index should: exact count, and chunks that are found by their own sentences."""

from rag_contract import payload
from rag_contract.analysis import encode_query
from rag_contract.sentences import split

from .errors import IndexFailure
from .store import Store, Stored

SAMPLES = 8
HITS = 10


async def contents(store: Store, expected_chunks: int) -> None:
    """Raises IndexFailure with reason VerificationFailed."""
    counted = await store.count()
    if counted != expected_chunks:
        raise _failure(f"it holds {counted} chunks instead of {expected_chunks}")
    for stored in await store.sample(SAMPLES):
        if not await _finds_itself(store, stored):
            raise _failure(f"the chunk {stored.fields.get(payload.CHUNK_ID)} is not found by its own sentence")


async def _finds_itself(store: Store, stored: Stored) -> bool:
    """Asks as a reader of the chunk would. Another hit that holds the same sentence is as good: texts repeat."""
    sentence = _longest_sentence(str(stored.fields[payload.TEXT]))
    roles = stored.fields[payload.ROLES]
    if not isinstance(roles, list) or not sentence:
        return False
    hits = await store.search(encode_query(sentence), str(stored.fields[payload.TENANT]), roles, HITS)
    return any(hit.id == stored.id or sentence in str(hit.fields.get(payload.TEXT)) for hit in hits)


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
