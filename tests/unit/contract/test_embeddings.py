"""The embedding answers that both sides read."""

import struct
from base64 import b64encode
from typing import Any

import pytest
from rag_contract.embeddings import WrongDimension, request, vectors
from rag_contract.environment import IndexerEnvironment
from rag_contract.identity import IndexIdentity

ROW = {"index": 0, "embedding": [1.0, 2.0]}
FIELDS: dict[str, Any] = {
    "service": "s",
    "version": "v",
    "collection": "c",
    "content_hash": "h",
    "qdrant_url": "http://q",
}


def test_base64_and_numbers_are_the_same() -> None:
    packed = b64encode(struct.pack("<2f", 1.0, 2.0)).decode()
    for embedding in ([1.0, 2.0], [1, 2], packed):
        assert vectors({"data": [{"index": 0, "embedding": embedding}]}, 1, 2) == [[1.0, 2.0]]
    assert request("m", ("a",)) == {"model": "m", "input": ["a"], "encoding_format": "base64"}


def test_vectors_come_in_the_order_of_the_texts() -> None:
    answer = {"data": [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]}
    assert vectors(answer, 2, 1) == [[1.0], [2.0]]
    assert vectors({"data": [{"embedding": [1.0]}, {"embedding": [2.0]}]}, 2, 1) == [[1.0], [2.0]]


def test_another_dimension_is_named() -> None:
    with pytest.raises(WrongDimension) as caught:
        vectors({"data": [ROW]}, 1, 3)
    assert caught.value.found == 2


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"data": []},
        {"data": [ROW, ROW]},
        {"data": [{**ROW, "index": 1}]},
        {"data": ["x"]},
        {"data": [{"index": 0}]},
        {"data": [{"index": 0, "embedding": "no base64!"}]},
        {"data": [{"index": 0, "embedding": "AAA="}]},
        {"data": [{"index": 0, "embedding": [1.0, "x"]}]},
        {"data": [{"index": 0, "embedding": [1.0, float("nan")]}]},
        {"data": [{"index": 0, "embedding": [1.0, float("inf")]}]},
    ],
)
def test_what_is_no_such_answer_is_refused(answer: Any) -> None:
    with pytest.raises(ValueError, match=r"answer|vector"):
        vectors(answer, 1, 2)


def test_the_embedding_of_an_index_job_is_whole_or_absent() -> None:
    assert IndexerEnvironment(**FIELDS).identity() == IndexIdentity(provider="BM25")
    whole: dict[str, Any] = {
        "embedding_url": "u",
        "embedding_model": "m",
        "embedding_dimension": 2,
        "embedding_distance": "Dot",
    }
    identity = IndexerEnvironment(**FIELDS, **whole).identity()
    assert (identity.provider, identity.dimension, identity.distance) == ("OpenAI", 2, "Dot")
    for missing in whole:
        with pytest.raises(ValueError, match="none of them"):
            IndexerEnvironment(**FIELDS, **{key: value for key, value in whole.items() if key != missing})
