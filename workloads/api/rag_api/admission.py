"""Who may ask, how often, how much: everything that is decided before a question is looked at."""

import asyncio
import time

from starlette.types import Receive, Scope

from .auth import Authenticator
from .context import RequestContext
from .errors import BadRequest, MethodNotAllowed, PayloadTooLarge, RateLimited, UnsupportedMediaType
from .limits import RateLimit, Slots
from .spans import NOTHING
from .telemetry import Metrics

MAX_BODY_BYTES = 64 * 1024
BODY_SECONDS = 10.0


class Admission:
    """The gate of the hot routes."""

    def __init__(self, authenticator: Authenticator, rate: RateLimit, slots: Slots, metrics: Metrics) -> None:
        self._authenticator = authenticator
        self._rate = rate
        self._slots = slots
        self._metrics = metrics
        metrics.slots.set_function(lambda: slots.used)
        metrics.queue.set_function(lambda: slots.waiting)

    def identify(self, context: RequestContext, scope: Scope) -> None:
        """Method, media type, key and rate, in this order. Raises ApiError."""
        if scope["method"] != "POST":
            raise MethodNotAllowed("Use POST.", headers=((b"allow", b"POST"),))
        _json_only(scope)
        context.principal = principal = self._authenticator.authenticate(scope)
        try:
            context.headers.extend(self._rate.take(principal.key_id))
        except RateLimited:
            self._metrics.limited.labels(self._metrics.tenant(context)).inc()
            raise

    async def enter(self, context: RequestContext) -> None:
        """Take a slot; `leave` gives it back. Raises ConcurrencyLimit."""
        started = time.perf_counter()
        try:
            with NOTHING if self._slots.free else context.span.stage("queue"):
                await self._slots.acquire()
        finally:
            context.latency.queue = round((time.perf_counter() - started) * 1000, 3)

    def leave(self) -> None:
        """Give the slot back."""
        self._slots.release()


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body. Raises PayloadTooLarge above 64 KiB, BadRequest when it does not arrive, or not in ten seconds."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > MAX_BODY_BYTES:
            raise _too_large()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _collect(receive)
    except TimeoutError:
        raise BadRequest("The body did not arrive in time.", headers=((b"connection", b"close"),)) from None


async def _collect(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("The body is incomplete.")
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise _too_large()
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _too_large() -> PayloadTooLarge:
    return PayloadTooLarge(f"A body may have at most {MAX_BODY_BYTES} bytes.", headers=((b"connection", b"close"),))


def _json_only(scope: Scope) -> None:
    for name, value in scope["headers"]:
        if name == b"content-type":
            if value.split(b";", 1)[0].strip().lower() == b"application/json":
                return
            break
    raise UnsupportedMediaType("Send the question as `content-type: application/json`.")
