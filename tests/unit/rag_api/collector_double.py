"""A double of a collector of traces: OTLP over HTTP on a real socket, decoded by the protocol's own classes."""

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

MEDIA_TYPE = "application/x-protobuf"
KINDS = {
    trace_pb2.Span.SPAN_KIND_INTERNAL: "internal",
    trace_pb2.Span.SPAN_KIND_SERVER: "server",
    trace_pb2.Span.SPAN_KIND_CLIENT: "client",
}


@dataclass(frozen=True)
class Told:
    """One span as it arrived; ids in hex, times in nanoseconds."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    failed: bool
    description: str
    events: int
    start: int
    end: int


@dataclass
class Collector:
    """What arrived. `status` other than 200 refuses; `slow` seconds go by before any answer."""

    url: str = ""
    status: int = 200
    slow: float = 0.0
    asked: int = 0
    paths: set[str] = field(default_factory=set)
    spans: list[Told] = field(default_factory=list)
    resource: dict[str, Any] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        """Implements the protocol's one method."""
        self.asked += 1
        body = await request.read()
        await asyncio.sleep(self.slow)
        if self.status != 200:
            return web.Response(status=self.status)
        return web.Response(body=self.keep(request.path, body), content_type=MEDIA_TYPE)

    def keep(self, path: str, body: bytes) -> bytes:
        """Note what arrived; what is answered."""
        self.paths.add(path)
        self.bodies.append(body)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource = _attributes(group.resource.attributes)
            self.spans += [_told(span) for scope in group.scope_spans for span in scope.spans]
        answer: bytes = ExportTraceServiceResponse().SerializeToString()
        return answer

    def named(self, start: str) -> Told:
        """The one span whose name begins so."""
        (found,) = [span for span in self.spans if span.name.startswith(start)]
        return found


@asynccontextmanager
async def collector(**how: Any) -> AsyncIterator[Collector]:
    """Running until the end of the block."""
    made = Collector(**how)
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_post("/{path:.*}", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


@contextmanager
def collector_for_pods(host: str) -> Iterator[Collector]:
    """The same in a thread of its own, on an address of this machine that pods reach."""
    made = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = made.keep(self.path, gzip.decompress(body))
            self.send_response(200)
            self.send_header("content-type", MEDIA_TYPE)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            """Nothing."""

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True
    made.url = f"http://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _told(span: trace_pb2.Span) -> Told:
    return Told(
        name=span.name,
        kind=KINDS[span.kind],
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        attributes=_attributes(span.attributes),
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        description=span.status.message,
        events=len(span.events) + len(span.links),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
    )


def _attributes(found: Any) -> dict[str, Any]:
    pairs: list[KeyValue] = list(found)
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_value(each) for each in value.array_value.values)
    return getattr(value, str(kind))
