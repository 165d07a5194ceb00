"""How long moves took: from the first look at what asks for one to the status that says how it ended. In memory, for metrics only.

    observe --seen--> when was there last nothing under way?
    a status was written --ended--> told(kind, result, seconds)

What asks may be an edit, documents that changed, or a build by schedule, which no edit precedes. After a restart of the operator
the time counts from its first look.
"""

from collections.abc import Callable
from typing import Any

from ..runtime.bounded import Bounded
from ..status.moves import move

Json = dict[str, Any]
Told = Callable[[str, str, float], None]
"""Kind and result of a move (see `status.moves`), and its seconds."""
MAX_REMEMBERED = 65536


class MoveLog:
    """One for each operator process. `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float], told: Told) -> None:
        self._monotonic = monotonic
        self._told = told
        self._seen: Bounded[str, tuple[int, float]] = Bounded(MAX_REMEMBERED)

    def seen(self, body: Json) -> None:
        """A pass looks at this RagService."""
        uid, generation = body["metadata"]["uid"], body["metadata"].get("generation", 0)
        known = self._seen.get(uid)
        if known is None or known[0] != generation or not _under_way(body):
            self._seen.set(uid, (generation, self._monotonic()))

    def ended(self, body: Json, status: Json) -> None:
        """`status` was written in the place of that of `body`."""
        ended, known = move(body.get("status") or {}, status), self._seen.get(body["metadata"]["uid"])
        if ended is not None and known is not None:
            self._told(ended.kind, ended.result, self._monotonic() - known[1])


def _under_way(body: Json) -> bool:
    """Whether, as the stored status says, this edit is still to be looked at to its end, or something moves or waits to move."""
    status = body.get("status") or {}
    release = status.get("release") or {}
    answered = status.get("observedGeneration") == body["metadata"].get("generation", 0)
    return not answered or "movingTo" in release or "waitingFor" in release
