"""The double's engine: words instead of tokens, at a steady pace, one counted step each."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator

from .figures import Figures
from .switches import Switches


def tokens(text: str) -> list[str]:
    """Words with the space before them."""
    return re.findall(r"\s*\S+", text)


class Refused(Exception):
    """The engine takes no new requests: it drains."""


class Engine:
    """`draining` is set once. Requests in flight go on then.

    As vLLM's, the figures are those of the last step: while it hangs they stay, whatever comes or goes.
    """

    def __init__(self, switches: Switches, figures: Figures) -> None:
        self._switches = switches
        self._requests = 0
        self.figures = figures
        self.draining = False

    async def generate(
        self, prompt: str, limit: int, *, endless: bool = False
    ) -> AsyncIterator[tuple[str, str | None]]:
        """Pieces of the answer; the last has the finish reason. Closed early, it counts as aborted, as in vLLM."""
        if self.draining:
            raise Refused
        answer = tokens(self._switches.answer)
        pieces = list(itertools.islice(itertools.cycle(answer) if endless else answer, limit))
        ended_by = "length" if endless or len(answer) > len(pieces) else "stop"
        self._requests += 1
        self._show()
        self.figures.prompt_tokens += len(tokens(prompt))
        finish = "abort"
        try:
            for number, piece in enumerate(pieces, start=1):
                await self._step()
                self.figures.generated_tokens += 1
                last = number == len(pieces)
                finish = ended_by if last else finish
                yield piece, ended_by if last else None
        finally:
            self._requests -= 1
            self._show()
            self.figures.finished[finish] += 1

    def _show(self) -> None:
        if not self._switches.hang:
            self.figures.running = self._requests

    async def _step(self) -> None:
        while self._switches.hang:  # noqa: ASYNC110 - a switch is a plain value
            await asyncio.sleep(0.02)
        await asyncio.sleep(self._switches.token_seconds)
        self.figures.steps += 1
        self._show()

    async def idle(self) -> None:
        """Returns when nothing is in flight."""
        while self._requests:  # noqa: ASYNC110 - a count is a plain value
            await asyncio.sleep(0.01)
