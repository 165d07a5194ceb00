"""Doubles of a model hub and of an S3 store on loopback, with faults to order. They hold made-up repositories only.

The hub's shapes (routes, headers, error codes) are those that the hub's client library reads; large files are answered by
redirection to a store on another port, as the real hub does.
"""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

COMMIT = "c0ffee" + "0" * 34
BLOCK = 64 << 10
LFS_FROM = 10_000
"""Larger files are "LFS" files: their digest is a SHA-256, and the store has them."""


@dataclass
class Faults:
    """What goes wrong. `status` answers every request for that path (or the listing, "") with that code.

    `budget`: bytes of content that may be sent before every connection is cut; None: no limit. `damage`: paths whose content
    is sent with a wrong first byte. `pace`: seconds between blocks.
    """

    status: dict[str, int] = field(default_factory=dict)
    budget: int | None = None
    damage: set[str] = field(default_factory=set)
    pace: float = 0.0
    ignore_ranges: bool = False


@dataclass
class Seen:
    """What was asked for."""

    listings: int = 0
    contents: list[tuple[str, str]] = field(default_factory=list)
    """Path and Range header of each GET of content."""
    sent: int = 0
    tokens_at_store: list[str] = field(default_factory=list)


class Server:
    """An HTTP server in a thread; `handle` is called with each request's handler."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.handle(self)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
                """Silence."""

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://{host}:{self._server.server_address[1]}"
        self.faults = Faults()
        self.seen = Seen()
        self._lock = threading.Lock()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        raise NotImplementedError

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def content(self, request: BaseHTTPRequestHandler, path: str, body: bytes, headers: dict[str, str]) -> None:
        """A file, or the range of it that is asked for."""
        asked = request.headers.get("Range", "")
        start = 0 if self.faults.ignore_ranges or not asked else int(asked.removeprefix("bytes=").split("-")[0])
        if asked and start >= len(body):
            answer(request, 416, b"", headers)
            return
        ranged = bool(asked) and not self.faults.ignore_ranges
        request.send_response(206 if ranged else 200)
        for name, value in headers.items():
            request.send_header(name, value)
        if ranged:
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        if request.command == "HEAD":
            return
        with self._lock:
            self.seen.contents.append((path, asked))
        damaged = path in self.faults.damage
        for at in range(start, len(body), BLOCK):
            block = body[at : at + BLOCK]
            if damaged and at == 0:
                block = bytes([block[0] ^ 1]) + block[1:]
            if not self._may_send(len(block)):
                request.close_connection = True
                request.connection.close()
                return
            try:
                request.wfile.write(block)
            except ConnectionError:
                return
            time.sleep(self.faults.pace)

    def _may_send(self, size: int) -> bool:
        with self._lock:
            if self.faults.budget is not None and self.faults.budget < size:
                return False
            if self.faults.budget is not None:
                self.faults.budget -= size
            self.seen.sent += size
            return True


def answer(request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    """A whole answer."""
    request.send_response(status)
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)


class Store(Server):
    """Where the hub keeps large files: addresses by digest, no token wanted."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__(host)
        self.blobs: dict[str, tuple[str, bytes]] = {}

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        if token := request.headers.get("Authorization"):
            self.seen.tokens_at_store.append(token)
        path, body = self.blobs[urlsplit(request.path).path.removeprefix("/blobs/")]
        self.content(request, path, body, {})


