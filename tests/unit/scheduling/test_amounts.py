"""What a pod takes from its node, as the scheduler counts it."""

from typing import Any

from rag_operator.scheduling.amounts import is_extended, pod_requests

from .made import GPU, container


def test_containers_add_up_and_a_limit_stands_for_its_request() -> None:
    spec = {"containers": [container(1, "500m", "1Gi"), container(2, "1", "1Gi")]}

    assert {GPU: 3, "cpu": 1500, "memory": 2 << 30} == pod_requests(spec)


def test_a_start_that_takes_more_than_the_run_counts() -> None:
    spec: dict[str, Any] = {
        "initContainers": [{"resources": {"requests": {"cpu": "4"}}}, {"resources": {"requests": {"cpu": "3"}}}],
        "containers": [container(0, "1", "1Gi")],
    }

    assert 4000 == pod_requests(spec)["cpu"]


def test_a_sidecar_runs_beside_everything_after_it() -> None:
    sidecar = {"restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}}
    first, last = {"resources": {"requests": {"cpu": "4"}}}, {"resources": {"requests": {"cpu": "3500m"}}}
    spec: dict[str, Any] = {"initContainers": [first, sidecar, last], "containers": [container(0, "1", "1Gi")]}

    assert 4500 == pod_requests(spec)["cpu"]


def test_the_pods_own_requests_replace_the_sum_and_overhead_comes_on_top() -> None:
    spec: dict[str, Any] = {
        "containers": [container(1, "1", "1Gi")],
        "resources": {"requests": {"cpu": "3"}},
        "overhead": {"cpu": "250m"},
    }

    assert {GPU: 1, "cpu": 3250, "memory": 1 << 30} == pod_requests(spec)


def test_only_names_with_a_foreign_domain_are_devices() -> None:
    assert [True, True, False, False, False] == [
        is_extended(name)
        for name in ("nvidia.com/gpu", "nvidia.com/mig-1g.5gb", "cpu", "hugepages-2Mi", "node.kubernetes.io/x")
    ]
