"""Rows about runtime/, the machinery under the control loop that knows nothing of RAG, and about the controller's use of it."""

from .mutant import Mutant

RUNTIME = "operator/rag_operator/runtime/"
LEASE = RUNTIME + "lease.py"
UNIT = "tests/unit/runtime/"

MACHINERY = (
    Mutant(
        "lead-comes-back",
        "a renewal that is answered after the lead lapsed brings it back, and what was refused meanwhile is forgotten",
        LEASE,
        "if not mine or self._clock() >= self._ends_at:",
        "if not mine:",
        UNIT + "test_lease.py::test_a_process_that_was_frozen_with_the_answer_in_its_hand_does_not_lead_again",
    ),
    Mutant(
        "loss-told-late",
        "the loss of the lead is told when the last call has ended",
        LEASE,
        "asyncio.timeout_at(min(began + self.times.call, self._ends_at))",
        "asyncio.timeout_at(began + self.times.call)",
        UNIT + "test_lease.py::test_the_loss_is_told_when_it_happens_although_a_call_hangs",
    ),
)
