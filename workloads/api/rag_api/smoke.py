"""A question that a new process puts to itself before it says that it is ready: words of the collection, retrieved and answered.

    pieces of the collection --> a question in their own words --> found again --> a first word of an answer

A roll-out keeps the former pods until a new one is ready, so an image that cannot answer never replaces one that can. It is asked once
in the life of a process: what goes wrong later is told by the other checks, and by errors to clients. No client's key is needed, and
nobody sees the answer. A model server that does not answer is not this process's fault: the check `model` tells of it.
"""

import asyncio
from contextlib import aclosing

from rag_contract.analysis import encode_query
from rag_contract.release_table import Policy, Revision
from rag_contract.reports import ReadyCheck

from .auth import Principal
from .embedder import Embedder
from .errors import ApiError
from .generator import Generator, Job, prompt
from .releases import LoadedTable
from .retriever import Asked, Qdrant, Sample
from .telemetry import LOG

PATIENCE_SECONDS = 1.5
"""How long a probe waits for the answer; the question goes on meanwhile."""
SAMPLES = 5
WORDS = 24
TOKENS = 64
NAME = "smoke"


class Smoke:
    """Remembers that the question was answered. One attempt at a time, started by whoever asks whether the pod is ready."""

    def __init__(self, qdrant: Qdrant, embedder: Embedder, generator: Generator) -> None:
        self._qdrant = qdrant
        self._embedder = embedder
        self._generator = generator
        self._attempt: asyncio.Task[str] | None = None
        self._answered = False

    async def check(self, loaded: LoadedTable | None) -> ReadyCheck:
        """Good once answered, and while nothing is served that could be asked."""
        revisions = [each for each in loaded.table.revisions if each.weight and each.index.chunks] if loaded else []
        if self._answered or loaded is None or not revisions:
            return ReadyCheck(name="smoke", ok=True)
        if self._attempt is None:
            self._attempt = asyncio.create_task(self._ask(revisions[-1], loaded.table.policy))
        done, _ = await asyncio.wait({self._attempt}, timeout=PATIENCE_SECONDS)
        if not done:
            return ReadyCheck(name="smoke", ok=False, message="A first question of this pod's own is not answered yet.")
        problem, self._attempt = self._attempt.result(), None
        self._answered = not problem
        return ReadyCheck(name="smoke", ok=self._answered, message=problem)

    async def close(self) -> None:
        """Give up an attempt that is under way."""
        if self._attempt is not None:
            self._attempt.cancel()
            await asyncio.wait({self._attempt})

    async def _ask(self, revision: Revision, policy: Policy) -> str:
        """What is wrong; empty when the question was answered."""
        try:
            return await self._try(revision, policy)
        except ApiError as error:
            return f"A first question of this pod's own found no sources: {error.message}"
        except Exception as error:
            LOG.exception({"event": "bug", "where": "the pod's own question"})
            return f"A first question of this pod's own failed ({type(error).__name__}): see its log."

    async def _try(self, revision: Revision, policy: Policy) -> str:
        samples = await self._qdrant.sample(revision.index.collection, SAMPLES)
        asked = [sample for sample in samples if encode_query(sample.text).indices]
        for sample in asked:
            job = await self._job(sample, revision, policy)
            if job is not None:
                return await self._answer(job)
        return "A question in words of the collection finds nothing in it." if asked else ""

    async def _job(self, sample: Sample, revision: Revision, policy: Policy) -> Job | None:
        """The question with its sources, asked as a reader of that very piece; None when nothing is found."""
        question = " ".join(sample.text.split()[:WORDS])
        # However little a piece scores: its own words must find something.
        retrieval = revision.retrieval.model_copy(update={"minimum_score": None})
        revision = revision.model_copy(update={"retrieval": retrieval})
        compares = revision.retrieval.mode != "Sparse"
        vector = await self._embedder.embed(revision.index, question) if compares else None
        principal = Principal.of(NAME, sample.tenant, sample.roles)
        sources = await self._qdrant.search(principal, revision, Asked(question, vector), revision.retrieval.top_k)
        length = prompt.output_tokens(revision.model, TOKENS)
        sources = prompt.packed(sources, question, revision.prompt, revision.model, length)
        return Job(question, sources, revision, length, policy, NAME) if sources else None

    async def _answer(self, job: Job) -> str:
        try:
            async with aclosing(self._generator.generate(job)) as pieces:
                async for piece in pieces:
                    if piece.text:
                        return ""
        except ApiError as error:
            LOG.info({"event": "smoke", "message": "the model did not answer", "code": error.code})
            return ""
        return "A first question of this pod's own was answered by nothing."
