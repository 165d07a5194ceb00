"""Growing pauses with jitter, so that many of us do not knock at the same moment."""

import random


class Backoff:
    """`next()` doubles from `first` seconds up to `cap`; half of each pause is random. `reset()` starts over."""

    def __init__(self, first: float = 0.2, cap: float = 30.0, rng: random.Random | None = None) -> None:
        self._first = first
        self._cap = cap
        self._rng = rng or random.Random()  # noqa: S311 (spread, not secrecy)
        self.failures = 0

    def next(self) -> float:
        """Seconds to wait after one more failure."""
        pause = pause_after(self.failures, self._first, self._cap)
        self.failures += 1
        return pause * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It worked."""
        self.failures = 0


def pause_after(failures: int, first: float, cap: float) -> float:
    """Seconds before jitter."""
    return float(min(cap, first * 2 ** min(failures, 32)))
