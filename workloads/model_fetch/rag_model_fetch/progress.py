"""What the run has fetched so far, and how fast."""

import time
from collections import deque
from collections.abc import Callable

from rag_contract.model_fetch import FetchProgress, Stage
from rag_jobs.progress import RunProgress

WINDOW_SECONDS = 30.0


class Progress(RunProgress[Stage]):
    """Of one model's weights. Totals are 0 until they are known."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__("Waiting", monotonic)
        self._samples: deque[tuple[float, int]] = deque()
        self.bytes_done = 0
        self.bytes_total = 0
        self.files_done = 0
        self.files_total = 0

    def measure(self, bytes_done: int, files_done: int) -> None:
        """What is there now. What was there before the first measurement is not counted as speed."""
        self.bytes_done, self.files_done = bytes_done, files_done
        now = self._monotonic()
        self._samples.append((now, bytes_done))
        while len(self._samples) > 2 and now - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()

    def rate(self) -> int:
        """Bytes per second over the window."""
        if not self._samples:
            return 0
        (then, before), (now, after) = self._samples[0], self._samples[-1]
        return max(0, int((after - before) / (now - then))) if now > then else 0

    def report(self) -> FetchProgress:
        rate = self.rate()
        left = -(-(self.bytes_total - self.bytes_done) // rate) if rate and self.bytes_total else None
        return FetchProgress(
            stage=self.stage,
            bytes_done=self.bytes_done,
            bytes_total=self.bytes_total,
            bytes_per_second=rate,
            seconds_left=left,
            files_done=self.files_done,
            files_total=self.files_total,
            elapsed_seconds=self.seconds(),
        )
