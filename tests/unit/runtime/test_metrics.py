"""How one answered request is counted."""

import pytest
from rag_operator.runtime.metrics import Metrics, result_of

ENDS = {
    "ok": (200, 201),
    "gone": (404,),
    "conflict": (409,),
    "refused": (403, 422),
    "error": (429, 500, 503, 0),
}


@pytest.mark.parametrize(("status", "result"), [(status, result) for result, all_ in ENDS.items() for status in all_])
def test_how_a_write_ended(status: int, result: str) -> None:
    assert result == result_of(status)


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """A counter's value; 0 when it was never counted."""
    return metrics.registry.get_sample_value(f"rag_operator_{name}_total", labels) or 0.0


def test_reads_are_no_writes_and_their_failures_are_errors() -> None:
    metrics = Metrics("1")
    metrics.request("list", "Pod", 200)
    metrics.request("watch", "Pod", 0)
    assert 1 == value(metrics, "api_requests", verb="list", kind="Pod", code="200")
    assert 1 == value(metrics, "api_errors", verb="watch", kind="Pod", code="unreachable")
    assert 0 == value(metrics, "api_errors", verb="list", kind="Pod", code="200")
    assert "rag_operator_writes_total{" not in metrics.scrape().decode()


def test_a_conflict_is_another_version_not_a_taken_name() -> None:
    metrics = Metrics("1")
    metrics.request("update", "Lease", 409)
    metrics.request("create", "Secret", 409)
    assert 1 == value(metrics, "conflicts", kind="Lease")
    assert 0 == value(metrics, "conflicts", kind="Secret")
    assert 1 == value(metrics, "writes", kind="Secret", verb="create", result="conflict")
