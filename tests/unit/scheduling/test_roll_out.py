"""How the pods of a model are exchanged: chosen when the template changes, kept while that goes on, chosen again when it is stuck."""

from typing import Any

import pytest
from rag_operator import names
from rag_operator.api import Vllm
from rag_operator.observed import Observed, Pod, pod_of
from rag_operator.releases.roll_out import Pods, announced, left_to, marked, roll_out
from rag_operator.scheduling import ClusterNodes, RollOut, Strategy

from tests.unit.rag_operator.world import observed

from .made import Json, cluster, node, pod, template

EPHEMERAL = {"cache": {"type": "Ephemeral"}}
OLD, NEW = template(cpu="1"), template(cpu="2")


def spec(**fields: Any) -> Vllm:
    """Pods with a cache of their own, so that the volume forces nothing."""
    return Vllm.model_validate({**EPHEMERAL, **fields})


def world(nodes: ClusterNodes | None) -> Observed:
    """What is known besides the Deployment."""
    return observed(nodes=nodes)


def full(own: int = 1) -> ClusterNodes:
    """One node with two GPUs, all in use: `own` of them by our pods."""
    return cluster([node("a")], [pod("a")] * (2 - own), [pod("a", name=f"own-{n}") for n in range(own)])


def live(strategy: RollOut, vllm: Vllm, made: Json = NEW, **status: int) -> Json:
    """The Deployment after `made` was applied with that strategy."""
    rendered = {"metadata": {"generation": 2}, "spec": {"replicas": vllm.replicas, "template": made}}
    body = marked(rendered, vllm, Strategy(strategy, "", ""))
    return {**body, "status": {"observedGeneration": 2, **status}}


def at_rest(strategy: RollOut, vllm: Vllm, made: Json = NEW) -> Json:
    """The roll-out is over."""
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), vllm.replicas)
    return live(strategy, vllm, made, **counts)


def a_pod(name: str, scheduled: str = "True", message: str = "") -> Pod:
    """A pod of ours, as the caches keep it."""
    condition = {"type": "PodScheduled", "status": scheduled, "message": message}
    return pod_of({"metadata": {"name": name, "uid": name}, "status": {"conditions": [condition]}})


SERVING = a_pod("own-0")
HOMELESS = a_pod("new", "False", "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")


def test_the_first_start_exchanges_nothing() -> None:
    assert RollOut.SURGE is roll_out(world(full(0)), spec(), NEW, None, Pods(())).kind


@pytest.mark.parametrize(
    ("nodes", "replicas", "expected"),
    [
        (cluster([node("a")], [], [pod("a", name="own-0")]), 1, RollOut.SURGE),
        (cluster([node("a")], [pod("a", going=True)], [pod("a", name="own-0")]), 1, RollOut.SURGE),
        (full(), 1, RollOut.RECREATE),
        (full(2), 2, RollOut.ONE_BY_ONE),
        (None, 1, RollOut.SURGE),
        (cluster([node("a", 0)]), 1, RollOut.BLOCKED),
    ],
)
def test_another_template_is_rolled_out_by_what_is_free_now(
    nodes: ClusterNodes | None, replicas: int, expected: RollOut
) -> None:
    vllm = spec(replicas=replicas)
    own = Pods(tuple(a_pod(f"own-{n}") for n in range(replicas)))

    assert expected is roll_out(world(nodes), vllm, NEW, at_rest(RollOut.SURGE, vllm, OLD), own).kind


def test_an_old_pod_is_not_given_up_when_its_gpu_would_not_be_enough() -> None:
    wanted = template(4)
    nodes = cluster([node("a", 4)], [pod("a", 3)], [pod("a", name="own-0")])

    strategy = roll_out(world(nodes), spec(), wanted, at_rest(RollOut.SURGE, spec(), OLD), Pods((SERVING,)))

    assert RollOut.BLOCKED is strategy.kind
    assert "even without an old one" in strategy.why


def test_at_rest_nothing_is_written_although_the_gpus_have_gone() -> None:
    body = at_rest(RollOut.SURGE, spec())

    assert RollOut.SURGE is roll_out(world(full()), spec(), NEW, body, Pods((SERVING,))).kind
    assert RollOut.RECREATE is announced(world(full()), spec(), body, Pods((SERVING,))).kind


def test_a_surge_whose_own_pod_took_the_last_gpu_goes_on() -> None:
    body = live(RollOut.SURGE, spec(), replicas=2, updatedReplicas=1)
    own = Pods((SERVING, a_pod("own-1")))

    assert RollOut.SURGE is roll_out(world(full(2)), spec(), NEW, body, own).kind
    assert RollOut.SURGE is announced(world(full(2)), spec(), body, own).kind


