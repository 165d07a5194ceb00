"""The whole story against a stand-in for Qdrant: what lies there decides what is done."""

from pathlib import Path
from typing import Any

import pytest
from rag_contract.analysis import encode_query
from rag_contract.identity import IndexIdentity
from rag_indexer import build
from rag_indexer.errors import IndexFailure
from rag_indexer.servers import Servers
from rag_indexer.store import Store

from .conftest import READ_KEY, Bench
from .support import many, write

DOCUMENTS = {
    "en.md": "# Leave\n\nA full-time employee gets 18 days of annual leave.\n\n## Illness\n\nTell your team lead.",
    "vi.md": "# Nghỉ phép\n\nNhân viên full-time có 18 ngày nghỉ phép năm.",
    "boss.md": "---\ntenant: north\nroles: [manager]\n---\n# Budget\n\nThe budget is large.",
}


def _complete(documents: int, chunks: int) -> dict[str, Any]:
    return {
        "version": "v1",
        "contentHash": "0123456789abcdef",
        "identity": IndexIdentity(provider="BM25").model_dump(mode="json", by_alias=True),
        "documents": documents,
        "chunks": chunks,
        "complete": True,
    }


async def test_a_new_collection_is_filled_verified_and_stamped(bench: Bench, tmp_path: Path) -> None:
    write(tmp_path, DOCUMENTS | {"x.pdf": "no"})
    result = await build.build(bench.settings(documents_path=str(tmp_path)), bench.servers, bench.progress)
    assert (result.outcome, result.documents, result.chunks, result.skipped) == ("Succeeded", 3, 4, 1)
    assert result.message == "skipped: x.pdf: the type .pdf is not supported"
    assert await bench.count() == 4
    assert await bench.stamp() == _complete(3, 4)
    report = bench.progress.report()
    assert (report.stage, report.documents_done, report.documents_total, report.chunks_done) == ("Done", 3, 3, 4)


async def test_the_collection_has_the_agreed_shape(bench: Bench, tmp_path: Path) -> None:
    write(tmp_path, DOCUMENTS)
    await build.build(bench.settings(documents_path=str(tmp_path)), bench.servers, bench.progress)
    found = (await bench.ask("GET", ""))["result"]
    assert found["config"]["params"]["sparse_vectors"] == {"text": {"modifier": "idf"}}
    assert found["config"]["strict_mode_config"]["unindexed_filtering_retrieve"] is False
    schema = {
        name: (kind["data_type"], kind.get("params", {}).get("is_tenant"))
        for name, kind in found["payload_schema"].items()
    }
    assert schema == {"tenant": ("keyword", True), "roles": ("keyword", None), "document_id": ("keyword", None)}


async def test_a_finished_collection_is_verified_without_its_documents(bench: Bench, tmp_path: Path) -> None:
    write(tmp_path, DOCUMENTS)
    await build.build(bench.settings(documents_path=str(tmp_path)), bench.servers, bench.progress)
    again = await build.build(bench.settings(documents_path="/nowhere"), bench.servers, bench.progress)
    assert (again.outcome, again.documents, again.chunks) == ("Succeeded", 3, 4)
    checked = await build.check(bench.settings(), bench.servers, bench.progress)
    assert (checked.documents, checked.chunks) == (3, 4)


async def test_an_unfinished_collection_is_made_equal_to_the_documents(bench: Bench, tmp_path: Path) -> None:
    """As if a run had been killed, and a file had been edited and another removed before the next."""
    write(tmp_path, DOCUMENTS | {"gone.md": "# Gone\n\nNobody reads this."})
    chosen = bench.settings(documents_path=str(tmp_path))
    await build.build(chosen, bench.servers, bench.progress)
    await bench.store.write_stamp(build.new_stamp(chosen))
    (tmp_path / "gone.md").unlink()
    write(tmp_path, {"boss.md": DOCUMENTS["boss.md"].replace("manager", "owner")})
    result = await build.build(chosen, bench.servers, bench.progress)
    assert (result.documents, result.chunks, await bench.count()) == (3, 4, 4)
    found = await bench.ask("POST", "/points/scroll", {"limit": 10, "with_payload": ["roles", "title"]})
    roles = {p["payload"]["title"]: p["payload"]["roles"] for p in found["result"]["points"]}
    assert roles == {"Leave": ["*"], "Nghỉ phép": ["*"], "Budget": ["owner"]}
    assert await bench.stamp() == _complete(3, 4)


async def test_chunks_that_a_finished_collection_lost_are_written_again(bench: Bench, tmp_path: Path) -> None:
    write(tmp_path, DOCUMENTS)
    chosen = bench.settings(documents_path=str(tmp_path))
    await build.build(chosen, bench.servers, bench.progress)
    lost = (await bench.store.sample(1))[0].id
    await bench.store.delete([lost])
    assert await bench.count() == 3
    result = await build.build(chosen, bench.servers, bench.progress)
    assert (result.outcome, await bench.count()) == ("Succeeded", 4)


