"""A thin Kubernetes client: dict bodies, server-side apply, deletes with preconditions. `transport.py` does the sending."""

import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import orjson

from .errors import ApiError, NotLeading, Unreachable
from .kinds import Kind, kind_of
from .login import Login
from .session import USER_AGENT
from .shapes import a_page, an_event, an_object
from .transport import PLAIN, Request, Transport, decode

__all__ = ["ApiError", "Client", "NotLeading", "Unreachable"]

Json = dict[str, Any]
FIELD_MANAGER: Final = "rag-operator"
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
REQUEST_SECONDS: Final = 15.0
SILENCE_SECONDS: Final = 70.0
WATCH_SECONDS: Final = 55
"""The server ends a watch in order before its silence would count as a broken connection. Bookmarks are no sign of life to
count on: a kind without any change since the server's start gets none for hours, others get one now and then."""
PAGE_SIZE: Final = 200
"""Objects. As dicts a page of 500 Deployments takes some 30 MiB, for as long as it is read."""
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
METADATA: Final = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
NO_VERSION: Final = "1"
"""A version that no object can have, for etcd begins there: an apply that names it may create and never change."""


class Client:
    """Talks to one API server. Made on a running event loop; an async context manager, or call `close`."""

    def __init__(
        self,
        login: Login,
        *,
        request_seconds: float = REQUEST_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
        on_request: Callable[[str, str, int], None] = lambda verb, kind, status: None,
        user_agent: str = USER_AGENT,
    ) -> None:
        """`on_request` is told verb, kind and HTTP status (0: no answer) of every request. `user_agent` names the caller in the
        API server's audit log.

        A watch that is silent for `silence_seconds` counts as broken.
        """
        self.login = login
        self.writes: Counter[tuple[str, str]] = Counter()
        """Writes that the server took, by (kind, verb)."""
        self.reads: Counter[str] = Counter()
        """Reads sent, by verb: get, list, watch."""
        self._transport = Transport(
            login,
            request_seconds=request_seconds,
            silence_seconds=silence_seconds,
            on_request=on_request,
            user_agent=user_agent,
        )

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; running watches end."""
        await self._transport.close()

    def write_only_while(self, fence: Callable[[], bool]) -> None:
        """From now on writes raise NotLeading while `fence()` is false."""
        self._transport.fence = fence

    # -- reads ---------------------------------------------------------------------------------------------------------

    async def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        kind: str = "",
        seconds: float | None = None,
        urgent: bool = False,
    ) -> Json:
        """The decoded object at `path`. `kind` names it in metrics; `seconds` replaces the usual time-out."""
        self.reads["get"] += 1
        request = Request(verb="get", method="GET", path=path, params=params, kind=kind, seconds=seconds, urgent=urgent)
        return decode(await self._transport.call(request))

    async def find(self, kind: Kind, namespace: str | None, name: str) -> Json | None:
        """One object, or None when there is none of that name."""
        try:
            return an_object(await self.get(kind.path(namespace, name), kind=kind.kind))
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    async def get_bytes(self, path: str, *, kind: str = "", seconds: float | None = None) -> bytes:
        """The raw body at `path`, whatever its HTTP status: what a pod says through the API server's proxy.

        Raises ApiError when the API server itself refuses.
        """
        self.reads["get"] += 1
        request = Request(verb="get", method="GET", path=path, kind=kind, seconds=seconds, any_status=True)
        return await self._transport.call(request)

    async def list_pages(
        self,
        kind: Kind,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        page_size: int = PAGE_SIZE,
        *,
        metadata_only: bool = False,
    ) -> AsyncIterator[Json]:
        """The pages of a consistent LIST. `page_size` 0: all at once; `metadata_only`: nothing else of each object.

        Raises ApiError, `is_gone` when the server has forgotten the version that the pages are of.
        """
        query = selection(label_selector, field_selector)
        if page_size:
            query["limit"] = str(page_size)
        while True:
            self.reads["list"] += 1
            request = Request(
                verb="list",
                method="GET",
                path=kind.path(namespace),
                params=dict(query),
                kind=kind.kind,
                accept=METADATA_LIST if metadata_only else PLAIN,
            )
            page = a_page(decode(await self._transport.call(request)))
            token = page["metadata"].get("continue")
            yield page
            del page  # else it takes memory while the next one comes
            if not token:
                return
            query["continue"] = token

    async def watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        *,
        resource_version: str,
        seconds: int = WATCH_SECONDS,
        metadata_only: bool = False,
    ) -> AsyncIterator[Json]:
        """Events after `resource_version` until the server ends the stream, bookmarks included.

        Raises ApiError for an ERROR event or a refusal, Unreachable for a broken, torn or silent stream.
        """
        query = selection(label_selector, field_selector) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
        }
        self.reads["watch"] += 1
        request = Request(
            verb="watch",
            method="GET",
            path=kind.path(namespace),
            params=query,
            kind=kind.kind,
            accept=METADATA if metadata_only else PLAIN,
        )
        async for line in self._transport.stream(request):
            yield event_of(line)

    # -- writes --------------------------------------------------------------------------------------------------------

    async def apply(
        self,
        obj: Json,
        *,
        force: bool = True,
        field_manager: str = FIELD_MANAGER,
        subresource: str | None = None,
        dry_run: bool = False,
        only_new: bool = False,
    ) -> Json:
        """Server-side apply. Returns what is stored. Apply only fields that you mean to own.

        `only_new`: ApiError (`is_conflict`) when an object of that name exists; it is not touched.
        """
        kind, namespace, name = address(obj)
        if only_new:
            obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": NO_VERSION}}
        params = {"fieldManager": field_manager, "force": "true" if force else "false"}
        if dry_run:
            params["dryRun"] = "All"
        path = kind.path(namespace, name, subresource)
        request = Request(verb="apply", method="PATCH", path=path, kind=kind.kind, params=params, content_type=APPLY)
        return an_object(await self._write(request, obj), stored=not dry_run)

    async def create(
        self, obj: Json, *, field_manager: str = FIELD_MANAGER, urgent: bool = False, dry_run: bool = False
    ) -> Json:
        """Create; with `dry_run` the server only says whether it would. Raises ApiError with `is_already_exists` when the name
        is taken."""
        kind, namespace, _ = address(obj)
        params = {"fieldManager": field_manager} | ({"dryRun": "All"} if dry_run else {})
        path = kind.path(namespace)
        request = Request(verb="create", method="POST", path=path, kind=kind.kind, params=params, urgent=urgent)
        return an_object(await self._write(request, obj), stored=not dry_run)

    async def replace(self, obj: Json, *, seconds: float | None = None, urgent: bool = False) -> Json:
        """Replace; with `metadata.resourceVersion` in the body only when that version is still the stored one."""
        kind, namespace, name = address(obj)
        path = kind.path(namespace, name)
        request = Request(verb="update", method="PUT", path=path, kind=kind.kind, seconds=seconds, urgent=urgent)
        return an_object(await self._write(request, obj))

    async def merge_patch(
        self, kind: Kind, namespace: str | None, name: str, patch: Json, subresource: str | None = None
    ) -> Json:
        """JSON merge patch: for one annotation of an object that is not ours."""
        path = kind.path(namespace, name, subresource)
        request = Request(verb="patch", method="PATCH", path=path, kind=kind.kind, content_type=MERGE)
        return an_object(await self._write(request, patch))

    async def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str,
        resource_version: str | None,
        propagation: str = "Background",
    ) -> None:
        """Delete exactly this object in exactly this version, else ApiError (`is_conflict`). Absence is success.

        A `resource_version` of None leaves that precondition out.
        """
        body = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {}),
            "propagationPolicy": propagation,
        }
        path = kind.path(namespace, name)
        try:
            await self._write(Request(verb="delete", method="DELETE", path=path, kind=kind.kind), body)
        except ApiError as error:
            if not error.is_not_found:
                raise

    async def _write(self, request: Request, body: Json) -> Json:
        """The one place through which writes pass."""
        answer = await self._transport.call(with_body(request, body))
        self.writes[request.kind, request.verb] += 1
        return decode(answer)


def with_body(request: Request, body: Json) -> Request:
    """The request with an encoded body."""
    return dataclasses.replace(request, data=orjson.dumps(body))


def address(obj: Mapping[str, Any]) -> tuple[Kind, str | None, str]:
    """Kind, namespace and name of a body. The name is empty when the server makes it."""
    metadata = obj["metadata"]
    return kind_of(obj), metadata.get("namespace"), metadata.get("name", "")


def selection(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    """Query parameters of a selection."""
    chosen = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in chosen.items() if value}


def event_of(line: bytes) -> Json:
    """One watch event; an ERROR event raises its ApiError. Unreachable for what is none."""
    event = decode(line)
    if event.get("type") == "ERROR":
        raise ApiError.from_status(event.get("object"), 500)
    return an_event(event)
