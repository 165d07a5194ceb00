"""Which way of rolling out is chosen, as a table."""

import pytest
from rag_operator.scheduling import RollOut, Wish, choose, deployment_strategy

ROWS = [
    # wish, replicas, exclusive cache, room for one more pod -> way
    (Wish.AUTO, 1, False, True, RollOut.SURGE),
    (Wish.AUTO, 2, False, True, RollOut.SURGE),
    (Wish.AUTO, 2, False, False, RollOut.ONE_BY_ONE),
    (Wish.AUTO, 1, False, False, RollOut.RECREATE),
    (Wish.AUTO, 1, False, None, RollOut.SURGE),
    (Wish.AUTO, 1, True, True, RollOut.RECREATE),
    (Wish.SURGE, 1, True, True, RollOut.RECREATE),
    (Wish.SURGE, 1, False, True, RollOut.SURGE),
    (Wish.SURGE, 1, False, False, RollOut.BLOCKED),
    (Wish.SURGE, 3, False, False, RollOut.BLOCKED),
    (Wish.REPLACE, 1, False, True, RollOut.RECREATE),
    (Wish.REPLACE, 2, False, True, RollOut.ONE_BY_ONE),
]


@pytest.mark.parametrize(("wish", "replicas", "exclusive", "room", "expected"), ROWS)
def test_the_way_follows_from_wish_replicas_cache_and_free_gpus(
    wish: Wish, replicas: int, exclusive: bool, room: bool | None, expected: RollOut
) -> None:
    strategy = choose(wish, replicas, exclusive_cache=exclusive, room=room)

    assert expected is strategy.kind
    assert strategy.why
    assert strategy.cost


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (RollOut.SURGE, {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}),
        (RollOut.ONE_BY_ONE, {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}),
        (RollOut.RECREATE, {"type": "Recreate"}),
        (RollOut.BLOCKED, {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}),
    ],
)
def test_the_deployments_strategy_never_takes_away_what_a_surge_or_a_block_must_keep(
    kind: RollOut, expected: dict[str, object]
) -> None:
    assert expected == deployment_strategy(kind)


@pytest.mark.parametrize("wish", [Wish.AUTO, Wish.SURGE])
@pytest.mark.parametrize("replicas", [1, 2])
def test_nothing_that_serves_is_given_up_for_a_pod_that_would_find_no_place_anyway(wish: Wish, replicas: int) -> None:
    strategy = choose(wish, replicas, exclusive_cache=False, room=False, obstacle="No node offers nvidia.com/gpu.")

    assert RollOut.BLOCKED is strategy.kind
    assert "No node offers nvidia.com/gpu." in strategy.why
