"""The order of results and their scores against the published formulas, on points that do not tie."""

from collections import defaultdict
from collections.abc import Iterator
from math import log
from typing import Any

import pytest

from tests.contract.qdrant.rest import fill, point, result
from tests.qdrant_standin.fixture import Standin, start_standin

DOCUMENTS: dict[int, dict[int, float]] = {
    1: {10: 1.0, 11: 0.3},
    2: {10: 0.5, 12: 1.7},
    3: {10: 2.0, 13: 0.9},
    4: {11: 1.1, 12: 0.4},
    5: {10: 0.7, 11: 0.8, 12: 0.6},
    6: {14: 1.0},
    7: {10: 0.2, 13: 1.3},
    8: {11: 0.25, 14: 2.0},
}
TENANTS = {key: "demo" if key % 2 else "other" for key in DOCUMENTS}
ASKED = {10: 1.0, 11: 1.0, 12: 0.5}
OTHER = {13: 1.0, 10: 0.4, 14: 0.1}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    points = [
        point(key, list(terms), list(terms.values()), tenant=TENANTS[key], document=f"d{(key + 1) // 2}")
        for key, terms in DOCUMENTS.items()
    ]
    with start_standin(tmp_path_factory.mktemp("qdrant")) as running:
        fill(running, "kb", points)
        yield running


def _expected(asked: dict[int, float], tenant: str | None = None) -> list[tuple[int, float]]:
    """Scores by Qdrant's IDF, ln((N - df + 0.5) / (df + 0.5) + 1), with N and df of the whole collection."""
    df = {term: sum(term in terms for terms in DOCUMENTS.values()) for term in asked}
    idf = {term: log((len(DOCUMENTS) - n + 0.5) / (n + 0.5) + 1) for term, n in df.items()}
    scores = {
        key: sum(weight * idf[term] * terms[term] for term, weight in asked.items() if term in terms)
        for key, terms in DOCUMENTS.items()
        if tenant in (None, TENANTS[key]) and asked.keys() & terms.keys()
    }
    return sorted(scores.items(), key=lambda pair: -pair[1])


def _sparse(asked: dict[int, float], **more: Any) -> dict[str, Any]:
    return {"query": {"indices": list(asked), "values": list(asked.values())}, "using": "text", "limit": 20} | more


def _ranked(server: Standin, body: dict[str, Any]) -> list[tuple[int, float]]:
    hits = result(server, "POST", "/collections/kb/points/query", body)["points"]
    return [(hit["id"], hit["score"]) for hit in hits]


def _same(ours: list[tuple[int, float]], expected: list[tuple[int, float]]) -> None:
    assert [key for key, _ in expected] == [key for key, _ in ours]
    assert pytest.approx([score for _, score in expected], rel=1e-5) == [score for _, score in ours]


def test_ranks_by_the_idf_of_the_terms(server: Standin) -> None:
    _same(_ranked(server, _sparse(ASKED)), _expected(ASKED))


def test_a_filter_leaves_the_idf_of_the_whole_collection(server: Standin) -> None:
    tenant = {"must": [{"key": "tenant", "match": {"value": "demo"}}]}
    _same(_ranked(server, _sparse(ASKED, filter=tenant)), _expected(ASKED, "demo"))


@pytest.mark.parametrize(
    ("query", "k", "weights"),
    [
        ({"fusion": "rrf"}, 2, [1.0, 1.0]),
        ({"rrf": {}}, 2, [1.0, 1.0]),
        ({"rrf": {"k": 60}}, 60, [1.0, 1.0]),
        ({"rrf": {"k": 60, "weights": [3.0, 1.0]}}, 60, [3.0, 1.0]),
    ],
)
def test_fuses_by_reciprocal_rank(server: Standin, query: dict[str, Any], k: int, weights: list[float]) -> None:
    prefetch = [_sparse(ASKED), _sparse(OTHER)]
    fused: dict[int, float] = defaultdict(float)
    for weight, asked in zip(weights, (ASKED, OTHER), strict=True):
        for place, (key, _) in enumerate(_expected(asked)):
            fused[key] += 1 / (k + (place + 1) / weight - 1)  # places from 0; so weighted in the recordings too
    scores = dict(_ranked(server, {"prefetch": prefetch, "query": query, "limit": 20}))
    assert pytest.approx(dict(fused), rel=1e-5) == scores
    assert sorted(scores.values(), reverse=True) == list(scores.values())


def test_the_outer_filter_holds_in_every_prefetch(server: Standin) -> None:
    tenant = {"must": [{"key": "tenant", "match": {"value": "other"}}]}
    body = {
        "prefetch": [_sparse(ASKED, limit=1), _sparse(OTHER, limit=1)],
        "query": {"fusion": "rrf"},
        "filter": tenant,
    }
    assert {key for key, _ in _ranked(server, body)} == {
        _expected(ASKED, "other")[0][0],
        _expected(OTHER, "other")[0][0],
    }


def test_groups_keep_the_order_of_their_best_hits(server: Standin) -> None:
    body = _sparse(ASKED, group_by="document", limit=2, group_size=1, with_payload=["document"])
    groups = result(server, "POST", "/collections/kb/points/query/groups", body)["groups"]
    best: dict[str, int] = {}
    for key, _ in _expected(ASKED):
        best.setdefault(f"d{(key + 1) // 2}", key)
    assert list(best.items())[:2] == [(group["id"], group["hits"][0]["id"]) for group in groups]
    assert [{"document": group["id"]} for group in groups] == [group["hits"][0]["payload"] for group in groups]


def test_a_query_by_id_does_not_find_the_point_itself(server: Standin) -> None:
    found = [key for key, _ in _ranked(server, {"query": 1, "using": "text", "limit": 20})]
    assert 1 not in found
    assert set(found) == {2, 3, 4, 5, 7, 8}


def test_the_score_threshold_and_the_offset_cut(server: Standin) -> None:
    ranked = _expected(ASKED)
    assert len(_ranked(server, _sparse(ASKED, score_threshold=ranked[2][1] - 1e-4))) == 3
    _same(_ranked(server, _sparse(ASKED, offset=2, limit=2)), ranked[2:4])
