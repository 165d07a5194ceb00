"""The calls of the indexer through Qdrant's own Python client."""

from collections.abc import Iterator
from typing import Any

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from tests.qdrant_standin.fixture import start_standin

DEMO = models.Filter(must=[models.FieldCondition(key="tenant", match=models.MatchValue(value="demo"))])


def _sparse(*indices: int) -> models.SparseVector:
    return models.SparseVector(indices=list(indices), values=[1.0 + i / 10 for i, _ in enumerate(indices)])


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantClient]:
    """A client with a key. It warns of a key sent without TLS; this one never leaves the machine."""
    with start_standin(tmp_path_factory.mktemp("qdrant"), api_key="a-full-key") as server:
        with pytest.warns(UserWarning, match="insecure connection"):
            made = QdrantClient(url=server.url, api_key="a-full-key", prefer_grpc=False, check_compatibility=False)
        yield made
        made.close()


@pytest.fixture
def filled(client: QdrantClient) -> QdrantClient:
    """The client, with a collection `kb` made anew."""
    client.delete_collection("kb")
    client.create_collection(
        "kb",
        vectors_config={"dense": models.VectorParams(size=2, distance=models.Distance.COSINE)},
        sparse_vectors_config={"text": models.SparseVectorParams(modifier=models.Modifier.IDF)},
        metadata={"identity": "bm25-v1"},
    )
    client.create_payload_index("kb", "tenant", models.KeywordIndexParams(type="keyword", is_tenant=True))  # type: ignore[arg-type]
    client.create_payload_index("kb", "chunk", models.PayloadSchemaType.INTEGER)
    points = [
        models.PointStruct(
            id=n,
            vector={"dense": [1.0, float(n)], "text": _sparse(1, 2 + n)},
            payload={"tenant": "demo" if n < 5 else "other", "chunk": n, "document_id": f"d{n // 3}"},
        )
        for n in range(150)
    ]
    client.upload_points("kb", points, batch_size=64, wait=True)
    return client


def test_a_collection_tells_its_identity_its_size_and_its_indexes(filled: QdrantClient) -> None:
    info = filled.get_collection("kb")
    assert info.config.metadata == {"identity": "bm25-v1"}
    assert info.points_count == 150
    schema = {name: index.data_type.value for name, index in info.payload_schema.items()}
    assert schema == {"tenant": "keyword", "chunk": "integer"}
    assert filled.update_collection("kb", metadata={"verified": True})
    assert filled.get_collection("kb").config.metadata == {"identity": "bm25-v1", "verified": True}


def test_queries_alone_and_fused(filled: QdrantClient) -> None:
    found = filled.query_points(
        "kb", query=_sparse(1, 5), using="text", query_filter=DEMO, limit=2, with_payload=["document_id"]
    ).points
    assert found[0].id == 3
    assert found[0].payload == {"document_id": "d1"}
    prefetch = [
        models.Prefetch(query=_sparse(5), using="text", limit=5),
        models.Prefetch(query=[1.0, 3.0], using="dense", limit=5),
    ]
    for fusion in (models.FusionQuery(fusion=models.Fusion.RRF), models.FusionQuery(fusion=models.Fusion.DBSF)):
        assert filled.query_points("kb", prefetch=prefetch, query=fusion, limit=3).points[0].id == 3
    ranked: Any = models.RrfQuery(rrf=models.Rrf(k=60))
    assert filled.query_points("kb", prefetch=prefetch, query=ranked, limit=3).points[0].id == 3


def test_counts_pages_and_deletes(filled: QdrantClient) -> None:
    assert filled.count("kb", count_filter=DEMO).count == 5
    chunks = models.Filter(must=[models.FieldCondition(key="chunk", range=models.Range(gte=3, lt=10))])
    assert filled.count("kb", count_filter=chunks).count == 7
    offset, seen = None, 0
    while True:
        rows, offset = filled.scroll("kb", limit=64, offset=offset, with_payload=["chunk"])
        seen += len(rows)
        if offset is None:
            break
    assert seen == 150
    filled.delete("kb", points_selector=models.FilterSelector(filter=DEMO))
    assert filled.count("kb").count == 145


def test_aliases_move_in_one_call(filled: QdrantClient) -> None:
    filled.create_collection("kb2", vectors_config={})
    create, delete = models.CreateAlias, models.DeleteAlias
    filled.update_collection_aliases(
        [models.CreateAliasOperation(create_alias=create(collection_name="kb", alias_name="current"))]
    )
    filled.update_collection_aliases(
        [
            models.DeleteAliasOperation(delete_alias=delete(alias_name="current")),
            models.CreateAliasOperation(create_alias=create(collection_name="kb2", alias_name="current")),
        ]
    )
    assert [row.alias_name for row in filled.get_collection_aliases("kb2").aliases] == ["current"]
    assert filled.get_collection_aliases("kb").aliases == []
    assert filled.collection_exists("current")


def test_snapshots_and_the_end_of_a_collection(filled: QdrantClient) -> None:
    made = filled.create_snapshot("kb")
    assert made is not None
    assert [row.name for row in filled.list_snapshots("kb")] == [made.name]
    assert filled.delete_snapshot("kb", made.name)
    assert filled.delete_collection("kb")
    with pytest.raises(UnexpectedResponse, match="404"):
        filled.get_collection("kb")
