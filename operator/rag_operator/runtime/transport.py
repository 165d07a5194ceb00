"""One request to the API server, and its answer: time-outs, 429, what counts as broken. `client.py` says what to ask.

Every request has a time-out. A 429, whoever gets it, is waited out as the server asks by all requests but those for the
Lease, because it is the whole of us that is too fast: only what is on its way already is still sent. A write is sent only while the fence is open: that is looked at again in the very step that puts it on the wire.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import aiohttp
import orjson
from aiohttp.abc import AbstractStreamWriter

from .errors import ApiError, NotLeading, Unreachable
from .login import Login
from .session import USER_AGENT, new_session
from .slots import Slots

Json = dict[str, Any]
PLAIN: Final = "application/json"
CONNECT_SECONDS: Final = 5.0
MAX_TRIES: Final = 5
MAX_WAIT_SECONDS: Final = 30.0
AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to send. `verb` and `kind` name it in metrics. `seconds` replaces the usual time-out.

    An `urgent` request (the Lease) passes the fence, does not wait for others, and is sent once.
    With `any_status` an answer that is not the API server's own Status is returned whatever its HTTP status.
    """

    verb: str
    method: str
    path: str
    kind: str = ""
    params: Mapping[str, str] | None = None
    data: bytes | None = None
    content_type: str = PLAIN
    accept: str = PLAIN
    seconds: float | None = None
    urgent: bool = False
    any_status: bool = False

    @property
    def writes(self) -> bool:
        """It changes something."""
        return self.method != "GET"


class _Body(aiohttp.BytesPayload):
    """What is sent by a write, if `check` does not raise right before. Headers wait for the body: then nothing is sent at all.

    Slots and TLS handshakes are waited for, and a process that was frozen there goes on from there when it wakes.
    """

    def __init__(self, data: bytes, check: Callable[[], None]) -> None:
        super().__init__(data)
        self._check = check

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self._check()
        await super().write_with_length(writer, content_length)


class Transport:
    """Sends requests over one session. Made on a running event loop; `close` it."""

    def __init__(
        self,
        login: Login,
        *,
        request_seconds: float,
        silence_seconds: float,
        on_request: Callable[[str, str, int], None],
        user_agent: str = USER_AGENT,
    ) -> None:
        self.login = login
        self.fence: Callable[[], bool] = lambda: True
        self._on_request = on_request
        self._timeout = aiohttp.ClientTimeout(total=request_seconds, connect=CONNECT_SECONDS)
        self._watch_timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_read=silence_seconds)
        self._session = new_session(login, user_agent)
        self._open_at = 0.0
        self._slots = Slots(AT_ONCE)

    async def close(self) -> None:
        """Close all connections; running streams end."""
        await self._session.close()

    async def call(self, request: Request) -> bytes:
        """The answer's body. Raises ApiError, Unreachable or NotLeading."""
        for attempt in range(1, MAX_TRIES + 1):
            # A pod's answer through the API server takes the pod's time: nobody waits for it.
            alone = request.urgent or request.any_status
            async with contextlib.nullcontext() if alone else self._slots.one():
                if not request.urgent:
                    await self._gate()  # in the slot, for it may have closed while we waited
                self._look_at_fence(request)
                status, answer, headers = await self._send(request)
            if status < 300:
                return answer
            error = refusal(status, headers, answer)
            if request.any_status and not error.reason:
                return answer
            self._heed(status, error)
            if status != 429 or request.urgent or attempt == MAX_TRIES:
                raise error
        raise AssertionError  # the loop ends by return or raise

    async def stream(self, request: Request) -> AsyncIterator[bytes]:
        """Lines of an endless answer, until the server ends it. Raises ApiError, or Unreachable for a broken one."""
        await self._gate()
        status = 0
        try:
            async with self._session.get(
                self._url(request),
                params=request.params,
                headers={"Accept": request.accept},
                timeout=self._watch_timeout,
            ) as response:
                status = response.status
                if status != 200:
                    error = refusal(status, response.headers, await response.read())
                    self._heed(status, error)
                    raise error
                async for line in lines(response.content):
                    yield line
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as fault:
            raise Unreachable(f"{request.verb} {request.path}: {type(fault).__name__} {fault}") from fault
        finally:
            self._on_request(request.verb, request.kind, status)

    async def _send(self, request: Request) -> tuple[int, bytes, Mapping[str, str]]:
        limit = self._timeout if request.seconds is None else aiohttp.ClientTimeout(total=request.seconds)
        headers = {"Accept": request.accept}
        if request.data is not None:
            headers["Content-Type"] = request.content_type
        status, sent = 0, True
        try:
            async with self._session.request(
                request.method,
                self._url(request),
                params=request.params,
                data=request.data and _Body(request.data, partial(self._look_at_fence, request)),
                headers=headers,
                timeout=limit,
            ) as response:
                answer = await response.read()
                status = response.status
                return status, answer, response.headers
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            if isinstance(error.__cause__, NotLeading):
                sent = False
                raise error.__cause__ from None
            raise Unreachable(f"{request.verb} {request.path}: {type(error).__name__} {error}") from error
        finally:
            if sent:
                self._on_request(request.verb, request.kind, status)

    def _look_at_fence(self, request: Request) -> None:
        """Raises NotLeading for a write that may not be sent now."""
        if request.writes and not request.urgent and not self.fence():
            raise NotLeading(f"{request.verb} {request.path}: the Lease is not held")

    def _url(self, request: Request) -> str:
        return self.login.server + request.path

    def _heed(self, status: int, error: ApiError) -> None:
        if status == 429:
            self._close_gate(error.retry_after if error.retry_after is not None else 1.0)

    def _close_gate(self, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        self._open_at = max(self._open_at, now + min(seconds, MAX_WAIT_SECONDS))

    async def _gate(self) -> None:
        """Wait until the server wants to hear of us again; it may have said so anew meanwhile."""
        loop = asyncio.get_running_loop()
        while (wait := self._open_at - loop.time()) > 0:  # noqa: ASYNC110 (a time, not an event, is awaited)
            await asyncio.sleep(wait)


def decode(data: bytes) -> Json:
    """A JSON object. Raises Unreachable for anything else: the answer was torn or is not the API server's."""
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Unreachable(f"the answer is no JSON: {data[:80]!r}") from error
    if not isinstance(body, dict):
        raise Unreachable(f"the answer is no object: {data[:80]!r}")
    return body


def refusal(status: int, headers: Mapping[str, str], answer: bytes) -> ApiError:
    """The error that an HTTP answer tells."""
    wait = headers.get("Retry-After", "")
    retry_after = float(wait) if wait.isascii() and wait.isdigit() else None
    try:
        body = orjson.loads(answer)
    except orjson.JSONDecodeError:
        body = answer.decode(errors="replace")
    return ApiError.from_status(body, status, retry_after)


async def lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length. Raises Unreachable when the stream ends inside one."""
    pending: list[bytes] = []
    async for chunk in stream.iter_any():
        first, *rest = chunk.split(b"\n")
        pending.append(first)
        for part in rest:
            line = b"".join(pending)
            pending = [part]
            if line:
                yield line
    if any(pending):
        raise Unreachable("the stream ended inside a line")
