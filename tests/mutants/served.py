"""How releases are broken, once more: rows of the other tables that a test on a real API server notices, too.

A row's own test is in memory, where it says more sharply what is wrong, or on pods, which takes minutes. This one shows that the
rule holds where writes, watches and controllers are real.
"""

from dataclasses import replace

from .mutant import Mutant
from .node import NODE
from .refresh import REFRESHES
from .releases import RELEASES

FAULTS = "tests/faults/"
RECONCILE = "tests/control_plane/reconcile/"
MOVES = FAULTS + "test_moves.py::test_at_every_write_of_going_back_and_forward"
UNCONFIRMED = FAULTS + "test_moves.py::test_going_back_is_told_when_the_pods_have_confirmed_it"
UNRECORDED = FAULTS + "test_moves.py::test_without_its_record_nothing_is_gone_back_to_while_the_spec_is_refused"
BUILDING = FAULTS + "test_hazards.py::test_the_old_index_serves_until_the_new_one_is_verified"
REUSED = RECONCILE + "test_level_triggered.py::test_reused_prompt_version_is_refused_and_the_old_one_serves"
MOMENT = RECONCILE + "test_refresh_schedule.py::test_a_build_is_made_and_released_when_its_moment_comes"

NOTICED = {
    "half-an-overlay": BUILDING,
    "retention-drops-what-serves": MOVES,
    "retention-before-the-pods": UNCONFIRMED,
    "held-plan-releases": REUSED,
    "held-plan-stands-still": MOVES,
    "table-without-record-while-held": UNRECORDED,
    "rolled-back-unconfirmed": UNCONFIRMED,
    "state-unconfirmed": UNCONFIRMED,
    "revision-unconfirmed": UNCONFIRMED,
    "refresh-is-not-recorded": MOMENT,
    "refresh-oversleeps": MOMENT,
    "moments-pass": MOMENT,
}
"""Name of the row, and the test."""
ROWS = {mutant.name: mutant for mutant in (*RELEASES, *REFRESHES, *NODE)}
SERVED: tuple[Mutant, ...] = tuple(
    replace(ROWS[name], name=f"{name}-on-the-server", test=test) for name, test in NOTICED.items()
)
