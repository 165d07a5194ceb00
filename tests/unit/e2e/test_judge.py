"""The test that no status lies would notice a lie."""

from typing import Any

import pytest

from tests.e2e.test_never_lies import Tally, sample

Json = dict[str, Any]


def body(ready: str = "True", observed: int = 3, prompt: str = "p2") -> Json:
    """A RagService of generation 3."""
    conditions = [{"type": "Ready", "status": ready}]
    status = {"observedGeneration": observed, "conditions": conditions, "revision": 2, "prompt": prompt, "index": "i1"}
    return {"metadata": {"generation": 3}, "status": status}


class Story:
    """A double of the place: one body after the other, the last for ever."""

    def __init__(self, *bodies: Json) -> None:
        self._bodies = list(bodies)

    def service(self) -> Json:
        return self._bodies.pop(0) if len(self._bodies) > 1 else self._bodies[0]


RIGHT = (200, {"revision": 2, "prompt_version": "p2", "index_version": "i1"})


def judged(answer: tuple[int, Json], *bodies: Json) -> Tally:
    tally = Tally()
    sample(Story(*bodies), lambda: answer, tally)
    return tally


def test_a_right_answer_is_right() -> None:
    assert 1 == judged(RIGHT, body()).right


@pytest.mark.parametrize(
    "answer", [(503, {}), (0, {}), (200, {**RIGHT[1], "prompt_version": "p1"}), (200, {**RIGHT[1], "revision": 1})]
)
def test_a_claim_that_stays_beside_a_wrong_answer_is_a_lie(answer: tuple[int, Json]) -> None:
    assert 1 == len(judged(answer, body()).lies)


def test_a_claim_that_is_taken_back_soon_was_late() -> None:
    tally = judged((503, {}), body(), body(), body(), body("False"))
    assert ([], 1) == (tally.lies, len(tally.lags))


@pytest.mark.parametrize("silent", [body("False"), body("Unknown"), body(observed=2)])
def test_what_is_not_claimed_is_not_held_against_it(silent: Json) -> None:
    tally = judged((503, {}), silent)
    assert (1, 0) == (tally.denied, tally.claims)
