"""Who answers: the release's model, and when it cannot, the fallbacks in their order.

    model enabled  -> the release's model -> fallback 1 -> fallback 2 ... -> the first error
    model disabled -> fallback 1 -> fallback 2 ... -> MODEL_DISABLED;  without fallbacks the sources' own sentences

The next one is asked only while nothing was said. `degraded` of the last piece tells who it was.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import NamedTuple, Protocol

from rag_contract.release_table import Fallback, Policy

from ..errors import ApiError, ModelDisabled, ModelTimeout, UpstreamError, UpstreamRateLimited
from ..schemas import Degraded
from . import Generator, Job, Piece

_PASSES = (UpstreamError, UpstreamRateLimited, ModelTimeout)
EXTRACTIVE = Fallback()


class Fallbacks(Protocol):
    """Counts who had to step in."""

    def fell_back(self, to: str) -> None:
        """One answer is made by a fallback: "fallback" (another server) or "extractive"."""


class _Way(NamedTuple):
    generator: Generator
    job: Job
    degraded: Degraded | None


class Chain:
    """Implements `Generator` over the generators of all runtimes."""

    def __init__(self, generators: Mapping[str, Generator], counts: Fallbacks) -> None:
        self._generators = generators
        self._counts = counts

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """The pieces of the first that answers. Raises the first error when nobody does."""
        first: ApiError | None = None
        if not job.policy.model_enabled:
            first = ModelDisabled("The model is switched off, and no fallback answered.", retry_after=30)
        for way in self._ways(job):
            said = False
            try:
                async with aclosing(way.generator.generate(way.job)) as pieces:
                    async for piece in pieces:
                        if piece.text and not said:
                            said = True
                            if way.degraded:
                                self._counts.fell_back(way.degraded)
                        yield piece._replace(degraded=way.degraded) if piece.finish_reason else piece
                return
            except _PASSES as error:
                if said:
                    raise
                first = first or error
        raise first or UpstreamError("Nothing answers for this release.")

    def _ways(self, job: Job) -> Iterator[_Way]:
        model = job.revision.model
        if job.policy.model_enabled:
            yield _Way(self._generators[model.runtime], job._replace(endpoints=model.endpoints), None)
        for fallback in armed(job.policy):
            if fallback.endpoint is not None:
                yield _Way(self._generators["External"], job._replace(endpoints=(fallback.endpoint,)), "fallback")
            elif not (job.policy.model_enabled and model.runtime == "Extractive"):
                yield _Way(self._generators["Extractive"], job, "extractive")


def armed(policy: Policy) -> tuple[Fallback, ...]:
    """Who would step in. A model that is switched off, without fallbacks, leaves the sources' own sentences."""
    if not policy.model_enabled and not policy.fallbacks:
        return (EXTRACTIVE,)
    return policy.fallbacks
