"""Whether this pod may be sent requests, check by check. Cached, so that probes are cheap; never an answer per probe."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from rag_contract.reports import ReadyCheck, ReadyReport

from .auth import Authenticator
from .collections_check import Collections
from .drain import Drain
from .errors import ApiError
from .model_check import ModelCheck
from .releases import ReleaseStore
from .retriever import Qdrant
from .smoke import Smoke

CACHE_SECONDS = 1.0
UPSTREAM_SECONDS = 1.5
"""Less than the two seconds after which a probe gives up: a store that hangs must be named, not guessed."""


class Readiness:
    """The upstream checks are made at most once a second, however many ask; the local ones on every call."""

    def __init__(
        self,
        *,
        releases: ReleaseStore,
        authenticator: Authenticator,
        qdrant: Qdrant,
        collections: Collections,
        models: ModelCheck,
        smoke: Smoke,
        drain: Drain,
        clock: Callable[[], float],
    ) -> None:
        self._releases = releases
        self._authenticator = authenticator
        self._qdrant = qdrant
        self._collections = collections
        self._models = models
        self._smoke = smoke
        self._drain = drain
        self._clock = clock
        self._lock = asyncio.Lock()
        self._cached: tuple[str, float, tuple[ReadyCheck, ...]] | None = None

    async def report(self) -> ReadyReport:
        """All checks, in a fixed order."""
        upstream = await self._upstream()
        draining = self._drain.draining
        checks = (
            self._releases.check(),
            *upstream,
            self._authenticator.check(),
            ReadyCheck(name="draining", ok=not draining, message="This pod is being stopped." if draining else ""),
        )
        return ReadyReport(ready=all(check.ok for check in checks), checks=checks)

    async def _upstream(self) -> tuple[ReadyCheck, ...]:
        async with self._lock:
            table = self._releases.loaded.hash if self._releases.loaded else ""
            if self._cached and self._cached[0] == table and self._clock() - self._cached[1] < CACHE_SECONDS:
                return self._cached[2]
            checks = tuple(
                await asyncio.gather(
                    _in_time("vector_store", self._vector_store()),
                    _in_time("collections", self._collections_right()),
                    self._models.model(self._releases.loaded),
                    self._models.embedder(self._releases.loaded),
                    self._smoke.check(self._releases.loaded),
                )
            )
            self._cached = (table, self._clock(), checks)
            return checks

    async def _vector_store(self) -> ReadyCheck:
        try:
            await self._qdrant.ping()
        except ApiError as error:
            return ReadyCheck(name="vector_store", ok=False, message=error.message)
        return ReadyCheck(name="vector_store", ok=True)

    async def _collections_right(self) -> ReadyCheck:
        problems: list[str] = []
        for revision in self._releases.loaded.table.revisions if self._releases.loaded else ():
            if not revision.weight:
                continue
            try:
                problems.append(await self._collections.look(revision))
            except ApiError as error:
                problems.append(f"Collection {revision.index.collection}: {error.message}")
        message = " ".join(sorted(filter(None, problems)))
        return ReadyCheck(name="collections", ok=not message, message=message)


async def _in_time(name: Literal["vector_store", "collections"], check: Coroutine[Any, Any, ReadyCheck]) -> ReadyCheck:
    try:
        async with asyncio.timeout(UPSTREAM_SECONDS):
            return await check
    except TimeoutError:
        message = f"The vector store did not answer within {UPSTREAM_SECONDS} s."
        return ReadyCheck(name=name, ok=False, message=message)
