"""What a user of the server counts on beside the recorded answers: data that stays, keys, probes, honest refusals."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.qdrant.rest import error_of, fill, point, result, send
from tests.qdrant_standin.fixture import Standin, qdrant_server, start_standin
from tests.qdrant_standin.settings import from_environment

__all__ = ["qdrant_server"]  # the fixture, by import

READ_ONLY, FULL = "a-reading-key", "a-full-key"
QUERY = {"query": {"indices": [1, 2], "values": [1.0, 1.0]}, "using": "text", "limit": 5, "with_payload": True}
POINTS = [
    point(1, [1, 2], [1.0, 0.5], tenant="demo", text="Nghỉ phép năm"),
    point(2, [1, 3], [0.7, 0.5], tenant="demo", text="leave"),
    point("6f1b2c1e-0000-4000-8000-000000000001", [2], [3.0], tenant="other", text="x"),
    point(4, [9], [3.0], tenant="other", text="never asked for"),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    """One server for the tests that leave its collection `kb` alone."""
    with start_standin(tmp_path_factory.mktemp("qdrant")) as running:
        fill(running, "kb", POINTS)
        yield running


def _answers(server: Standin) -> dict[str, Any]:
    """Everything a reader can see of the collection `kb` and the alias `current`."""
    return {
        "info": result(server, "GET", "/collections/current"),
        "hits": result(server, "POST", "/collections/current/points/query", QUERY),
        "count": result(server, "POST", "/collections/kb/points/count", {"exact": True}),
        "aliases": result(server, "GET", "/aliases"),
        "page": result(server, "POST", "/collections/kb/points/scroll", {"limit": 10, "with_vector": True}),
    }


@pytest.mark.parametrize("kill", [False, True], ids=["SIGTERM", "SIGKILL"])
def test_everything_is_there_after_a_restart(qdrant_server: Standin, kill: bool) -> None:
    fill(qdrant_server, "kb", POINTS, metadata={"identity": "bm25-v1"})
    alias = {"create_alias": {"collection_name": "kb", "alias_name": "current"}}
    result(qdrant_server, "POST", "/collections/aliases", {"actions": [alias]})
    result(qdrant_server, "PUT", "/collections/empty", {"vectors": {}})
    before = _answers(qdrant_server)
    qdrant_server.restart(kill=kill)
    assert _answers(qdrant_server) == before
    assert before["count"] == {"count": 4}
    assert before["info"]["config"]["metadata"] == {"identity": "bm25-v1"}
    changed = {"points": [point(1, [1], [1.0], tenant="demo")]}
    assert result(qdrant_server, "PUT", "/collections/kb/points?wait=true", changed)["operation_id"] == 4
    assert result(qdrant_server, "GET", "/collections/kb/points/1")["payload"] == {"tenant": "demo"}


def test_an_update_taken_just_before_sigkill_is_not_lost(qdrant_server: Standin) -> None:
    fill(qdrant_server, "kb", POINTS)
    qdrant_server.restart()
    for number in range(100, 150):
        body = {"points": [point(number, [number], [1.0], tenant="demo")]}
        result(qdrant_server, "PUT", "/collections/kb/points?wait=true", body)
    result(qdrant_server, "POST", "/collections/kb/points/delete?wait=true", {"points": [4]})
    qdrant_server.restart(kill=True)
    assert result(qdrant_server, "POST", "/collections/kb/points/count", {"exact": True}) == {"count": 53}
    assert send(qdrant_server, "GET", "/collections/kb/points/4")[0] == 404


def test_a_creation_that_was_cut_short_leaves_nothing(qdrant_server: Standin) -> None:
    qdrant_server.kill()
    (qdrant_server.storage / "collections" / "half" / "shard").mkdir(parents=True)
    qdrant_server.start()
    assert result(qdrant_server, "GET", "/collections") == {"collections": []}
    result(qdrant_server, "PUT", "/collections/half", {"vectors": {}})


def test_ends_in_order_on_sigterm_and_says_what_it_is(qdrant_server: Standin) -> None:
    qdrant_server.stop()
    lines = qdrant_server.log.read_text(encoding="utf-8").splitlines()
    assert all(line.startswith("qdrant stand-in for tests: ") for line in lines)
    assert lines[-1].endswith("stopped, storage flushed")


def test_says_why_it_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "storage").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"stand-in for tests: cannot start: .*storage"), start_standin(tmp_path):
        pass


def test_does_not_start_with_a_switch_that_it_lacks() -> None:
    with pytest.raises(ValueError, match="ENABLE_TLS is not supported"):
        from_environment({"QDRANT__SERVICE__ENABLE_TLS": "true"})


def test_takes_its_settings_from_qdrants_names() -> None:
    names = {
        "QDRANT__SERVICE__HTTP_PORT": "7000",
        "QDRANT__SERVICE__HOST": "::",
        "QDRANT__SERVICE__API_KEY": FULL,
        "QDRANT__STORAGE__STORAGE_PATH": "/data",
        "QDRANT__STORAGE__SNAPSHOTS_PATH": "/data/snapshots",
    }
    settings = from_environment(names)
    assert (settings.port, settings.host, settings.storage.as_posix()) == (7000, "::", "/data")
    assert (settings.snapshots.as_posix(), settings.api_key) == ("/data/snapshots", FULL)
    assert FULL not in repr(settings)
    plain = from_environment({})
    assert (plain.port, plain.storage.as_posix(), plain.needs_key) == (6333, "/qdrant/storage", False)


def test_the_reading_key_reads_and_does_not_write(tmp_path: Path) -> None:
    with start_standin(tmp_path, FULL, READ_ONLY) as server:
        fill(server, "kb", POINTS)
        assert send(server, "POST", "/collections/kb/points/query", QUERY, READ_ONLY)[0] == 200
        assert send(server, "POST", "/collections/kb/points/scroll", {}, READ_ONLY)[0] == 200
        assert send(server, "GET", "/metrics", None, READ_ONLY)[0] == 200
        for method, path in [
            ("PUT", "/collections/kb/points"),
            ("POST", "/collections/kb/points/delete"),
            ("POST", "/collections/kb/snapshots"),
            ("DELETE", "/collections/kb"),
        ]:
            assert send(server, method, path, {}, READ_ONLY)[0] == 403
        assert send(server, "DELETE", "/collections/kb", None, f"Bearer {FULL}")[0] == 200
        server.stop()
        assert FULL not in server.log.read_text(encoding="utf-8")


def test_probes_and_queries_are_answered_while_a_large_batch_is_written(shared: Standin) -> None:
    fill(shared, "large", POINTS)
    batch = {
        "points": [point(n, list(range(n, n + 40)), [1.0] * 40, tenant="demo", text="x" * 500) for n in range(8000)]
    }
    writer = threading.Thread(target=result, args=(shared, "PUT", "/collections/large/points?wait=true", batch))
    writer.start()
    slowest, asked = 0.0, 0
    while writer.is_alive():
        start = time.monotonic()
        assert send(shared, "GET", "/readyz")[0] == 200
        assert send(shared, "POST", "/collections/large/points/query", QUERY)[0] == 200
        slowest, asked = max(slowest, time.monotonic() - start), asked + 1
    writer.join()
    assert asked > 5
    assert slowest < 5, "a probe of Kubernetes would have given up"


def test_a_snapshot_brings_back_what_was(qdrant_server: Standin) -> None:
    fill(qdrant_server, "kb", POINTS, metadata={"identity": "bm25-v1"})
    made = result(qdrant_server, "POST", "/collections/kb/snapshots")
    body = {"location": f"{qdrant_server.url}/collections/kb/snapshots/{made['name']}", "checksum": made["checksum"]}
    result(qdrant_server, "PUT", "/collections/copy/snapshots/recover", body)
    result(qdrant_server, "POST", "/collections/kb/points/delete?wait=true", {"points": [1, 2]})
    file = {"location": f"file://{qdrant_server.snapshots}/kb/{made['name']}"}
    result(qdrant_server, "PUT", "/collections/kb/snapshots/recover?wait=true", file)
    qdrant_server.restart(kill=True)
    for name in ("copy", "kb"):
        assert result(qdrant_server, "POST", f"/collections/{name}/points/count", {"exact": True}) == {"count": 4}
        info = result(qdrant_server, "GET", f"/collections/{name}")
        assert info["config"]["metadata"] == {"identity": "bm25-v1"}
        assert info["payload_schema"]["tenant"]["points"] == 4
    wrong = body | {"checksum": "0" * 64}
    assert send(qdrant_server, "PUT", "/collections/kb/snapshots/recover", wrong)[0] == 400


def test_a_broken_snapshot_is_refused_and_the_collection_stays(shared: Standin) -> None:
    fill(shared, "kept", POINTS)
    broken = shared.folder / "broken.snapshot"
    broken.write_bytes(b"no archive")
    status, answer = send(shared, "PUT", "/collections/kept/snapshots/recover", {"location": f"file://{broken}"})
    assert status == 400
    assert "corrupted" in error_of(answer)
    assert result(shared, "POST", "/collections/kept/points/count", {}) == {"count": 4}


def test_a_deleted_collection_takes_its_aliases_and_files_along(shared: Standin) -> None:
    fill(shared, "gone", POINTS)
    alias = {"create_alias": {"collection_name": "gone", "alias_name": "current"}}
    result(shared, "POST", "/collections/aliases", {"actions": [alias]})
    result(shared, "DELETE", "/collections/gone")
    assert result(shared, "GET", "/aliases") == {"aliases": []}
    assert send(shared, "POST", "/collections/current/points/query", QUERY)[0] == 404
    assert not (shared.storage / "collections" / "gone").exists()


def test_alias_actions_are_applied_all_or_none(shared: Standin) -> None:
    fill(shared, "aliased", POINTS)
    good = {"create_alias": {"collection_name": "aliased", "alias_name": "current"}}
    bad = {"create_alias": {"collection_name": "none", "alias_name": "other"}}
    assert send(shared, "POST", "/collections/aliases", {"actions": [good, bad]})[0] == 404
    assert result(shared, "GET", "/aliases") == {"aliases": []}


@pytest.mark.parametrize("name", ["..", "%2e%2e", "a%2F..%2Fb", "a%5Cb", "x" * 256])
def test_a_name_that_leaves_its_folder_is_refused(shared: Standin, name: str) -> None:
    before = sorted(path.name for path in shared.storage.rglob("*") if "shard" not in path.parts)
    assert send(shared, "PUT", f"/collections/{name}", {"vectors": {}})[0] in (404, 405, 422)
    assert before == sorted(path.name for path in shared.storage.rglob("*") if "shard" not in path.parts)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/collections/kb/points", {}, 400),
        ("PUT", "/collections/kb/points", {"points": [{"id": 1}]}, 400),
        ("PUT", "/collections/kb/points", {"points": [{"id": -1, "vector": {}}]}, 400),
        ("PUT", "/collections/kb/points", {"points": [point(9, [1, 1], [1.0, 1.0])]}, 422),
        ("PUT", "/collections/kb/points", {"points": [point(9, [1, 2], [1.0])]}, 422),
        ("POST", "/collections/kb/points/query", {"query": {"fusion": "nope"}}, 400),
        ("POST", "/collections/kb/points/query", {"query": {"formula": {}}}, 501),
        ("POST", "/collections/kb/points/query", QUERY | {"limit": 0}, 422),
        ("POST", "/collections/kb/points/query", QUERY | {"limit": "5"}, 400),
        ("POST", "/collections/kb/points/query", QUERY | {"filter": {"mus": []}}, 400),
        ("POST", "/collections/kb/points/query", QUERY | {"filter": {"must": [{"key": "a"}]}}, 400),
        ("POST", "/collections/kb/points/query", QUERY | {"filter": {"must": [{"nested": 1}]}}, 400),
        ("POST", "/collections/kb/points/query", QUERY | {"filter": []}, 400),
        ("POST", "/collections/kb/points/query", QUERY | {"with_payload": 3}, 400),
        ("POST", "/collections/kb/points/query", {"query": 777, "using": "text"}, 404),
        ("POST", "/collections/kb/points/delete", {}, 400),
        ("POST", "/collections/aliases", {"actions": [{"nope": {}}]}, 400),
        ("PUT", "/collections/kb/index", {"field_name": "a", "field_schema": "nope"}, 400),
        ("PUT", "/collections/kb/snapshots/recover", {"location": "nowhere"}, 400),
        (
            "PUT",
            "/collections/kb/points",
            {"points": [{"id": 9, "vector": {"text": {"indices": [1], "values": ["1"]}}}]},
            400,
        ),
        ("POST", "/collections/kb/points/query", QUERY | {"limit": 2**70}, 400),
        ("POST", "/collections/kb/points/query", QUERY | {"score_threshold": "a"}, 400),
        ("POST", "/collections/kb/points/query", QUERY | {"score_threshold": float("nan")}, 400),
        ("POST", "/collections/kb/points/scroll", b"[1]", 400),
        ("POST", "/collections/kb/points/scroll", b"\xff", 400),
    ],
)
def test_a_bad_body_is_refused_with_an_error_body(
    shared: Standin, method: str, path: str, body: Any, status: int
) -> None:
    answered, answer = send(shared, method, path, body)
    assert answered == status
    assert error_of(answer)
    assert result(shared, "POST", "/collections/kb/points/count", {}) == {"count": 4}


FILTERS: list[tuple[dict[str, Any], set[Any]]] = [
    ({"must": [{"key": "tenant", "match": {"value": "demo"}}]}, {1, 2}),
    ({"must_not": [{"key": "tenant", "match": {"any": ["demo"]}}]}, {4, POINTS[2]["id"]}),
    ({"should": [{"has_id": [1]}, {"has_id": [4]}]}, {1, 4}),
    ({"must": {"key": "text", "match": {"value": "Nghỉ phép năm"}}}, {1}),
    ({"must": [{"is_empty": {"key": "text"}}]}, set()),
    ({"must": [{"should": [{"has_id": [1, 2]}], "must_not": [{"has_id": [2]}]}]}, {1}),
    ({"must": [{"key": "tenant", "match": {"except": ["demo"]}}]}, {4, POINTS[2]["id"]}),
    ({"min_should": {"conditions": [{"has_id": [1, 2]}, {"has_id": [2, 4]}], "min_count": 2}}, {2}),
]


@pytest.mark.parametrize(("filter_", "expected"), FILTERS)
def test_filters_choose_alike_in_scroll_and_count(shared: Standin, filter_: dict[str, Any], expected: set[Any]) -> None:
    page = result(shared, "POST", "/collections/kb/points/scroll", {"filter": filter_, "limit": 10})
    assert expected == {row["id"] for row in page["points"]}
    assert result(shared, "POST", "/collections/kb/points/count", {"filter": filter_}) == {"count": len(expected)}


def test_strict_mode_looks_into_prefetches_and_nested_clauses(shared: Standin) -> None:
    strict = {"enabled": True, "unindexed_filtering_retrieve": False, "max_query_limit": 10}
    fill(shared, "strict", POINTS, strict_mode_config=strict)
    unindexed = {"must": [{"should": [{"key": "text", "match": {"value": "x"}}]}]}
    for body in (
        QUERY | {"filter": unindexed},
        {"prefetch": QUERY | {"filter": unindexed}, "query": {"fusion": "rrf"}},
        {"prefetch": [QUERY | {"limit": 11}], "query": {"fusion": "rrf"}},
    ):
        assert send(shared, "POST", "/collections/strict/points/query", body)[0] == 400
    indexed = {"must": [{"should": [{"key": "tenant", "match": {"value": "demo"}}]}]}
    assert send(shared, "POST", "/collections/strict/points/query", QUERY | {"filter": indexed})[0] == 200


def test_payload_writes_reach_the_points_they_name(shared: Standin) -> None:
    fill(shared, "payloads", POINTS)
    by_tenant = {"must": [{"key": "tenant", "match": {"value": "demo"}}]}
    path = "/collections/payloads/points/payload"
    result(shared, "POST", f"{path}?wait=true", {"payload": {"roles": ["hr"]}, "filter": by_tenant})
    result(shared, "POST", f"{path}/delete?wait=true", {"keys": ["text"], "points": [1]})
    result(shared, "PUT", f"{path}?wait=true", {"payload": {"only": 1}, "points": [2]})
    result(shared, "POST", f"{path}/clear?wait=true", {"points": [4]})
    rows = result(shared, "POST", "/collections/payloads/points", {"ids": [1, 2, 4], "with_payload": True})
    payloads = {row["id"]: row["payload"] for row in rows}
    assert payloads == {1: {"tenant": "demo", "roles": ["hr"]}, 2: {"only": 1}, 4: {}}
