"""The story of one question: revision -> retrieval -> generation -> checked citations. Nothing here knows of HTTP.

prepare (pick the revision, search)  ->  Prepared  --answer-->  Step, Step, ...  then  Prepared.outcome
"""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import NamedTuple

from rag_contract.release_table import Policy, Revision

from . import provenance
from .auth import Principal
from .citations import Checked, MarkerCheck
from .collections_check import Collections
from .context import RequestContext
from .embedder import Embedder
from .errors import BadRequest, Forbidden, ModelTimeout, NotReady, RetrievalTimeout, UpstreamError
from .generator import Generator, Job, Piece, prompt
from .releases import ReleaseStore
from .retriever import Asked, Qdrant, Source
from .schemas import Citation, Degraded, FinishReason, QueryRequest, Usage
from .spans import Span
from .telemetry import Metrics
from .text import visible


class Step(NamedTuple):
    """A piece of checked text, and the sources that it names for the first time."""

    text: str
    citations: tuple[Citation, ...]


@dataclass(slots=True)
class Prepared:
    """One question with its sources. The fields after `policy` fill up while the answer is made."""

    answer_id: str
    question: str
    revision: Revision
    sources: list[Source]
    max_output_tokens: int
    policy: Policy
    citations: list[Citation] = field(default_factory=list)
    finish_reason: FinishReason = "error"
    usage: Usage = field(default_factory=Usage)
    degraded: Degraded | None = None

    def cited(self) -> tuple[Citation, ...]:
        """All sources as citations, in order."""
        return tuple(_citation(number, source) for number, source in enumerate(self.sources, 1))


