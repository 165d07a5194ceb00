"""`POST /query` and `POST /query/stream`: the same work, told at once or as it happens."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass

import msgspec
from starlette.types import Send

from ..admission import Admission
from ..context import RequestContext
from ..errors import StreamTimeout, ValidationFailed
from ..heartbeat import Heartbeats
from ..middleware import respond
from ..pipeline import Pipeline, Prepared, Step, timed_out, total_timeout
from ..provenance import model_version
from ..schemas import DoneEvent, MetaEvent, QueryAnswer, QueryRequest, TokenEvent, Trace, Versions
from ..sse import EventStream, event
from ..telemetry import Metrics

_DECODE = msgspec.json.Decoder(QueryRequest).decode
_ENCODE = msgspec.json.Encoder().encode
OPEN_SECONDS = 1.0
"""A stream is opened when somebody has taken the work, so that a failure before is a status; at the latest after this
time, so that the client sees its sources."""


@dataclass(frozen=True, slots=True)
class QueryRoutes:
    """The two hot routes. Timeouts are in seconds."""

    pipeline: Pipeline
    admission: Admission
    heartbeats: Heartbeats
    metrics: Metrics
    request_timeout: float
    stream_timeout: float
    clock: Callable[[], float] = time.perf_counter
    patience: float = OPEN_SECONDS

    async def query(self, context: RequestContext, body: bytes, send: Send) -> None:
        """The whole answer as one JSON object."""
        request = parse(body)
        prepared: Prepared | None = None
        await self.admission.enter(context)
        try:
            async with total_timeout(self.request_timeout):
                prepared = await self._prepare(context, request)
                parts = [step.text async for step in self.pipeline.answer(context, prepared)]
        except TimeoutError:
            raise timed_out(prepared) from None
        finally:
            self.admission.leave()
        self._total(context)
        await respond(send, 200, _ENCODE(_answer(context, request, prepared, "".join(parts))))

    async def stream(self, context: RequestContext, body: bytes, send: Send) -> None:
        """The answer as it is made. Errors before the first event are statuses, afterwards the terminal event."""
        request = parse(body)
        await self.admission.enter(context)
        context.stream = stream = EventStream(send, self.clock)
        prepared: Prepared | None = None
        try:
            async with total_timeout(self.stream_timeout):
                prepared = await self._prepare(context, request)
                with self.heartbeats.watch(stream), self.metrics.open_streams.track_inprogress():
                    await self._tell(context, prepared, stream)
        except TimeoutError:
            if stream.opened:
                raise StreamTimeout("The answer was not finished within the time of the stream.") from None
            raise timed_out(prepared) from None
        finally:
            self.admission.leave()

    async def _prepare(self, context: RequestContext, request: QueryRequest) -> Prepared:
        assert context.principal is not None  # noqa: S101 - the gateway lets nobody in without one
        return await self.pipeline.prepare(context, context.principal, request)

    async def _tell(self, context: RequestContext, prepared: Prepared, stream: EventStream) -> None:
        async with aclosing(self.pipeline.answer(context, prepared)) as steps, _first(steps) as first:
            await asyncio.wait({first}, timeout=self.patience)
            if first.done():
                first.result()  # nobody took the work: this is still a status
            await stream.open(_meta(context, prepared))
            step, said = await first, False
            while step is not None:
                if step.text:
                    if not said:
                        self.metrics.first_token.observe(self.clock() - context.started)
                        said = True
                    citations = (event(b"citation", each) for each in step.citations)
                    await stream.write((event(b"token", TokenEvent(step.text)), *citations))
                step = await anext(steps, None)
        self._total(context)
        await stream.done((), _done(context, prepared))

    def _total(self, context: RequestContext) -> None:
        context.latency.total = round((self.clock() - context.started) * 1000, 3)


@asynccontextmanager
async def _first(steps: AsyncGenerator[Step, None]) -> AsyncIterator[asyncio.Future[Step | None]]:
    """The first step, asked for beside the caller; it does not outlive the block."""
    first: asyncio.Future[Step | None] = asyncio.ensure_future(anext(steps, None))
    try:
        yield first
    finally:
        if not first.done():
            first.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await first


def _meta(context: RequestContext, prepared: Prepared) -> MetaEvent:
    return MetaEvent(
        trace_id=context.trace_id,
        answer_id=prepared.answer_id,
        sources=prepared.cited(),
        **msgspec.structs.asdict(_versions(prepared)),
    )


def _done(context: RequestContext, prepared: Prepared) -> DoneEvent:
    citations = tuple(prepared.citations)
    return DoneEvent(prepared.finish_reason, context.latency, prepared.usage, citations, prepared.degraded)


def parse(body: bytes) -> QueryRequest:
    """The request. Raises ValidationFailed naming the field."""
    try:
        return _DECODE(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValidationFailed(str(error)[:200]) from error


def _answer(context: RequestContext, request: QueryRequest, prepared: Prepared, text: str) -> QueryAnswer:
    versions = _versions(prepared)
    return QueryAnswer(
        answer=text,
        citations=tuple(prepared.citations),
        trace_id=context.trace_id,
        answer_id=prepared.answer_id,
        latency_ms=context.latency,
        finish_reason=prepared.finish_reason,
        usage=prepared.usage,
        degraded=prepared.degraded,
        trace=Trace(prepared.cited()) if request.include_trace else msgspec.UNSET,
        **msgspec.structs.asdict(versions),
    )


def _versions(prepared: Prepared) -> Versions:
    revision = prepared.revision
    return Versions(
        revision=revision.number,
        model_version=model_version(revision.model),
        prompt_version=revision.prompt.version,
        index_version=revision.index.version,
    )
