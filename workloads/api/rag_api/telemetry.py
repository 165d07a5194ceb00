"""Metrics and logs. Labels are bounded; a log line never holds a question, an answer or a chunk."""

import logging
import sys
from collections.abc import Sequence

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest
from rag_contract.release_table import Prices, Revision

from .context import RequestContext
from .provenance import ATTRIBUTES, model_version
from .schemas import Usage
from .spans import Value

MAX_TENANTS = 50
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_PRICES = (0.00001, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0)
_PAID = ("currency", "model", "tenant")
_REVISION = ("revision", "prompt", "index", "model")
_SPAN_FACTS = {
    **ATTRIBUTES,
    "input_chars": "rag.question.characters",
    "answer_id": "rag.answer.id",
    "finish_reason": "rag.finish_reason",
    "degraded": "rag.degraded",
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "tokens": "gen_ai.usage.output_tokens",
}

REQUEST_LOG = logging.getLogger("rag_api.request")
LOG = logging.getLogger("rag_api")


class JsonFormatter(logging.Formatter):
    """One JSON object a line. A message that is a dict becomes the line's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        head: dict[str, object] = {"time": round(record.created, 3), "level": record.levelname, "logger": record.name}
        fields = record.msg if isinstance(record.msg, dict) else {"message": record.getMessage()}
        if record.exc_info:
            fields = {**fields, "exception": self.formatException(record.exc_info)}
        return orjson.dumps(head | fields, default=str).decode()


def configure_logging(level: str) -> None:
    """Everything to standard output as JSON, uvicorn's own messages included."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)


class Metrics:
    """The process's own registry; nothing global, so that two applications can live in one process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter("rag_requests", "Requests", ("route", "status", "code", "tenant"), registry=registry)
        self.seconds = Histogram(
            "rag_request_seconds", "Whole request", ("route",), buckets=_SECONDS, registry=registry
        )
        self.stages = Histogram("rag_stage_seconds", "One stage", ("stage",), buckets=_SECONDS, registry=registry)
        self.first_token = Histogram(
            "rag_first_token_seconds", "From request to first token", buckets=_SECONDS, registry=registry
        )
        self.open_streams = Gauge("rag_open_streams", "Streams being written", registry=registry)
        self.slots = Gauge("rag_slots_used", "Requests at work", registry=registry)
        self.queue = Gauge("rag_queue_depth", "Requests waiting for a slot", registry=registry)
        self.answers = Counter("rag_answers", "Answers", (*_REVISION, "finish_reason"), registry=registry)
        self.empty = Counter("rag_empty_retrievals", "Questions for which nothing was found", registry=registry)
        self.citations = Counter("rag_citations", "Markers in answers", ("result",), registry=registry)
        self.tokens = Counter("rag_tokens", "Tokens", ("direction", "tenant"), registry=registry)
        self.cost = Counter("rag_cost", "What answers cost at the configured prices", _PAID, registry=registry)
        self.answer_cost = Histogram(
            "rag_answer_cost", "What one answer cost", ("currency",), buckets=_PRICES, registry=registry
        )
        self.fallbacks = Counter("rag_fallbacks", "Answers by a fallback of the model", ("to",), registry=registry)
        self.upstream = Counter("rag_upstream_failures", "Failures upstream", ("upstream", "reason"), registry=registry)
        self.limited = Counter("rag_rate_limited", "Requests over the rate", ("tenant",), registry=registry)
        self.loads = Counter("rag_release_table_loads", "Release tables read", ("result",), registry=registry)
        self.spans = Counter("rag_trace_spans", "Spans for the collector of traces", ("result",), registry=registry)
        self.weight = Gauge("rag_revision_weight", "Share of the requests, per cent", _REVISION, registry=registry)
        # Children are looked up by their labels once; a look-up costs more than the increment.
        self.stage = {name: self.stages.labels(name) for name in ("embedding", "retrieval", "generation")}
        self.valid, self.dropped = self.citations.labels("valid"), self.citations.labels("dropped")
        self._token_children: dict[str, tuple[Counter, Counter]] = {}
        self._answer_children: dict[tuple[int, str], Counter] = {}
        self._request_children: dict[tuple[str, int, str, str], Counter] = {}
        self._route_children: dict[str, Histogram] = {}
        self._tenants: set[str] = set()

    def render(self) -> bytes:
        """The text format."""
        return generate_latest(self.registry)

    def upstream_failed(self, upstream: str, reason: str) -> None:
        """Implements the retriever's `Failures`."""
        self.upstream.labels(upstream, reason).inc()

    def spans_told(self, result: str, count: int) -> None:
        """Implements the tracer's `Report`."""
        self.spans.labels(result).inc(count)

    def table_read(self, result: str) -> None:
        """A release table was read: "good" or "bad"."""
        self.loads.labels(result).inc()

    def tenant(self, context: RequestContext) -> str:
        """The tenant as a label: the first fifty by name, the rest together."""
        if context.principal is None:
            return ""
        name = context.principal.tenant
        if name not in self._tenants:
            if len(self._tenants) >= MAX_TENANTS:
                return "other"
            self._tenants.add(name)
        return name

    def serve(self, before: Sequence[Revision], now: Sequence[Revision]) -> None:
        """Publish the weights; the labels of revisions that are no longer served go away."""
        self._answer_children.clear()
        kept = {_labels(revision) for revision in now}
        for labels in {_labels(revision) for revision in before} - kept:
            self.weight.remove(*labels)
            self.answers.remove_by_labels(dict(zip(_REVISION, labels, strict=True)))
        for revision in now:
            self.weight.labels(*_labels(revision)).set(revision.weight)

    def fell_back(self, to: str) -> None:
        """Implements the generators' `Fallbacks`."""
        self.fallbacks.labels(to).inc()

    def paid(self, context: RequestContext, prices: Prices, usage: Usage) -> float:
        """What an answer of the release's model cost, in units of the prices' currency."""
        paid = usage.prompt_tokens * prices.prompt_per_million + usage.completion_tokens * prices.completion_per_million
        cost = paid / 1_000_000
        model = str(context.facts.get("model_version", ""))
        self.cost.labels(prices.currency, model, self.tenant(context)).inc(cost)
        self.answer_cost.labels(prices.currency).observe(cost)
        return cost

    def answered(self, context: RequestContext, revision: Revision, finish_reason: str, usage: Usage) -> None:
        """One answer was made."""
        key = (revision.number, finish_reason)
        child = self._answer_children.get(key)
        if child is None:
            child = self._answer_children[key] = self.answers.labels(*_labels(revision), finish_reason)
        child.inc()
        tenant = self.tenant(context)
        tokens = self._token_children.get(tenant)
        if tokens is None:
            tokens = self._token_children[tenant] = (
                self.tokens.labels("in", tenant),
                self.tokens.labels("out", tenant),
            )
        tokens[0].inc(usage.prompt_tokens)
        tokens[1].inc(usage.completion_tokens)

    def finished(self, context: RequestContext, seconds: float) -> None:
        """One request ended, however it ended."""
        key = (context.route, context.status, context.error_code, self.tenant(context))
        request = self._request_children.get(key)
        if request is None:
            request = self._request_children[key] = self.requests.labels(*map(str, key))
        request.inc()
        route = self._route_children.get(context.route)
        if route is None:
            route = self._route_children[context.route] = self.seconds.labels(context.route)
        route.observe(seconds)