class Pipeline:
    """Holds the upstreams. Everything about a request is in its context and its `Prepared`."""

    def __init__(
        self,
        *,
        releases: ReleaseStore,
        qdrant: Qdrant,
        collections: Collections,
        embedder: Embedder,
        generator: Generator,
        metrics: Metrics,
    ) -> None:
        self._releases = releases
        self._qdrant = qdrant
        self._collections = collections
        self._embedder = embedder
        self._generator = generator
        self._metrics = metrics

    async def prepare(self, context: RequestContext, principal: Principal, request: QueryRequest) -> Prepared:
        """Pick the revision and retrieve. Raises ApiError; afterwards an answer can be promised."""
        _stays_within(principal, request)
        question = visible(request.question).strip()
        if not question:
            raise BadRequest("The question has no visible characters.")
        sticky = (
            context.session
            or request.session
            or (context.trace_id if principal.key_id == "anonymous" else principal.key_id)
        )
        loaded = self._releases.current()
        revision = loaded.pick(sticky)
        provenance.tell(context, revision)
        context.facts["input_chars"] = len(request.question)
        limit = request.top_k or revision.retrieval.top_k
        sources = await self._retrieve(context, principal, revision, question, limit)
        if not sources:
            self._metrics.empty.inc()
        length = prompt.output_tokens(revision.model, request.max_output_tokens)
        sources = prompt.packed(sources, question, revision.prompt, revision.model, length)
        return Prepared("ans_" + secrets.token_hex(12), question, revision, sources, length, loaded.table.policy)

    async def answer(self, context: RequestContext, prepared: Prepared) -> AsyncGenerator[Step, None]:
        """Make the answer; `prepared` holds the outcome when the iterator ends. Raises ApiError.

        An empty step may come first: somebody has taken the work, and text will follow.
        """
        started = time.perf_counter()
        check = MarkerCheck(len(prepared.sources))
        ended = False
        with context.span.stage("generation") as span:
            try:
                async with aclosing(self._pieces(context, prepared, span)) as pieces:
                    async for piece in pieces:
                        step = self._step(prepared, check.feed(piece.text))
                        if piece.finish_reason:
                            prepared.finish_reason = piece.finish_reason
                            prepared.usage = Usage(piece.prompt_tokens, piece.completion_tokens)
                            prepared.degraded = piece.degraded
                            ended = True
                        if step.text or not (piece.text or ended):
                            yield step
                if not ended:
                    raise UpstreamError("The answer broke off.")
                rest = self._step(prepared, check.finish())
                if rest.text:
                    yield rest
            finally:
                context.latency.generation = self._stage("generation", started)
                self._record(context, prepared, check.dropped)

    async def _retrieve(
        self, context: RequestContext, principal: Principal, revision: Revision, question: str, limit: int
    ) -> list[Source]:
        started = time.perf_counter()
        with context.span.stage("retrieval") as span:
            try:
                await self._collections.ensure(revision)
                vector = await self._vector(revision, question, span)
                return await self._qdrant.search(principal, revision, Asked(question, vector), limit, span)
            except NotReady:
                self._collections.forget(revision)
                raise
            finally:
                context.latency.retrieval = self._stage("retrieval", started)

    async def _vector(self, revision: Revision, question: str, span: Span) -> list[float] | None:
        """Of the question, where the release compares vectors."""
        if revision.retrieval.mode == "Sparse":
            return None
        started = time.perf_counter()
        try:
            return await self._embedder.embed(revision.index, question, span)
        finally:
            self._stage("embedding", started)

    def _pieces(self, context: RequestContext, prepared: Prepared, span: Span) -> AsyncGenerator[Piece, None]:
        revision = prepared.revision
        if not prepared.sources:
            return _refusal(revision)
        job = Job(
            prepared.question,
            prepared.sources,
            revision,
            prepared.max_output_tokens,
            prepared.policy,
            context.trace_id,
            span=span,
        )
        return self._generator.generate(job)

    def _step(self, prepared: Prepared, checked: Checked) -> Step:
        new = tuple(_citation(number, prepared.sources[number - 1]) for number in checked.new)
        prepared.citations.extend(new)
        return Step(checked.text, new)

    def _record(self, context: RequestContext, prepared: Prepared, dropped: int) -> None:
        usage, reason = prepared.usage, prepared.finish_reason
        context.facts |= {
            "finish_reason": reason,
            "prompt_tokens": usage.prompt_tokens,
            "tokens": usage.completion_tokens,
            "answer_id": prepared.answer_id,
            "degraded": prepared.degraded,
        }
        self._metrics.answered(context, prepared.revision, reason, usage)
        if prepared.degraded is None and prepared.revision.model.endpoints and prepared.policy.prices:
            context.facts["cost"] = self._metrics.paid(context, prepared.policy.prices, usage)
        self._metrics.valid.inc(len(prepared.citations))
        self._metrics.dropped.inc(dropped)

    def _stage(self, name: str, started: float) -> float:
        seconds = time.perf_counter() - started
        self._metrics.stage[name].observe(seconds)
        return round(seconds * 1000, 3)


def total_timeout(seconds: float) -> asyncio.Timeout:
    """The bound of a whole request; what it means for the client is decided by `timed_out`."""
    return asyncio.timeout(seconds)


def timed_out(prepared: Prepared | None) -> RetrievalTimeout | ModelTimeout:
    """The error for a request that ran out of time, by the stage that it had reached."""
    if prepared is None:
        return RetrievalTimeout("The vector store did not answer within the time of the request.")
    return ModelTimeout("The answer was not finished within the time of the request.")


async def _refusal(revision: Revision) -> AsyncGenerator[Piece, None]:
    yield Piece(revision.prompt.refusal, "refused")


def _stays_within(principal: Principal, request: QueryRequest) -> None:
    if request.tenant_id is not None and request.tenant_id != principal.tenant:
        raise Forbidden("`tenant_id` is not the tenant of this API key.")
    if request.user_roles is not None and set(request.user_roles) != set(principal.roles):
        raise Forbidden("`user_roles` are not the roles of this API key.")


def _citation(number: int, source: Source) -> Citation:
    return Citation(
        source_id=f"S{number}",
        document_id=source.document_id,
        chunk_id=source.chunk_id,
        title=source.title,
        url=source.url,
        page_start=source.page,
        page_end=source.page,
    )
