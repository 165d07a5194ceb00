"""The servers that speak the OpenAI protocol: connections, keys, and what is remembered of each one's health.

        three failures in a row            the pause is over
closed ------------------------> open ------------------------> half open: one request at a time
   ^                               ^                              |  |
   |                               `------------ fails -----------'  |
   `---------------------------------------------- answers ----------'
"""

import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import aiohttp
from rag_contract.release_table import Endpoint

from .errors import ApiError, UpstreamError, UpstreamRateLimited
from .model_keys import KeyMissing, ModelKeys

FAILURES_TO_OPEN = 3
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
CONNECT_SECONDS = 3.0
_REMEMBERED = 256


@dataclass(slots=True)
class Health:
    """What is remembered of one server. `at_work` are requests now; times are on the process's monotonic clock."""

    at_work: int = 0
    failures: int = 0
    failed_at: float = -math.inf
    answered_at: float = -math.inf
    retry_at: float = -math.inf
    tried: bool = False
    used: int = 0

    @property
    def open(self) -> bool:
        return self.failures >= FAILURES_TO_OPEN


class Failed(Exception):
    """One server did not do its part. `error` is what a client would be told, `reason` a word for the metrics.

    `elsewhere`: another server of the same model may do better. `ill`: the server itself is at fault, not the request.
    """

    def __init__(self, error: ApiError, reason: str, *, elsewhere: bool = True, ill: bool = True) -> None:
        super().__init__(reason)
        self.error = error
        self.reason = reason
        self.elsewhere = elsewhere
        self.ill = ill

    @property
    def error_type(self) -> str:
        """What a span calls it."""
        return self.reason


class Servers:
    """One pool of connections for all of them. Opened and closed by the application's lifespan."""

    def __init__(self, keys: ModelKeys, clock: Callable[[], float]) -> None:
        self._keys = keys
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._known: OrderedDict[tuple[str, str], Health] = OrderedDict()
        self._uses = 0

    async def open(self) -> None:
        """Make the connection pool. The number of connections is bounded by the slots, not here."""
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        )

    async def close(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()

    def health(self, endpoint: Endpoint) -> Health:
        """What is remembered of a server; the ones that were not asked for longest are forgotten."""
        key = endpoint.url, endpoint.model
        health = self._known.get(key)
        if health is None:
            health = self._known[key] = Health()
            idle = (name for name, each in self._known.items() if not each.at_work and each is not health)
            if len(self._known) > _REMEMBERED and (oldest := next(idle, None)):
                del self._known[oldest]
        self._known.move_to_end(key)
        return health

    def best(self, endpoints: Sequence[Endpoint]) -> Endpoint | None:
        """Of those that may be asked now one without a recent failure, the least loaded, the longest unused."""
        now = self._clock()
        known = [(self.health(each), each) for each in endpoints]
        usable = [pair for pair in known if not pair[0].open or (now >= pair[0].retry_at and not pair[0].tried)]
        if not usable:
            return None
        return min(usable, key=lambda pair: (pair[0].failures > 0, pair[0].at_work, pair[0].used))[1]

    @contextmanager
    def at_work(self, endpoint: Endpoint) -> Iterator[Health]:
        """Count a request for the time of the block, and whether it failed by the server's fault.

        Of requests that were at work together one failure counts: ten that broke with one crash are one crash.
        """
        health = self.health(endpoint)
        self._uses += 1
        started, trial, health.used = self._clock(), health.open, self._uses
        health.at_work += 1
        health.tried = health.tried or trial
        try:
            yield health
        except Failed as failure:
            if failure.ill and health.failed_at <= started:
                self._failed(health)
            raise
        finally:
            health.at_work -= 1
            if trial:
                health.tried = False

    def answered(self, health: Health) -> None:
        """The server did its part."""
        health.failures, health.answered_at = 0, self._clock()

    def _failed(self, health: Health) -> None:
        now = self._clock()
        health.failures, health.failed_at = health.failures + 1, now
        pause = FIRST_PAUSE_SECONDS * 2.0 ** min(health.failures - FAILURES_TO_OPEN, 10)
        health.retry_at = now + min(pause, LONGEST_PAUSE_SECONDS)

    @asynccontextmanager
    async def call(
        self, endpoint: Endpoint, path: str, body: bytes | None, headers: dict[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer, whose status is 200; not yet read. A body that was not read to its end closes the connection.

        Raises Failed; TimeoutError when connecting takes too long. Everything else is bounded by the caller.
        """
        try:
            key = self._keys.header(endpoint.key)
        except KeyMissing:
            message = "The key of the model server is missing: its Secret does not exist or has no such key."
            raise Failed(UpstreamError(message), "key_missing") from None
        method = "GET" if body is None else "POST"
        try:
            response = await self._send(method, endpoint.url.rstrip("/") + path, body, {**(headers or {}), **key})
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise Failed(UpstreamError("The model server cannot be reached."), "unreachable") from error
        try:
            if response.status != 200:
                raise refused(response)
            yield response
        finally:
            response.close() if not response.content.at_eof() else response.release()

    async def _send(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> aiohttp.ClientResponse:
        """Sent once more when a pooled connection turned out to be dead, as after the server's restart."""
        if self._session is None:
            raise RuntimeError("the pool is not open")
        sent = {"content-type": "application/json", **headers}
        try:
            return await self._session.request(method, url, data=body, headers=sent, allow_redirects=False)
        except aiohttp.ServerDisconnectedError:
            return await self._session.request(method, url, data=body, headers=sent, allow_redirects=False)


def refused(response: aiohttp.ClientResponse) -> Failed:
    """What a status other than 200 means. The server's own words stay out of it: they may hold the prompt."""
    status = response.status
    if status == 429:
        wait = response.headers.get("retry-after", "")
        after = min(int(wait), 60) if wait.isascii() and wait.isdigit() else 1
        busy = UpstreamRateLimited("The model server asks for patience.", retry_after=after)
        return Failed(busy, "rate_limited", ill=False)
    if status in {401, 403}:
        return Failed(UpstreamError("The model server refuses this API's key."), "key_refused")
    if status == 404:
        return Failed(UpstreamError("The model server does not know the model."), "no_model")
    if 400 <= status < 500:
        error = UpstreamError("The model server refuses the request.")
        return Failed(error, "refused", elsewhere=False, ill=False)
    return Failed(UpstreamError("The model server answered with an error."), "bad_status")