def log_request(context: RequestContext, seconds: float, *, quiet: bool) -> None:
    """The one line of a request; `quiet` routes (probes, metrics) only at DEBUG."""
    level = logging.DEBUG if quiet else logging.INFO
    if not REQUEST_LOG.isEnabledFor(level):
        return
    latency = context.latency
    who = context.principal
    line: dict[str, object] = {
        "event": "request",
        "route": context.route,
        "status": context.status,
        "trace_id": context.trace_id,
        "tenant": who.tenant if who else None,
        "key_id": who.key_id if who else None,
        "error_code": context.error_code or None,
        "latency_ms": {
            "queue": latency.queue,
            "retrieval": latency.retrieval,
            "generation": latency.generation,
            "total": round(seconds * 1000, 3),
        },
        **context.facts,
    }
    REQUEST_LOG.log(level, line)


def trace_request(context: RequestContext) -> None:
    """End the span of a request, with what its log line says.

    `rag.trace_id` is the x-trace-id of the answer: the trace's own id, unless the client brought another.
    """
    span = context.span
    if not span.recording:
        return
    who = context.principal
    context.facts["otel_trace_id"] = span.trace_id
    told: dict[str, Value | None] = {
        "http.response.status_code": context.status or None,
        "rag.trace_id": context.trace_id,
        "rag.tenant": who.tenant if who else None,
        "rag.key_id": who.key_id if who else None,
        "error.type": context.error_code or None,
    }
    for fact, attribute in _SPAN_FACTS.items():
        value = context.facts.get(fact)
        told[attribute] = value if isinstance(value, str | int | float) else None
    with span:
        span.set(told)
        # A stream that broke has said 200 before; a client's own fault is no error of ours.
        if context.error_code and (context.status >= 500 or context.status == 200):
            span.fail(context.error_code)


def _labels(revision: Revision) -> tuple[str, str, str, str]:
    return str(revision.number), revision.prompt.version, revision.index.version, model_version(revision.model)
