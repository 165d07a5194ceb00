"""Is the engine alive? Read from its own figures. Pure.

vLLM counts each step of its engine in the histogram `vllm:iteration_tokens_total`. Requests that run or wait while that count
stands still are a hang: `/health` says 200 all the same. A busy engine counts on, however slowly it answers.

The figures are those of the last step. An engine that hung while it had nothing to do shows no request at all, however many wait: so
an engine that has been still for a while is asked a question of our own.
"""

import re
from typing import Final, NamedTuple

RUNNING: Final = "vllm:num_requests_running"
WAITING: Final = "vllm:num_requests_waiting"
STEPS: Final = "vllm:iteration_tokens_total_count"
METRICS: Final = (RUNNING, WAITING, STEPS)
"""Names that must exist on the engine; a test asks a real one."""

_SAMPLE = re.compile(r"^(?P<name>[A-Za-z_:][\w:]*)(\{.*\})?\s+(?P<value>\S+)", re.MULTILINE)


class Vitals(NamedTuple):
    """Sums over the engines of one server. `steps` only rises, but starts at zero when the engine restarts."""

    running: int
    waiting: int
    steps: int

    @property
    def requests(self) -> int:
        """Requests that wait for the engine."""
        return self.running + self.waiting


def read(text: str) -> Vitals:
    """From the answer of `/metrics`. Raises ValueError when one of the names is missing: then hangs would go unseen."""
    sums = dict.fromkeys(METRICS, 0.0)
    seen = set()
    for sample in _SAMPLE.finditer(text):
        if sample["name"] in sums:
            sums[sample["name"]] += float(sample["value"])
            seen.add(sample["name"])
    missing = sorted(set(METRICS) - seen)
    if missing:
        raise ValueError(f"the engine's /metrics has no {', '.join(missing)}")
    return Vitals(int(sums[RUNNING]), int(sums[WAITING]), int(sums[STEPS]))


class HangWatch:
    """How long the engine has not moved though it should. One writer; times are seconds of one monotonic clock."""

    def __init__(self, now: float) -> None:
        self._moved = self._stepped = now
        self._steps = -1

    def saw(self, vitals: Vitals | None, now: float, *, asked: bool = False) -> float:
        """Seconds without a step while requests wait, 0 when all is well. None: the engine did not answer, which counts.

        `asked`: a question of our own waits, whatever the figures say.
        """
        if vitals is not None and vitals.steps != self._steps:
            self._steps = vitals.steps
            self._moved = self._stepped = now
        if vitals is not None and vitals.requests == 0 and not asked:
            self._moved = now
        return now - self._moved

    def still(self, now: float) -> float:
        """Seconds since the last step, whether or not there was anything to do."""
        return now - self._stepped
