"""Whether the model and embedding servers can be reached: asked for their models' names, never for an answer."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from rag_contract.release_table import Endpoint, Policy, Revision
from rag_contract.reports import ReadyCheck

from .generator.chain import armed
from .releases import LoadedTable
from .servers import Failed, Servers

PATH = "/v1/models"
REMEMBERED_SECONDS = 5.0
PROBE_SECONDS = 1.2


class ModelCheck:
    """Asks each server at most every five seconds; one that has just answered a question is not asked."""

    def __init__(self, servers: Servers, clock: Callable[[], float]) -> None:
        self._servers = servers
        self._clock = clock
        self._seen: dict[tuple[str, str], tuple[float, str]] = {}

    async def model(self, loaded: LoadedTable | None) -> ReadyCheck:
        """Every weighted revision's model answers, or something is armed that answers in its place."""
        if loaded is None:
            return ReadyCheck(name="model", ok=True)
        policy = loaded.table.policy
        served = [revision for revision in loaded.table.revisions if revision.weight]
        if not policy.model_enabled and any(revision.model.endpoints for revision in served):
            return ReadyCheck(name="model", ok=True, message="The model is switched off: spec.model.enabled is false.")
        problems = await _all(self._problem(each) for each in served)
        message = " ".join(sorted(set(filter(None, problems))))
        if message and await self._stands_in(policy):
            return ReadyCheck(name="model", ok=True, message=f"{message} A fallback answers.")
        return ReadyCheck(name="model", ok=not message, message=message)

    async def embedder(self, loaded: LoadedTable | None) -> ReadyCheck:
        """Every weighted revision that compares vectors can get the question's."""
        used = [
            revision.index.embedder
            for revision in (loaded.table.revisions if loaded else ())
            if revision.weight and revision.retrieval.mode != "Sparse" and revision.index.embedder
        ]
        problems = await _all(self._look(each) for each in used)
        message = " ".join(sorted({f"Embedding: {each}" for each in problems if each}))
        return ReadyCheck(name="embedder", ok=not message, message=message)

    async def _problem(self, revision: Revision) -> str:
        """Empty when one of the model's servers answers."""
        problems = await _all(self._look(endpoint) for endpoint in revision.model.endpoints)
        return "" if "" in problems or not problems else problems[0]

    async def _stands_in(self, policy: Policy) -> bool:
        fallbacks = armed(policy)
        if any(fallback.endpoint is None for fallback in fallbacks):
            return True
        return "" in await _all(self._look(each.endpoint) for each in fallbacks if each.endpoint)

    async def _look(self, endpoint: Endpoint) -> str:
        """What is wrong with a server, as of the last five seconds; empty when nothing."""
        now = self._clock()
        if now - self._servers.health(endpoint).answered_at < REMEMBERED_SECONDS:
            return ""
        key = endpoint.url, endpoint.model
        seen = self._seen.get(key)
        if seen is None or now - seen[0] >= REMEMBERED_SECONDS:
            self._seen = {name: each for name, each in self._seen.items() if now - each[0] < REMEMBERED_SECONDS}
            seen = self._seen[key] = (now, await self._ask(endpoint))
        return seen[1]

    async def _ask(self, endpoint: Endpoint) -> str:
        try:
            async with asyncio.timeout(PROBE_SECONDS), self._servers.call(endpoint, PATH, None):
                return ""
        except Failed as failure:
            # A server that has no list of models, or is busy, is there.
            return "" if failure.reason in {"no_model", "refused", "rate_limited"} else failure.error.message
        except TimeoutError:
            return f"The model server did not answer within {PROBE_SECONDS} s."


async def _all(asked: Any) -> list[str]:
    jobs: list[Coroutine[Any, Any, str]] = list(asked)
    return list(await asyncio.gather(*jobs))