class HubDouble(Server):
    """A hub with one repository. With `token` set it is private: without the token it says 401, with another 403."""

    def __init__(self, repository: str, files: dict[str, bytes], *, token: str | None = None, host: str = "127.0.0.1"):
        super().__init__(host)
        self.repository = repository
        self.files = files
        self.token = token
        self.store = Store(host)
        self.store.faults, self.store.seen = self.faults, self.seen
        self.store.blobs = {sha256(body): (path, body) for path, body in files.items() if len(body) >= LFS_FROM}

    def start(self) -> None:
        super().start()
        self.store.start()

    def stop(self) -> None:
        super().stop()
        self.store.stop()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        listing, content = f"/api/models/{self.repository}/revision/", f"/{self.repository}/resolve/"
        refused = self._refused(request)
        if refused is not None:
            answer(request, *refused)
        elif path.startswith(listing):
            self._listing(request, path.removeprefix(listing))
        elif path.startswith(content):
            self._content(request, path.removeprefix(content).partition("/")[2])
        else:
            answer(request, 404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _refused(self, request: BaseHTTPRequestHandler) -> tuple[int, bytes, dict[str, str]] | None:
        shown = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.token is None or shown == self.token:
            return None
        return (403, b"{}", {"X-Error-Code": "GatedRepo"}) if shown else (401, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _listing(self, request: BaseHTTPRequestHandler, revision: str) -> None:
        self.seen.listings += 1
        if "" in self.faults.status:
            answer(request, self.faults.status[""], b"{}")
        elif revision not in {"main", COMMIT}:
            answer(request, 404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            siblings = [_sibling(path, body) for path, body in self.files.items()]
            body = {"id": self.repository, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
            answer(request, 200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _content(self, request: BaseHTTPRequestHandler, path: str) -> None:
        if path in self.faults.status:
            answer(request, self.faults.status[path], b"")
            return
        body = self.files[path]
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{git_sha1(body)}"'}
        if len(body) >= LFS_FROM:
            location = f"{self.store.url}/blobs/{sha256(body)}?signed=for-an-hour"
            linked = {"X-Linked-Etag": f'"{sha256(body)}"', "X-Linked-Size": str(len(body)), "Location": location}
            answer(request, 302, b"", headers | linked)
        else:
            self.content(request, path, body, headers)


def _sibling(path: str, body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {"rfilename": path, "size": len(body), "blobId": git_sha1(body)}
    if len(body) >= LFS_FROM:
        found["lfs"] = {"sha256": sha256(body), "size": len(body), "pointerSize": 134}
    return found


class S3Double(Server):
    """One bucket. With `access_key` set, a request must name it in its signature (which is not computed here)."""

    def __init__(self, bucket: str, objects: dict[str, bytes], *, access_key: str | None = None):
        super().__init__()
        self.bucket = bucket
        self.objects = objects
        self.access_key = access_key

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        path, query = urlsplit(request.path).path, parse_qs(urlsplit(request.path).query)
        signed = request.headers.get("Authorization", "")
        bucket, _, key = unquote(path).removeprefix("/").partition("/")
        if self.access_key is not None and f"Credential={self.access_key}/" not in signed:
            answer(request, 403, _error("AccessDenied"))
        elif bucket != self.bucket:
            answer(request, 404, _error("NoSuchBucket"))
        elif "list-type" in query:
            self.seen.listings += 1
            answer(request, 200, self._list(query), {"Content-Type": "application/xml"})
        elif key not in self.objects:
            answer(request, 404, _error("NoSuchKey"))
        elif request.headers.get("If-Match", _etag(self.objects[key])) != _etag(self.objects[key]):
            answer(request, 412, _error("PreconditionFailed"))
        else:
            headers = {"ETag": _etag(self.objects[key]), "Last-Modified": "Mon, 02 Nov 2026 10:00:00 GMT"}
            self.content(request, key, self.objects[key], headers)

    def _list(self, query: dict[str, list[str]]) -> bytes:
        """Two keys a page, so that pages are followed."""
        prefix, after = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
        keys = [key for key in sorted(self.objects) if key.startswith(prefix) and key > after]
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-02T10:00:00.000Z</LastModified>"
            f"<ETag>{escape(_etag(self.objects[key]))}</ETag><Size>{len(self.objects[key])}</Size></Contents>"
            for key in keys[:2]
        )
        more = f"<NextContinuationToken>{quote(keys[1])}</NextContinuationToken>" if len(keys) > 2 else ""
        truncated = str(len(keys) > 2).lower()
        return (
            f"<ListBucketResult><Name>{self.bucket}</Name><IsTruncated>{truncated}</IsTruncated>{rows}{more}"
            "</ListBucketResult>"
        ).encode()


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def git_sha1(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body, usedforsecurity=False).hexdigest()


@contextmanager
def serving(server: Server) -> Iterator[None]:
    server.start()
    try:
        yield
    finally:
        server.stop()
