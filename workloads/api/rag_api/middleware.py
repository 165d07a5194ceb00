"""The one ASGI middleware: trace id, credential, limits, disconnects, errors, headers, metrics, one log line.

every request:   context -> route -> response, or an ApiError in our body -> metrics, log
a hot route:     method, media type -> key -> rate -> body -> parse -> slot -> work, watched for the client leaving
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .admission import Admission, read_body
from .context import RequestContext, open_context
from .drain import Drain
from .errors import ApiError, Draining, InternalError
from .spans import NOTHING, UNTRACED, Tracer
from .telemetry import LOG, Metrics, log_request, trace_request

Handler = Callable[[RequestContext, bytes, Send], Awaitable[None]]

_QUIET = frozenset({"/health", "/ready", "/metrics"})
_SLOW = frozenset({"/health", "/ready", "/models/current", "/version", "/metrics", "/docs", "/openapi.json"})
_CLIENT_CLOSED_REQUEST = 499


class Gateway:
    """The application that uvicorn runs: hot routes by hand, everything else by `slow`."""

    def __init__(
        self,
        slow: ASGIApp,
        hot: Mapping[str, Handler],
        admission: Admission,
        drain: Drain,
        metrics: Metrics,
        *,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._slow = slow
        self._hot = hot
        self._admission = admission
        self._drain = drain
        self._metrics = metrics
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        if scope["type"] != "http":
            await self._slow(scope, receive, send)
            return
        path = scope["path"]
        known = path in self._hot or path in _SLOW
        span = self._tracer.request(scope["method"], path, scope["headers"]) if path in self._hot else NOTHING
        context = open_context(path if known else "other", scope, time.perf_counter(), span)
        answer = _Answer(context, send, self._drain)
        try:
            await self._serve(context, scope, receive, answer)
        finally:
            seconds = time.perf_counter() - context.started
            trace_request(context)
            self._metrics.finished(context, seconds)
            log_request(context, seconds, quiet=path in _QUIET and context.status < 500)

    async def _serve(self, context: RequestContext, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        handler = self._hot.get(scope["path"])
        try:
            if handler is None:
                scope.setdefault("state", {})["trace_id"] = context.trace_id
                await self._slow(scope, receive, answer.send)
            else:
                await self._work(context, handler, scope, receive, answer)
        except asyncio.CancelledError:
            await self._cancelled(context, answer)
        except ApiError as error:
            await answer.fail(error)
        except Exception:
            LOG.exception({"event": "bug", "trace_id": context.trace_id, "route": context.route})
            await answer.fail(InternalError("Something went wrong. The log has more under the trace id."))

    async def _cancelled(self, context: RequestContext, answer: "_Answer") -> None:
        """By our own hand, or by the server that is being stopped."""
        if context.aborted and context.task is not None:
            context.task.uncancel()
        if context.aborted == "client_gone":
            context.status, context.error_code = _CLIENT_CLOSED_REQUEST, "CLIENT_GONE"
            if context.stream:
                context.stream.closed = True
            return
        await answer.fail(Draining("This pod is being stopped. Ask again.", retry_after=1))
        if not context.aborted:
            raise asyncio.CancelledError

    async def _work(
        self, context: RequestContext, handler: Handler, scope: Scope, receive: Receive, answer: "_Answer"
    ) -> None:
        context.task = asyncio.current_task()
        self._refuse_when_closed()
        self._admission.identify(context, scope)
        body = await read_body(scope, receive)
        self._refuse_when_closed()  # a body may take its time
        self._drain.enter(context)
        watcher = asyncio.create_task(_watch(context, receive, answer))
        try:
            await handler(context, body, answer.send)
        finally:
            watcher.cancel()
            self._drain.leave(context)

    def _refuse_when_closed(self) -> None:
        if self._drain.closed:
            raise Draining("This pod is being stopped. Ask again.", retry_after=1)


async def _watch(context: RequestContext, receive: Receive, answer: "_Answer") -> None:
    """The body is read, so the next message can only be that the client has gone."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            # The server says the same when the response is complete.
            if not answer.complete:
                context.abort("client_gone")
            return


class _Answer:
    """Puts our headers on the response and knows how to end it well, whatever state it is in."""

    def __init__(self, context: RequestContext, send: Send, drain: Drain) -> None:
        self._context = context
        self._send = send
        self._drain = drain
        self._started = False
        self.complete = False

    async def send(self, message: Message) -> None:
        """The ASGI send that handlers are given."""
        if message["type"] == "http.response.start":
            self._started = True
            context = self._context
            context.status = message["status"]
            took = (time.perf_counter() - context.started) * 1000
            message["headers"] = [
                *message.get("headers", ()),
                (b"x-trace-id", context.trace_id.encode()),
                (b"x-response-time-ms", b"%.3f" % took),
                *context.headers,
                *(((b"connection", b"close"),) if self._drain.draining else ()),
            ]
        elif message["type"] == "http.response.body":
            self.complete = not message.get("more_body", False)
        await self._send(message)

    async def fail(self, error: ApiError) -> None:
        """An error body, or the terminal event of a stream that has begun. Nothing when the response is complete."""
        context = self._context
        context.error_code = error.code
        if context.stream is not None and context.stream.opened:
            await context.stream.fail(error, context.trace_id)
        elif not self._started:
            retry = ((b"retry-after", b"%d" % error.retry_after),) if error.retry_after else ()
            await respond(self.send, error.status, error.body(context.trace_id), (*retry, *error.headers))


async def respond(send: Send, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    """A whole JSON response."""
    start = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