@pytest.mark.parametrize(("replicas", "expected"), [(1, RollOut.RECREATE), (2, RollOut.ONE_BY_ONE)])
def test_a_surge_that_finds_no_place_is_chosen_anew(replicas: int, expected: RollOut) -> None:
    vllm = spec(replicas=replicas)
    body = live(RollOut.SURGE, vllm, replicas=replicas + 1, updatedReplicas=1)
    own = Pods((SERVING, HOMELESS))

    for nodes in (full(), None):
        assert expected is roll_out(world(nodes), vllm, NEW, body, own).kind


def test_a_surge_waits_for_a_gpu_that_is_about_to_be_freed() -> None:
    body = live(RollOut.SURGE, spec(), replicas=2, updatedReplicas=1)
    nodes = cluster([node("a")], [pod("a", going=True)], [pod("a", name="own-0")])

    assert RollOut.SURGE is roll_out(world(nodes), spec(), NEW, body, Pods((SERVING, HOMELESS))).kind


def test_labels_that_match_nothing_end_no_pod_where_nobody_may_look_at_nodes() -> None:
    body = live(RollOut.SURGE, spec(), replicas=2, updatedReplicas=1)
    homeless = a_pod("new", "False", "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.")

    strategy = roll_out(world(None), spec(), NEW, body, Pods((SERVING, homeless)))

    assert RollOut.BLOCKED is strategy.kind
    assert "node affinity/selector" in strategy.why


def test_a_demanded_surge_is_blocked_until_a_gpu_is_free_and_is_a_surge_then() -> None:
    vllm = spec(strategy="Surge")
    body = live(RollOut.BLOCKED, vllm, replicas=2, updatedReplicas=1)
    free = cluster([node("a")], [], [pod("a", name="own-0")])

    assert (
        RollOut.BLOCKED is roll_out(world(full()), vllm, NEW, at_rest(RollOut.SURGE, vllm, OLD), Pods((SERVING,))).kind
    )
    assert RollOut.BLOCKED is roll_out(world(full()), vllm, NEW, body, Pods((SERVING, HOMELESS))).kind
    assert RollOut.SURGE is roll_out(world(free), vllm, NEW, body, Pods((SERVING, HOMELESS))).kind
    assert RollOut.SURGE is roll_out(world(full(2)), vllm, NEW, body, Pods((SERVING, a_pod("own-1")))).kind


def test_another_wish_takes_effect_while_a_roll_out_is_blocked() -> None:
    body = live(RollOut.BLOCKED, spec(strategy="Surge"), replicas=2, updatedReplicas=1)

    assert (
        RollOut.RECREATE is roll_out(world(full()), spec(strategy="Replace"), NEW, body, Pods((SERVING, HOMELESS))).kind
    )


def test_a_volume_for_one_node_forces_recreate() -> None:
    vllm = Vllm.model_validate({"cache": {"type": "Volume", "accessMode": "ReadWriteOnce"}})

    assert (
        RollOut.RECREATE
        is roll_out(world(cluster([node("a")])), vllm, NEW, at_rest(RollOut.SURGE, vllm, OLD), Pods(())).kind
    )


def test_another_model_takes_over_from_the_former_one_by_the_same_choice() -> None:
    former = Pods((), (SERVING,))

    assert RollOut.RECREATE is roll_out(world(full()), spec(), NEW, None, former).kind
    assert (
        RollOut.RECREATE
        is roll_out(world(full()), spec(), NEW, live(RollOut.SURGE, spec()), Pods((HOMELESS,), (SERVING,))).kind
    )
    free = cluster([node("a")], [], [pod("a", name="own-0")])
    assert RollOut.SURGE is roll_out(world(free), spec(), NEW, None, former).kind


@pytest.mark.parametrize(
    ("kind", "ready", "expected"),
    [
        (RollOut.SURGE, 0, 2),
        (RollOut.BLOCKED, 0, 2),
        (RollOut.RECREATE, 0, 0),
        (RollOut.ONE_BY_ONE, 0, 1),
        (RollOut.ONE_BY_ONE, 1, 0),
    ],
)
def test_what_a_former_model_keeps(kind: RollOut, ready: int, expected: int) -> None:
    vllm = spec(replicas=2)

    assert expected == left_to(2, Strategy(kind, "", ""), vllm, live(kind, vllm, readyReplicas=ready))


def test_the_mark_is_beside_other_annotations() -> None:
    body: Json = {"metadata": {"annotations": {"a": "b"}}, "spec": {"replicas": 1, "template": NEW}}

    annotations = marked(body, spec(), Strategy(RollOut.RECREATE, "", ""))["metadata"]["annotations"]

    assert {"a", names.ANNOTATION_ROLL_OUT} == annotations.keys()
