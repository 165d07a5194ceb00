"""The ConfigMaps that users name in a spec. They carry no label of ours, so they are read by name, not watched.

What is kept of one is a hash and the texts that are used, for a few seconds: a settled service makes no passes, so it costs
no reads, and every pass sees a user's edit soon after it was made. One that is missing is asked for on every pass.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..api import RagService
from ..observed import Reference

REMEMBER_SECONDS = 10.0
MAX_REMEMBERED = 4096

Get = Callable[[str, str], Awaitable[Mapping[str, Any] | None]]


class References:
    """`get(namespace, name)` reads one ConfigMap, None when it does not exist."""

    def __init__(self, get: Get, monotonic: Callable[[], float]) -> None:
        self._get = get
        self._monotonic = monotonic
        self._memory: dict[tuple[Any, ...], tuple[float, Reference]] = {}

    async def of(self, svc: RagService) -> dict[str, Reference]:
        """All references of one service, by name."""
        wanted: dict[str, set[str]] = {}
        prompt, documents = svc.spec.prompt.config_map_ref, svc.spec.index.documents.config_map_ref
        if prompt is not None:
            wanted.setdefault(prompt.name, set()).add(prompt.key)
        if documents is not None:
            wanted.setdefault(documents.name, set())
        return {name: await self._one(svc, name, frozenset(keys)) for name, keys in wanted.items()}

    async def _one(self, svc: RagService, name: str, keys: frozenset[str]) -> Reference:
        memory_key = (svc.metadata.uid, svc.metadata.generation, name, keys)
        known = self._memory.get(memory_key)
        if known is not None and known[0] > self._monotonic():
            return known[1]
        self._memory.pop(memory_key, None)
        body = await self._get(svc.metadata.namespace, name)
        if body is None:
            return Reference(name=name, found=False)
        reference = _reference(name, keys, body)
        while len(self._memory) >= MAX_REMEMBERED:
            del self._memory[next(iter(self._memory))]
        self._memory[memory_key] = (self._monotonic() + REMEMBER_SECONDS, reference)
        return reference


def _reference(name: str, keys: frozenset[str], body: Mapping[str, Any]) -> Reference:
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
