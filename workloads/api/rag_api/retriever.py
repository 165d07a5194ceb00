"""Reads from Qdrant's REST API over pooled connections: no client library on the hot path.

The filter of the caller's tenant and roles is part of every query, and what comes back is checked against it once more:
a store that ignored the filter is an error, not a leak.
"""

from typing import NamedTuple, Protocol

import aiohttp
import msgspec
import orjson
from rag_contract import payload
from rag_contract.analysis import SparseVector, encode_query
from rag_contract.identity import DENSE_VECTOR, METADATA_KEY, SPARSE_VECTOR, CollectionStamp
from rag_contract.release_table import Revision

from .auth import Principal
from .errors import ApiError, NotReady, RetrievalTimeout, UpstreamError, UpstreamRateLimited
from .spans import NOTHING, Span, store_call
from .text import visible

_INCLUDE = orjson.Fragment(orjson.dumps({"include": [*payload.READ, payload.TENANT, payload.ROLES]}))
_MAX_ANSWER_BYTES = 8 * 1024 * 1024
HYBRID_DEPTH = 4
HYBRID_LEAST = 20
"""Each ranking of a hybrid query is this many times as long as the answer, and at least this long."""


class Source(NamedTuple):
    """One retrieved chunk. `text` and `heading` are already free of hidden characters."""

    document_id: str
    chunk_id: str
    title: str
    heading: str
    url: str | None
    page: int | None
    text: str


class Sample(NamedTuple):
    """A chunk as it is stored, and who may read it."""

    text: str
    tenant: str
    roles: tuple[str, ...]


class Asked(NamedTuple):
    """A question. `vector` is its embedding, None where the release compares words only."""

    text: str
    vector: list[float] | None = None


class Failures(Protocol):
    """Counts what went wrong upstream."""

    def upstream_failed(self, upstream: str, reason: str) -> None:
        """One failure; `reason` is from a small closed list."""


class _Payload(msgspec.Struct, gc=False):
    document_id: str
    chunk_id: str
    tenant: str
    roles: list[str]
    text: str
    title: str = ""
    heading: str | None = ""
    url: str | None = None
    page: int | None = None


class _Point(msgspec.Struct, gc=False):
    payload: _Payload
    score: float = 0.0


class _Points(msgspec.Struct, gc=False):
    points: list[_Point]


class _QueryAnswer(msgspec.Struct, gc=False):
    result: _Points


class CollectionInfo(NamedTuple):
    """What the store says of a collection. `stamp` is None when it bears none of ours."""

    points: int
    status: str
    stamp: CollectionStamp | None


_DECODE = msgspec.json.Decoder(_QueryAnswer).decode


