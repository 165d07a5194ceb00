"""Run the lanes beside each other; in a lane one row after the other: break, wait for the status, repair, wait for True."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .facts import Fact, done
from .place import Json, Place, Server

LATEST = 60.0
Act = Callable[[Place], None]


def nothing(place: Place) -> None:
    """It repairs itself."""


@dataclass(frozen=True)
class Row:
    """One way to break a service. `words` must stand in the message of `condition`; times are seconds."""

    name: str
    breaks: Act
    condition: str
    reason: str
    words: tuple[str, ...]
    repair: Act
    fact: Fact = done
    fact_within: float = 60.0
    ready_reasons: tuple[str, ...] = ()
    """Reasons that Ready may show beside `reason`, when more than one thing is wrong."""
    true_within: float = 120.0
    stays: bool = False
    """The next row looks at the same breakage: nothing is repaired between."""


@dataclass(frozen=True)
class Healed:
    """Something that the operator undoes: `back` must hold within five seconds, and the service must be Ready."""

    name: str
    breaks: Act
    back: Callable[[Place], bool]


@dataclass(frozen=True)
class Lane:
    """Rows on one service. `born` services are made by the first row's `breaks`, broken from the start."""

    name: str
    rows: Sequence[Row | Healed]
    spec: Json = field(default_factory=dict)
    prepare: Act = nothing
    born: bool = False
    own_namespace: bool = False
    clean: Act = nothing


@dataclass
class Outcome:
    """What was seen. `late`: seconds from the fact to the right status; `back`: from the repair to True."""

    late: float | None = None
    back: float | None = None
    seen: str = "the row did not run"
    ready: str = ""


class Runner:
    """Runs lanes in threads and keeps an outcome for each row."""

    def __init__(self, server: Server, make: Callable[[Place, Json], None]) -> None:
        self._server = server
        self._make = make
        self.outcomes: dict[str, Outcome] = {}

    def run(self, lanes: Sequence[tuple[Lane, str]], at_once: int) -> None:
        """All lanes, each in the namespace beside it."""
        gate = threading.Semaphore(at_once)
        threads = [threading.Thread(target=self._lane, args=(lane, space, gate), daemon=True) for lane, space in lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _lane(self, lane: Lane, namespace: str, gate: threading.Semaphore) -> None:
        place = Place(self._server, namespace, lane.name)
        for row in lane.rows:
            self.outcomes[row.name] = Outcome()
        with gate:
            row = lane.rows[0]
            try:
                lane.prepare(place)
                if not lane.born:
                    self._make(place, lane.spec)
                    _wait(place.is_ready, 120, "the service was never ready")
                for row in lane.rows:
                    outcome = self.outcomes[row.name]
                    _heal(place, row, outcome) if isinstance(row, Healed) else _break(place, row, outcome)
            except Exception as error:
                self.outcomes[row.name].seen += f"; {type(error).__name__}: {error}; {_all(place)}"
            finally:
                lane.clean(place)
                self._server.close()


def _break(place: Place, row: Row, outcome: Outcome) -> None:
    row.breaks(place)
    fact, deadline = None, time.monotonic() + row.fact_within
    while True:
        now = time.monotonic()
        if fact is None and row.fact(place):
            fact = now
        right, outcome.seen, outcome.ready = _look(place, row)
        if right:
            outcome.late = max(0.0, now - fact) if fact is not None else 0.0
            break
        if now > (fact + LATEST / 3 if fact is not None else deadline):
            break
        time.sleep(0.1)
    if row.stays:
        outcome.back = 0.0
        return
    repaired = time.monotonic()
    row.repair(place)
    if _wait(place.is_ready, row.true_within, ""):
        outcome.back = time.monotonic() - repaired
    else:
        outcome.seen += f"; after the repair: {_all(place)}"


def _heal(place: Place, row: Healed, outcome: Outcome) -> None:
    row.breaks(place)
    started = time.monotonic()
    if _wait(lambda: row.back(place), 20, ""):
        outcome.late = time.monotonic() - started
    if _wait(place.is_ready, 60, ""):
        outcome.back = time.monotonic() - started
    outcome.seen = _all(place)


def _look(place: Place, row: Row) -> tuple[bool, str, str]:
    conditions = place.conditions()
    found, ready = conditions.get(row.condition), conditions.get("Ready")
    if found is None or ready is None:
        return False, "no status of this generation", ""
    seen = f"{row.condition}={found['status']} {found['reason']}: {found['message']}"
    told = f"Ready={ready['status']} {ready['reason']}"
    right = (
        found["status"] in {"False", "Unknown"}
        and found["reason"] == row.reason
        and all(word in found["message"] for word in row.words)
        and ready["status"] in {"False", "Unknown"}
        and ready["reason"] in {row.reason, *row.ready_reasons}
    )
    return right, seen, told


def _all(place: Place) -> str:
    return "; ".join(
        f"{kind}={c['status']} {c['reason']}: {c['message']}"
        for kind, c in place.conditions().items()
        if c["status"] != "True" and kind not in {"Degraded", "Suspended", "Progressing"}
    )


def _wait(probe: Callable[[], bool], seconds: float, what: str) -> bool:
    """Poll; False after the time, or AssertionError when `what` says so."""
    deadline = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > deadline:
            assert not what, what
            return False
        time.sleep(0.2)
    return True
