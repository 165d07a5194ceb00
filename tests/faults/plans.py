"""What can go wrong between the operator and the API server in these tests, as plain data; `proxy.py` carries it out."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import NamedTuple


class Fault(StrEnum):
    """What happens to a write. The first three end the operator's process by SIGKILL."""

    KILL_BEFORE = "killed before the write was forwarded"
    KILL_APPLIED = "killed after it was applied and before the reply"
    KILL_AFTER = "killed after the reply"
    CONFLICT = "409"
    FORBIDDEN = "403"
    TOO_MANY = "429"
    INTERNAL = "500"
    UNAVAILABLE = "503"
    RESET = "connection reset, not applied"
    LOST = "applied, reply lost"
    OVERTAKEN = "somebody else was faster"


KILLS = (Fault.KILL_BEFORE, Fault.KILL_APPLIED, Fault.KILL_AFTER)
REFUSALS = {
    Fault.CONFLICT: (409, "Conflict"),
    Fault.FORBIDDEN: (403, "Forbidden"),
    Fault.TOO_MANY: (429, "TooManyRequests"),
    Fault.INTERNAL: (500, "InternalError"),
    Fault.UNAVAILABLE: (503, "ServiceUnavailable"),
}
NOT_SENT = {Fault.KILL_BEFORE, Fault.RESET, *REFUSALS}


class Write(NamedTuple):
    """One write that the operator sent. `what` is verb, resource and name with all that differs by nature taken out."""

    service: str
    what: str
    status: int
    """What the API server said; 0 when it was not asked."""
    body: bytes = b""


@dataclass
class Rule:
    """The write of `service` that goes wrong: the first `what`, or the first few. `done` says that it has, `at` when.

    A "*" in `what` stands for anything.
    """

    service: str
    what: str
    fault: Fault
    meanwhile: Callable[[], None] = lambda: None
    """With OVERTAKEN: done, in a thread, before the write is forwarded as it is."""
    times: int = 1
    taken: int = 0
    at: float = 0.0
    answer: int = 0
    """What the API server said to it; 0 when it was not asked."""

    @property
    def done(self) -> bool:
        """It goes wrong no more."""
        return self.taken >= self.times

    def meets(self, service: str, what: str) -> bool:
        """It is about this write, and not done."""
        return not self.done and service == self.service and fnmatchcase(what, self.what)


@dataclass
class WatchFault:
    """How the next watches of `resource` (empty: of all) go: a status, or lines and then the end, or silence."""

    resource: str = ""
    status: int = 200
    lines: tuple[bytes, ...] = ()
    silent: bool = False
    count: int = 1
    taken: int = 0


@dataclass
class StreamFault:
    """What happens to the next events of open watches of `resource`: they are swallowed, or cut in half as lines go on."""

    resource: str
    torn: bool = False
    count: int = 1
    taken: int = 0