class Qdrant:
    """One Qdrant server. `timeout` is in seconds, per request. Opened and closed by the application's lifespan."""

    def __init__(self, url: str, api_key: str, timeout: float, failures: Failures) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._url = url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._failures = failures
        self._headers = {"content-type": "application/json"}
        if api_key:
            self._headers["api-key"] = api_key

    async def open(self) -> None:
        """Make the connection pool. The number of connections is bounded by the slots, not here."""
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        # No environment, no cookies: proxies of the machine are not for the store beside us.
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, timeout=self._timeout
        )

    async def close(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()

    async def search(
        self, principal: Principal, revision: Revision, asked: Asked, limit: int, span: Span = NOTHING
    ) -> list[Source]:
        """The best chunks that the principal may read, best first; empty when there is nothing to search by.

        Raises RetrievalTimeout, UpstreamError, UpstreamRateLimited, NotReady (no such collection).
        """
        body = _query(asked, principal, revision, limit)
        if body is None:
            return []
        collection = revision.index.collection
        with store_call(span, self._url, collection) as call:
            answer = await self._read("POST", f"/collections/{collection}/points/query", body)
            try:
                points = _DECODE(answer).result.points
            except msgspec.MsgspecError as error:
                raise self._wrong("bad_answer", "The vector store's answer could not be read.") from error
            call.set({"db.response.returned_rows": len(points)})
            return [self._source(point, principal) for point in points]

    async def sample(self, name: str, limit: int) -> list[Sample]:
        """Some chunks of a collection, whoever may read them: for the pod's own eyes. Raises as `search`."""
        body = orjson.dumps({"limit": limit, "with_payload": _INCLUDE, "with_vector": False})
        answer = await self._read("POST", f"/collections/{name}/points/scroll", body)
        try:
            points = _DECODE(answer).result.points
        except msgspec.MsgspecError as error:
            raise self._wrong("bad_answer", "The vector store's answer could not be read.") from error
        return [Sample(visible(p.payload.text), p.payload.tenant, tuple(p.payload.roles)) for p in points]

    async def collection(self, name: str) -> CollectionInfo:
        """Size and stamp of a collection. Raises as `search`."""
        answer = await self._read("GET", f"/collections/{name}", None)
        try:
            result = orjson.loads(answer)["result"]
            metadata = result.get("config", {}).get("metadata") or {}
            stamp = metadata.get(METADATA_KEY)
            return CollectionInfo(
                points=int(result.get("points_count") or 0),
                status=str(result.get("status", "")),
                stamp=CollectionStamp.model_validate(stamp) if stamp is not None else None,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._wrong("bad_answer", "The vector store's answer could not be read.") from error

    async def ping(self) -> None:
        """The server answers that it is ready. Raises as `search`."""
        await self._read("GET", "/readyz", None)

    async def _read(self, method: str, path: str, body: bytes | None) -> bytes:
        """One request; asked once more when a pooled connection turned out to be dead, as after a restart."""
        try:
            try:
                return await self._once(method, path, body)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                return await self._once(method, path, body)
        except TimeoutError as error:
            self._failures.upstream_failed("qdrant", "timeout")
            raise RetrievalTimeout("The vector store did not answer in time.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._wrong("unreachable", "The vector store cannot be reached.") from error

    async def _once(self, method: str, path: str, body: bytes | None) -> bytes:
        if self._session is None:
            raise RuntimeError("the retriever is not open")
        async with self._session.request(
            method, self._url + path, data=body, headers=self._headers, allow_redirects=False
        ) as response:
            if response.status != 200:
                raise self._refused(response.status)
            return await self._content(response)

    async def _content(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, bounded whether or not its length was said beforehand."""
        said = response.content_length
        if said is not None and said <= _MAX_ANSWER_BYTES and "content-encoding" not in response.headers:
            return await response.read()
        content = bytearray()
        while part := await response.content.readany():
            content += part
            if len(content) > _MAX_ANSWER_BYTES:
                raise self._wrong("bad_answer", "The vector store's answer is too large.")
        return bytes(content)

    def _refused(self, status: int) -> ApiError:
        if status == 404:
            self._failures.upstream_failed("qdrant", "no_collection")
            return NotReady("The index of this release is not in the vector store.", retry_after=5)
        if status == 429:
            self._failures.upstream_failed("qdrant", "rate_limited")
            return UpstreamRateLimited("The vector store is overloaded.", retry_after=1)
        if status in {401, 403}:
            return self._wrong("key_refused", "The vector store refused this API's key.")
        return self._wrong("bad_status", "The vector store answered with an error.")

    def _wrong(self, reason: str, message: str) -> UpstreamError:
        self._failures.upstream_failed("qdrant", reason)
        return UpstreamError(message)

    def _source(self, point: _Point, principal: Principal) -> Source:
        found = point.payload
        if found.tenant != principal.tenant or principal.readers.isdisjoint(found.roles):
            raise self._wrong("filter_ignored", "The vector store ignored the filter of this API key.")
        return Source(
            document_id=visible(found.document_id),
            chunk_id=visible(found.chunk_id),
            title=visible(found.title),
            heading=visible(found.heading or ""),
            url=visible(found.url) if found.url else None,
            page=found.page,
            text=visible(found.text),
        )


def _query(asked: Asked, principal: Principal, revision: Revision, limit: int) -> bytes | None:
    """The body of a query; None when the question has no content words and no vector.

    Sparse and Dense ask one vector. Hybrid fetches by both and fuses the two rankings by reciprocal ranks (RRF, the
    store's default constant); a score of its own would be a rank, so `minimum_score` is no part of it.
    """
    scope = {"filter": orjson.Fragment(principal.filter), "limit": limit}
    wanted = _vectors(asked, revision.retrieval.mode)
    if not wanted:
        return None
    if len(wanted) == 1:
        body: dict[str, object] = {**wanted[0], **scope}
        if revision.retrieval.minimum_score is not None and revision.retrieval.mode != "Hybrid":
            body["score_threshold"] = revision.retrieval.minimum_score
    else:
        depth = {**scope, "limit": max(limit * HYBRID_DEPTH, HYBRID_LEAST)}
        # The filter is set on both levels: a store that forgets one of them still leaks nothing.
        body = {"prefetch": [{**each, **depth} for each in wanted], "query": {"fusion": "rrf"}, **scope}
    return orjson.dumps({**body, "with_payload": _INCLUDE})


def _vectors(asked: Asked, mode: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    if mode != "Dense":
        words: SparseVector = encode_query(asked.text)
        if words.indices:
            found.append({"query": {"indices": words.indices, "values": words.values}, "using": SPARSE_VECTOR})
    if mode != "Sparse" and asked.vector is not None:
        found.append({"query": asked.vector, "using": DENSE_VECTOR})
    return found