async def test_lost_chunks_of_changed_documents_are_not_replaced_in_silence(bench: Bench, tmp_path: Path) -> None:
    write(tmp_path, DOCUMENTS)
    chosen = bench.settings(documents_path=str(tmp_path))
    await build.build(chosen, bench.servers, bench.progress)
    await bench.store.delete([(await bench.store.sample(1))[0].id])
    (tmp_path / "vi.md").unlink()
    with pytest.raises(IndexFailure, match=r"set a new spec\.index\.version") as caught:
        await build.build(chosen, bench.servers, bench.progress)
    assert (caught.value.reason, caught.value.retryable) == ("CollectionDamaged", False)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "has no stamp"),
        ({"rag": {"something": "else"}}, "has no stamp"),
        ({"rag": _complete(3, 4) | {"contentHash": "other"}}, r"holds other content \(version v1\)"),
        ({"rag": _complete(3, 4) | {"identity": {"provider": "BM25", "model": "older"}}}, "another analysis"),
    ],
)
@pytest.mark.parametrize("command", [build.build, build.check, build.drop])
async def test_a_collection_of_somebody_else_is_never_touched(
    bench: Bench, tmp_path: Path, metadata: dict[str, Any] | None, message: str, command: Any
) -> None:
    write(tmp_path, DOCUMENTS)
    await bench.ask(
        "PUT", "", {"vectors": {}, "sparse_vectors": {"text": {}}} | ({"metadata": metadata} if metadata else {})
    )
    before = (await bench.ask("GET", ""))["result"]["config"]
    with pytest.raises(IndexFailure, match=message) as caught:
        await command(bench.settings(documents_path=str(tmp_path)), bench.servers, bench.progress)
    assert (caught.value.reason, caught.value.retryable) == ("CollectionConflict", False)
    assert (await bench.ask("GET", ""))["result"]["config"] == before
    assert await bench.count() == 0


@pytest.mark.parametrize(
    ("files", "message"),
    [({}, "the folder is empty"), ({"a.pdf": "x"}, "a.pdf: the type .pdf"), ({"a.md": "# t"}, "no text")],
)
async def test_without_a_document_nothing_is_made(
    bench: Bench, tmp_path: Path, files: dict[str, Any], message: str
) -> None:
    write(tmp_path, files)
    with pytest.raises(IndexFailure, match=message) as caught:
        await build.build(bench.settings(documents_path=str(tmp_path)), bench.servers, bench.progress)
    assert (caught.value.reason, caught.value.retryable) == ("NoDocuments", False)
    assert "doesn't exist" in str((await bench.ask("GET", ""))["status"])


async def test_drop_removes_the_own_collection_and_may_be_repeated(bench: Bench, tmp_path: Path) -> None:
    write(tmp_path, DOCUMENTS)
    await build.build(bench.settings(documents_path=str(tmp_path)), bench.servers, bench.progress)
    for _ in range(2):
        assert (await build.drop(bench.settings(), bench.servers, bench.progress)).outcome == "Succeeded"
        assert "doesn't exist" in str((await bench.ask("GET", ""))["status"])


async def test_verify_wants_a_finished_collection(bench: Bench) -> None:
    with pytest.raises(IndexFailure, match="build it") as caught:
        await build.check(bench.settings(), bench.servers, bench.progress)
    assert caught.value.reason == "NotBuilt"


async def test_verification_finds_chunks_that_cannot_be_found(bench: Bench, tmp_path: Path) -> None:
    """Vectors that do not belong to their texts, as a faulty analysis would make them."""
    many(tmp_path, 4, 10)
    await build.build(bench.settings(documents_path=str(tmp_path)), bench.servers, bench.progress)
    wrong = {"text": {"indices": [7], "values": [1.0]}}
    points = [{"id": one.id, "vector": wrong} for one in await bench.store.sample(40)]
    await bench.ask("PUT", "/points/vectors?wait=true", {"points": points})
    with pytest.raises(IndexFailure, match="is not found by its own sentence") as caught:
        await build.check(bench.settings(), bench.servers, bench.progress)
    assert (caught.value.reason, caught.value.retryable) == ("VerificationFailed", True)


@pytest.mark.parametrize(
    ("key", "reason"), [("wrong", "VectorStoreUnauthorized"), (READ_KEY, "VectorStoreUnauthorized")]
)
async def test_a_key_that_may_not_write(bench: Bench, tmp_path: Path, key: str, reason: str) -> None:
    write(tmp_path, DOCUMENTS)
    store = Store(bench.server.url, key, bench.collection, wait_seconds=5)
    with pytest.raises(IndexFailure, match="a key that may write") as caught:
        await build.build(bench.settings(documents_path=str(tmp_path)), Servers(store), bench.progress)
    await store.close()
    assert (caught.value.reason, caught.value.retryable) == (reason, True)


async def test_a_store_that_stays_away(bench: Bench) -> None:
    store = Store("http://127.0.0.1:1", None, "c", wait_seconds=0.3)
    with pytest.raises(IndexFailure, match="ConnectError") as caught:
        await build.build(bench.settings(), Servers(store), bench.progress)
    await store.close()
    assert (caught.value.reason, caught.value.retryable) == ("VectorStoreUnreachable", True)
    assert bench.progress.stage == "Waiting"


async def test_an_overlap_that_leaves_no_room(bench: Bench) -> None:
    with pytest.raises(IndexFailure, match="at most half") as caught:
        await build.build(bench.settings(max_characters=100, overlap_characters=60), bench.servers, bench.progress)
    assert (caught.value.reason, caught.value.retryable) == ("InvalidSettings", False)


async def test_a_sample_question_is_asked_as_one_reader(bench: Bench, tmp_path: Path) -> None:
    """Verification searches with the tenant and roles of the chunk, as the API will."""
    heads = {
        "north": "tenant: north\nroles: [hr]",
        "boss": "tenant: north\nroles: [manager]",
        "south": "tenant: south",
        "east": "tenant: east",
    }
    write(tmp_path, {f"{name}.md": f"---\n{head}\n---\nThe beds of {name}." for name, head in heads.items()})
    await build.build(bench.settings(documents_path=str(tmp_path)), bench.servers, bench.progress)
    for tenant, roles, expected in [
        ("north", ["hr"], ["The beds of north."]),
        ("south", ["*"], ["The beds of south."]),
    ]:
        hits = await bench.store.search(encode_query("beds"), tenant, roles, 10)
        assert [hit.fields["text"] for hit in hits] == expected
