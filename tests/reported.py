"""What the programs of Jobs would report, for tests in which they do not run."""

from collections.abc import Mapping

from rag_contract.environment import IndexerEnvironment
from rag_contract.reports import IndexResult


def verified(variables: Mapping[str, str], *, documents: int = 2, chunks: int = 5) -> IndexResult:
    """The result of an index Job that was given these environment variables and went well."""
    told = IndexerEnvironment.from_env(variables)
    return IndexResult(
        outcome="Succeeded",
        version=told.version,
        collection=told.collection,
        content_hash=told.content_hash,
        documents=documents,
        chunks=chunks,
    )
