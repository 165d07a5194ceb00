"""Traces by OpenTelemetry: spans are made in the event loop, and sent by OTLP over HTTP from a thread of their own.

request -> sampled? -no-> a span that records nothing
              |yes
              v
    span ... ended -> bounded queue -> thread -> collector
                        | full            | away, slow, refuses
                        `--- lost --------'    counted; said once, until it works again

A collector can therefore neither slow an answer nor fail one. Imported only when there is one: the SDK costs memory and start-up time.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace import Tracer as OtelTracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .spans import Attributes, Headers, Sending, Span, Unrecorded, Value, error_type

LOG = logging.getLogger("rag_api.tracing")
PATH = "/v1/traces"
BATCH_SPANS = 128
"""Small, because encoding holds the interpreter's lock: some milliseconds at most."""
LONGEST_ATTRIBUTE = 512
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_NO_PARENT = Context()
_PROPAGATOR = TraceContextTextMapPropagator()
# Of the libraries below, which repeat themselves with each batch.
_LIBRARY = logging.getLogger("opentelemetry")

Report = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Collector:
    """Where traces go. `endpoint` is the collector's address, without /v1/traces.

    `trusts_parent`: callers may say which trace they belong to, and whether it is recorded. `resource` tells whose spans they
    are, `on_request` is on the span of each request too.
    """

    endpoint: str
    sample_ratio: float
    trusts_parent: bool = False
    resource: Mapping[str, str] = field(default_factory=dict)
    on_request: Mapping[str, str] = field(default_factory=dict)
    sending: Sending = field(default_factory=Sending)


class Otlp:
    """Implements `Tracer`. `report` counts spans: "sent" or "lost", and how many."""

    def __init__(self, collector: Collector, report: Report) -> None:
        self._collector = collector
        self._report = report
        self._provider: TracerProvider | None = None
        self._tracer: OtelTracer | None = None
        self._exporter: _Exporter | None = None
        self._level = logging.NOTSET

    def open(self) -> None:
        """Starts the thread that sends."""
        collector = self._collector
        self._level = _LIBRARY.level
        _LIBRARY.setLevel(logging.CRITICAL)
        self._exporter = _Exporter(collector, self._report)
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(collector.sample_ratio)),
            resource=Resource(dict(collector.resource)),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_events=0, max_links=0, max_span_attribute_length=LONGEST_ATTRIBUTE),
        )
        self._provider.add_span_processor(_Queue(self._exporter, self._report, collector.sending))
        self._tracer = self._provider.get_tracer("rag_api")

    def request(self, method: str, route: str, headers: Headers) -> Span:
        """Its trace id is new, or that of a caller who is trusted."""
        if self._tracer is None:
            return Unrecorded()
        method = method if method in _METHODS else "_OTHER"
        parent = _parent(headers) if self._collector.trusts_parent else _NO_PARENT
        span = self._tracer.start_span(f"{method} {route}", parent, SpanKind.SERVER)
        if not span.is_recording():
            context = span.get_span_context()
            return Unrecorded(f"{context.trace_id:032x}", _traceparent(context))
        made = Recorded(self._tracer, span, {})
        made.set({**self._collector.on_request, "http.request.method": method, "http.route": route})
        return made

    async def close(self) -> None:
        """What the collector does not take in `sending.flush` is lost."""
        if self._provider is None or self._exporter is None:
            return
        done, loop = asyncio.Event(), asyncio.get_running_loop()

        def flush(provider: TracerProvider) -> None:
            provider.shutdown()
            with suppress(RuntimeError):  # the loop was not waited for any longer
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=flush, args=(self._provider,), name="traces-flush", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._collector.sending.flush):
                await done.wait()
        self._exporter.shutdown()
        self._tracer = self._provider = None
        _LIBRARY.setLevel(self._level)


