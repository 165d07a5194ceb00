"""What turns sources into an answer. One module per runtime, all behind the same small protocol."""

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple, Protocol

from rag_contract.release_table import Revision

from ..retriever import Source
from ..schemas import FinishReason


class Job(NamedTuple):
    """One answer to be made. `sources` are numbered from 1 in their order."""

    question: str
    sources: Sequence[Source]
    revision: Revision
    max_output_tokens: int


class Piece(NamedTuple):
    """A piece of the answer; the last one carries the finish reason and the token counts."""

    text: str
    finish_reason: FinishReason | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Generator(Protocol):
    """Makes answers with markers [S1] ... [Sn] behind what a source supports."""

    def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """The pieces in order. Raises ApiError. Closed by the caller, also when it wants no more."""
