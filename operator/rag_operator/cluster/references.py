"""The ConfigMaps that users name in a spec. They carry no label of ours, so of them only the versions are watched.

    informer (namespace, name, uid, version) --> is it there? is it another than was read? --> one GET for each version

What is kept of one is a hash and the texts that are used: a service that looks again reads nothing, and a restart reads each
named ConfigMap once, however many services name it.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from ..api import RagService
from ..observed import Reference
from ..runtime.bounded import Bounded

MAX_REMEMBERED = 4096

Json = Mapping[str, Any]
Place = tuple[str, str]
"""Namespace and name."""
Get = Callable[[str, str], Awaitable[Json | None]]
Known = Callable[[str, str], Json | None]


@dataclass(frozen=True, slots=True)
class _Read:
    """One ConfigMap as it was read. `keys` are those whose texts were looked for."""

    uid: str
    version: int
    keys: frozenset[str]
    reference: Reference

    def serves(self, stored: Json, keys: frozenset[str]) -> bool:
        """Nothing newer is known, and nothing else is asked for."""
        metadata = stored["metadata"]
        same = self.uid == metadata["uid"] and self.version >= int(metadata["resourceVersion"])
        return same and keys <= self.keys


class References:
    """`known(namespace, name)` is what the caches hold of a ConfigMap: its metadata, or all of it, or None when there is
    none. `get` reads one, None when it does not exist."""

    def __init__(self, known: Known, get: Get) -> None:
        self._known = known
        self._get = get
        self._memory: Bounded[Place, _Read] = Bounded(MAX_REMEMBERED)
        self._reading: WeakValueDictionary[Place, asyncio.Lock] = WeakValueDictionary()

    async def of(self, svc: RagService) -> dict[str, Reference]:
        """All references of one service, by name."""
        wanted: dict[str, set[str]] = {}
        prompt, documents = svc.spec.prompt.config_map_ref, svc.spec.index.documents.config_map_ref
        if prompt is not None:
            wanted.setdefault(prompt.name, set()).add(prompt.key)
        if documents is not None:
            wanted.setdefault(documents.name, set())
        return {name: await self._one((svc.metadata.namespace, name), frozenset(keys)) for name, keys in wanted.items()}

    async def _one(self, place: Place, keys: frozenset[str]) -> Reference:
        lock = self._reading.setdefault(place, asyncio.Lock())
        async with lock:  # many services may name it: one of them reads
            stored = self._known(*place)
            if stored is None:
                self._memory.drop(place)
                return Reference(name=place[1], found=False)
            read = self._memory.get(place)
            if read is not None and read.serves(stored, keys):
                return read.reference
            body = stored if _is_whole(stored) else await self._get(*place)
            if body is None:
                return Reference(name=place[1], found=False)
            everything = keys | (read.keys if read is not None else frozenset())
            metadata = body["metadata"]
            fresh = _Read(
                metadata["uid"],
                int(metadata["resourceVersion"]),
                everything,
                _reference(place[1], everything, body),
            )
            self._memory.set(place, fresh)
            return fresh.reference


class Referrers:
    """Which RagServices name a ConfigMap."""

    def __init__(self) -> None:
        self._named: dict[Place, frozenset[str]] = {}
        self._by_map: dict[Place, dict[Place, None]] = {}

    def of(self, namespace: str, name: str) -> Iterable[Place]:
        """Namespace and name of each."""
        return tuple(self._by_map.get((namespace, name), ()))

    def put(self, service: Place, body: Json | None) -> None:
        """This is its spec now; None: it is gone."""
        new, old = _named_in(body), self._named.pop(service, frozenset())
        if new:
            self._named[service] = new
        namespace = service[0]
        for name in old - new:
            services = self._by_map[namespace, name]
            del services[service]
            if not services:
                del self._by_map[namespace, name]
        for name in new - old:
            self._by_map.setdefault((namespace, name), {})[service] = None


def _named_in(body: Json | None) -> frozenset[str]:
    """From the object as stored: one that cannot be read as a whole may still name one."""
    spec = (body or {}).get("spec") or {}
    documents = (spec.get("index") or {}).get("documents") or {}
    references = ((spec.get("prompt") or {}).get("configMapRef"), documents.get("configMapRef"))
    return frozenset(reference["name"] for reference in references if reference and reference.get("name"))


def _is_whole(stored: Json) -> bool:
    """Of one that carries our label everything is cached."""
    return "data" in stored or "binaryData" in stored


def _reference(name: str, keys: frozenset[str], body: Json) -> Reference:
    texts, binaries = body.get("data") or {}, body.get("binaryData") or {}
    content = hashlib.sha256()
    for kind, files in (("text", texts), ("binary", binaries)):
        for key in sorted(files):
            for part in (kind, key, files[key]):
                data = part.encode()
                content.update(len(data).to_bytes(8, "big") + data)
    return Reference(
        name=name,
        found=True,
        content_hash=content.hexdigest()[:32],
        size=len(texts) + len(binaries),
        texts={key: texts[key] for key in sorted(keys) if key in texts},
    )