class Recorded:
    """Implements `Span` on a sampled span."""

    __slots__ = ("_shared", "_span", "_tracer")
    recording: bool = True

    def __init__(self, tracer: OtelTracer, span: OtelSpan, shared: dict[str, Value]) -> None:
        self._tracer = tracer
        self._span = span
        self._shared = shared

    @property
    def trace_id(self) -> str:
        """32 hex digits."""
        return f"{self._span.get_span_context().trace_id:032x}"

    @property
    def traceparent(self) -> str:
        """Header for servers that are asked."""
        return _traceparent(self._span.get_span_context())

    def set(self, attributes: Attributes) -> None:
        """Put attributes on it."""
        self._span.set_attributes(_present(attributes))

    def share(self, attributes: Attributes) -> None:
        """Put attributes on all spans that are opened below it from now on."""
        self._shared = {**self._shared, **_present(attributes)}

    def fail(self, error_type: str) -> None:
        """The status has no description: that would be the text of an exception."""
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(StatusCode.ERROR)

    def stage(self, name: str) -> Span:
        """Open a span below it for a part of our own work."""
        return self._below(name, SpanKind.INTERNAL, self._shared)

    def call(self, name: str, attributes: Attributes | None = None) -> Span:
        """Open a span below it for one request to a server."""
        return self._below(name, SpanKind.CLIENT, {**self._shared, **_present(attributes or {})})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.fail(error_type(error))
        self._span.end()

    def _below(self, name: str, kind: SpanKind, attributes: dict[str, Value]) -> "Recorded":
        span = self._tracer.start_span(name, set_span_in_context(self._span, _NO_PARENT), kind, attributes)
        return Recorded(self._tracer, span, self._shared)


class _Session(requests.Session):
    """Knows how the last request ended. No environment: proxies of the machine are not for the collector beside us."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.outcome = ""

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        try:
            response = super().request(*arguments, **options)
        except requests.RequestException as error:
            self.outcome = type(error).__name__
            raise
        self.outcome = f"status {response.status_code}"
        return response


class _Exporter(SpanExporter):
    """Sends batches, in the queue's thread. Says once that it cannot, and once that it can again."""

    def __init__(self, collector: Collector, report: Report) -> None:
        self._report = report
        self._endpoint = collector.endpoint + PATH
        self._session = _Session()
        self._sender = OTLPSpanExporter(
            self._endpoint,
            headers={},
            timeout=collector.sending.timeout,
            compression=Compression.Gzip,
            session=self._session,
        )
        self._works = True
        self._closed = False
        self.handled = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Never raises: the library would log each time."""
        result = SpanExportResult.FAILURE if self._closed else self._sender.export(spans)
        self.handled += len(spans)
        sent = result is SpanExportResult.SUCCESS
        self._report("sent" if sent else "lost", len(spans))
        if sent is not self._works and not self._closed:
            self._works = sent
            self._tell()
        return result

    def shutdown(self) -> None:
        """Ends a wait for another try. Called twice when the flush takes too long."""
        if not self._closed:
            self._closed = True
            self._sender.shutdown()  # type: ignore[no-untyped-call]  # the library has no annotation there

    def _tell(self) -> None:
        if self._works:
            LOG.info({"event": "traces", "endpoint": self._endpoint, "message": "Traces arrive again."})
            return
        message = "Traces are lost: the collector does not take them. Answers are not affected. Said once."
        LOG.warning(
            {"event": "traces", "endpoint": self._endpoint, "reason": self._session.outcome, "message": message}
        )


class _Queue(BatchSpanProcessor):
    """Bounded here and not by the library, which would drop what is oldest and log it."""

    def __init__(self, exporter: _Exporter, report: Report, sending: Sending) -> None:
        self._own = exporter
        self._report = report
        self._taken = 0
        self._most = sending.queue
        # One more batch than is let in: the thread takes a batch out before it counts it.
        super().__init__(exporter, sending.queue + BATCH_SPANS, sending.pause * 1000, BATCH_SPANS)

    def on_end(self, span: ReadableSpan) -> None:
        """In the event loop; never waits."""
        if self._taken - self._own.handled >= self._most:
            self._report("lost", 1)
            return
        self._taken += 1
        super().on_end(span)


def _present(attributes: Attributes) -> dict[str, Value]:
    return {name: value for name, value in attributes.items() if value is not None}


def _parent(headers: Headers) -> Context:
    found = [(name.decode(), value.decode("latin-1")) for name, value in headers if name in _FIELDS]
    if len([name for name, _ in found if name == "traceparent"]) != 1:
        return _NO_PARENT
    return _PROPAGATOR.extract(dict(found), _NO_PARENT)


_FIELDS = frozenset({b"traceparent", b"tracestate"})


def _traceparent(context: SpanContext) -> str:
    """W3C Trace Context, version 00. Only the bit "sampled" is told."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{'01' if context.trace_flags.sampled else '00'}"
