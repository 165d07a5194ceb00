"""What goes over the wire on the two hot routes, as msgspec structs: parsed in microseconds, documented in OpenAPI.

Lengths are in characters, times in milliseconds.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

FinishReason = Literal["stop", "length", "refused", "timeout", "error"]
Degraded = Literal["cache", "fallback", "extractive"]

ShortName = Annotated[str, Meta(min_length=1, max_length=63)]
SESSION_PATTERN = r"^[A-Za-z0-9._:@-]{1,128}$"


class QueryRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """One question. The tenant and the roles come from the API key, not from here."""

    question: Annotated[str, Meta(min_length=1, max_length=2000, description="The question, in any language.")]
    top_k: Annotated[int, Meta(ge=1, le=20, description="Chunks to retrieve; default: the release's top_k.")] | None = (
        None
    )
    max_output_tokens: Annotated[int, Meta(ge=16, le=2048, description="Upper bound of the answer.")] = 512
    include_trace: Annotated[bool, Meta(description="Add what was retrieved to the answer.")] = False
    session: (
        Annotated[str, Meta(pattern=SESSION_PATTERN, description="Requests of one session see one revision.")] | None
    ) = None
    tenant_id: (
        Annotated[str, Meta(max_length=63, description="Accepted only when equal to the key's tenant.")] | None
    ) = None
    user_roles: (
        Annotated[
            list[ShortName],
            Meta(max_length=32, description="Accepted only when equal to the key's roles."),
        ]
        | None
    ) = None


class Citation(msgspec.Struct, frozen=True, gc=False):
    """A source that the answer rests on. `source_id` is the marker in the text without its brackets."""

    source_id: str
    document_id: str
    chunk_id: str
    title: str
    url: str | None
    page_start: int | None
    page_end: int | None


class Latency(msgspec.Struct, gc=False):
    """Milliseconds per stage of one request."""

    queue: float = 0.0
    retrieval: float = 0.0
    rerank: float = 0.0
    generation: float = 0.0
    total: float = 0.0


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens. Without a model server nothing is prompted, and completion tokens are estimated from the characters."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Trace(msgspec.Struct, frozen=True):
    """What was retrieved, best first, whether or not the answer used it. No scores: they would tell of other texts."""

    sources: tuple[Citation, ...]


class Versions(msgspec.Struct, frozen=True, gc=False):
    """What answered."""

    revision: int
    model_version: str
    prompt_version: str
    index_version: str


class QueryAnswer(msgspec.Struct, frozen=True):
    """The answer of `POST /query`."""

    answer: str
    citations: tuple[Citation, ...]
    trace_id: str
    answer_id: str
    latency_ms: Latency
    model_version: str
    revision: int
    prompt_version: str
    index_version: str
    finish_reason: FinishReason
    usage: Usage
    degraded: Degraded | None = None
    trace: Trace | msgspec.UnsetType = msgspec.UNSET


class MetaEvent(msgspec.Struct, frozen=True):
    """First event of a stream: who answers, from which sources."""

    trace_id: str
    answer_id: str
    revision: int
    model_version: str
    prompt_version: str
    index_version: str
    sources: tuple[Citation, ...]


class TokenEvent(msgspec.Struct, frozen=True, gc=False):
    """A piece of the answer; the pieces joined are the answer."""

    text: str


class DoneEvent(msgspec.Struct, frozen=True):
    """Last event of a stream that ended well."""

    finish_reason: FinishReason
    latency_ms: Latency
    usage: Usage
    citations: tuple[Citation, ...]
    degraded: Degraded | None = None


class ErrorDetail(msgspec.Struct, frozen=True, gc=False):
    """Last event of a stream that did not end well, and the inner part of every error body."""

    code: str
    message: str
    trace_id: str
    retryable: bool


class ErrorBody(msgspec.Struct, frozen=True):
    """Body of every answer other than 2xx."""

    error: ErrorDetail
