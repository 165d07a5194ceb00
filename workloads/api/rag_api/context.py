"""What belongs to one request, made once and passed explicitly: nothing about a request lives anywhere else."""

import asyncio
import re
import secrets
from dataclasses import dataclass, field
from typing import Literal

from starlette.types import Scope

from .auth import Principal
from .schemas import Latency
from .spans import NOTHING, Span
from .sse import EventStream

_TRACE_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_SESSION = re.compile(rb"[A-Za-z0-9._:@-]{1,128}")

Abort = Literal["client_gone", "draining"]


@dataclass(slots=True, eq=False)
class RequestContext:
    """`started` is on the process's monotonic clock, in seconds. The rest is filled in on the way."""

    route: str
    trace_id: str
    started: float
    session: str = ""
    principal: Principal | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    latency: Latency = field(default_factory=Latency)
    status: int = 0
    error_code: str = ""
    facts: dict[str, object] = field(default_factory=dict)
    stream: EventStream | None = None
    task: asyncio.Task[object] | None = None
    aborted: Abort | None = None
    span: Span = NOTHING

    def abort(self, why: Abort) -> None:
        """Stop the work on this request, from wherever it stands. The first reason counts."""
        if self.aborted is None and self.task is not None:
            self.aborted = why
            self.task.cancel()


def open_context(route: str, scope: Scope, started: float, span: Span = NOTHING) -> RequestContext:
    """A context with the caller's trace id and session where they are well formed; else the span's or a new trace id and no
    session."""
    trace_id = session = ""
    for name, value in scope["headers"]:
        if name == b"x-trace-id" and _TRACE_ID.fullmatch(value):
            trace_id = value.decode()
        elif name == b"x-session-id" and _SESSION.fullmatch(value):
            session = value.decode()
    return RequestContext(route, trace_id or span.trace_id or secrets.token_hex(16), started, session, span=span)
