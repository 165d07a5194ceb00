"""One timer for all streams: a quiet connection gets a comment, so that no proxy takes it for dead."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .sse import EventStream

QUIET_SECONDS = 10.0


class Heartbeats:
    """Looks at the open streams every tenth of the quiet time."""

    def __init__(self, clock: Callable[[], float], quiet: float = QUIET_SECONDS) -> None:
        self._clock = clock
        self._quiet = quiet
        self._streams: set[EventStream] = set()
        self._beats: set[asyncio.Task[None]] = set()

    @contextmanager
    def watch(self, stream: EventStream) -> Iterator[None]:
        """Keep the stream alive for the time of the block."""
        self._streams.add(stream)
        try:
            yield
        finally:
            self._streams.discard(stream)

    async def run(self) -> None:
        """For ever; cancelled by the lifespan."""
        while True:
            await asyncio.sleep(self._quiet / 10)
            self.beat()

    def beat(self) -> None:
        """One comment on each stream that was quiet long enough. A blocked client holds up nobody else."""
        oldest = self._clock() - self._quiet
        for stream in self._streams:
            if stream.opened and stream.last_write <= oldest:
                beat = asyncio.ensure_future(stream.heartbeat())
                self._beats.add(beat)
                beat.add_done_callback(self._done)

    def _done(self, beat: asyncio.Task[None]) -> None:
        self._beats.discard(beat)
        if not beat.cancelled():
            beat.exception()  # a client that is gone is noticed by its own request
