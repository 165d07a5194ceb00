"""What turns sources into an answer. One module per runtime, all behind the same small protocol."""

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple, Protocol

from rag_contract.release_table import Endpoint, Policy, Revision

from ..retriever import Source
from ..schemas import Degraded, FinishReason
from ..spans import NOTHING, Span


class Job(NamedTuple):
    """One answer to be made. `sources` are numbered from 1 in their order; `endpoints` are the servers that may be asked."""

    question: str
    sources: Sequence[Source]
    revision: Revision
    max_output_tokens: int
    policy: Policy = Policy()
    trace_id: str = ""
    endpoints: tuple[Endpoint, ...] = ()
    span: Span = NOTHING


class Piece(NamedTuple):
    """A piece of the answer; the last one carries the finish reason, the token counts and who stepped in for the model.

    An empty piece without a finish reason says that somebody has taken the work.
    """

    text: str
    finish_reason: FinishReason | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    degraded: Degraded | None = None


class Generator(Protocol):
    """Makes answers with markers [S1] ... [Sn] behind what a source supports."""

    def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """The pieces in order. Raises ApiError. Closed by the caller, also when it wants no more."""
