"""The engine's process: `vllm serve` in a session of its own, its output passed on and its last lines kept."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from typing import Final

from .tail import Tail

COMMAND: Final = ("vllm", "serve")
CHUNK = 65536

Sink = Callable[[bytes], object]


class Engine:
    """A started engine. `code` is None while it runs, and negative when a signal ended it."""

    def __init__(self, process: asyncio.subprocess.Process, tail: Tail, sink: Sink) -> None:
        self._process = process
        self.tail = tail
        self._reading = asyncio.create_task(self._pass_on(sink))

    @classmethod
    async def start(cls, arguments: Sequence[str], sink: Sink) -> "Engine":
        """Raises OSError when the image has no vLLM."""
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(process, Tail(), sink)

    @property
    def code(self) -> int | None:
        return self._process.returncode

    async def ended(self) -> int:
        """Waits for the process, and a moment for the rest of its output, which a grandchild may hold open."""
        code = await self._process.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._reading), timeout=2.0)
        return code

    def terminate(self) -> None:
        """Asks the server to drain. Its own children are the server's to end: a signal to all would cut answers off."""
        if self.code is None:
            self._process.terminate()

    def kill(self) -> None:
        """Ends whatever is left of the session, workers included, so that their GPUs are free."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._reading.cancel()

    async def _pass_on(self, sink: Sink) -> None:
        stream = self._process.stdout
        if stream is None:
            return
        while chunk := await stream.read(CHUNK):
            self.tail.add(chunk)
            sink(chunk)
