"""What the launcher asks the engine over HTTP: one token of a real answer, and its figures."""

import asyncio
from contextlib import suppress
from typing import Any

import aiohttp
from rag_contract.model_server import ModelServerEnvironment

from . import vitals
from .vitals import Vitals

PROMPT = "Ready?"
ANSWER_SECONDS = 300.0
"""A first answer may compile kernels. The load deadline bounds it too."""
FIGURES_SECONDS = 10.0


class NoAnswerError(Exception):
    """The engine did not answer as it should; the text says how."""


class Questions:
    """A client of one engine on this machine."""

    def __init__(self, session: aiohttp.ClientSession, settings: ModelServerEnvironment) -> None:
        self._session = session
        self._base = f"http://127.0.0.1:{settings.engine_port}"
        self._path, self._body = _question(settings)

    async def listening(self) -> bool:
        """Whether the engine's server is up. It listens only when the weights are loaded."""
        try:
            timeout = aiohttp.ClientTimeout(total=FIGURES_SECONDS)
            async with self._session.get(self._base + "/health", timeout=timeout) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def one_token(self) -> None:
        """A real answer of one token, or one vector. Raises NoAnswerError."""
        try:
            timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
            async with self._session.post(self._base + self._path, json=self._body, timeout=timeout) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NoAnswerError(f"no answer to POST {self._path}: {type(error).__name__}") from error
        if answer.status != 200:
            raise NoAnswerError(f"POST {self._path} is answered with {answer.status}: {text[:300]}")

    async def figures(self) -> Vitals | None:
        """None when the engine does not answer. Raises ValueError when it lacks a figure that shows hangs."""
        try:
            timeout = aiohttp.ClientTimeout(total=FIGURES_SECONDS)
            async with self._session.get(self._base + "/metrics", timeout=timeout) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            return None
        return vitals.read(text) if answer.status == 200 else None


class Pulse:
    """A question of our own to an engine that has been still, one at a time. An answer, even a refusal, ends it."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._task: asyncio.Task[None] | None = None

    @property
    def waits(self) -> bool:
        """Whether a question is not answered yet."""
        return self._task is not None and not self._task.done()

    def ask(self) -> None:
        """Unless one waits already."""
        if not self.waits:
            self._task = asyncio.create_task(self._one())

    def stop(self) -> None:
        """Takes the question back."""
        if self._task is not None:
            self._task.cancel()

    async def _one(self) -> None:
        with suppress(NoAnswerError):
            await self._questions.one_token()


def _question(settings: ModelServerEnvironment) -> tuple[str, dict[str, Any]]:
    """Plain completions, not chat: a model without a chat template answers them too."""
    if settings.task == "Embed":
        return "/v1/embeddings", {"model": settings.served_name, "input": PROMPT}
    return "/v1/completions", {"model": settings.served_name, "prompt": PROMPT, "max_tokens": 1, "temperature": 0}
