"""The release table: read whole or not at all, shared out by weight, swapped without a gap."""

import asyncio
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rag_api.errors import NotReady
from rag_api.model_keys import ModelKeys
from rag_api.releases import SPOKEN, LoadedTable, ReleaseStore
from rag_contract.release_table import FILE_NAME, ReleaseTable

from .conftest import Store
from .doubles import answering
from .doubles import store as store_double
from .harness import Folder, revision, serving

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def _store(folder: Folder, read: list[str] | None = None) -> ReleaseStore:
    return ReleaseStore(
        folder.releases,
        service="handbook",
        version="1.2.3",
        keys=ModelKeys(folder.model_keys),
        now=lambda: NOW,
        read=(read if read is not None else []).append,
    )


def _loaded(*weights: int) -> LoadedTable:
    revisions = tuple(revision(number, weight) for number, weight in enumerate(weights, 1))
    return LoadedTable(ReleaseTable(service="handbook", revisions=revisions), "hash", "now")


def test_requests_are_shared_out_by_weight() -> None:
    loaded = _loaded(70, 25, 5, 0)
    counts = Counter(loaded.pick(f"session-{n}").number for n in range(20_000))
    assert {1, 2, 3} == set(counts)
    assert abs(counts[1] - 14_000) < 400
    assert abs(counts[3] - 1_000) < 150


def test_equal_sessions_see_equal_revisions_and_more_weight_moves_nobody_back() -> None:
    before, after = _loaded(95, 5), _loaded(75, 25)
    for n in range(2_000):
        session = f"session-{n}"
        assert before.pick(session) is before.pick(session)
        if before.pick(session).number == 2:
            assert after.pick(session).number == 2


def test_nothing_is_picked_from_an_empty_table() -> None:
    with pytest.raises(NotReady):
        _loaded().pick("x")


def test_a_table_is_read_when_it_changes_and_only_then(folder: Folder) -> None:
    read: list[str] = []
    releases = _store(folder, read)
    table = folder.serve(revision())
    assert releases.refresh()
    assert not releases.refresh()
    assert (["good"], table.table_hash()) == (read, releases.report().table_hash)
    report = releases.report()
    assert ("handbook", "1.2.3", "2026-11-21T08:00:00Z") == (
        report.service,
        report.api_version,
        report.revisions[0].loaded_at,
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "Invalid JSON"),
        ("{", "Invalid JSON"),
        ('{"service": "handbook", "schemaVersion": 2}', "schemaVersion"),
        ('{"service": "handbook", "extra": 1}', "extra"),
        ('{"service": "other"}', "'other'"),
        (
            ReleaseTable(service="handbook", revisions=(revision(),)).to_json().replace('"weight":100', '"weight":99'),
            "100",
        ),
        (
            ReleaseTable(service="handbook", revisions=(revision(),))
            .to_json()
            .replace(SPOKEN.model, "unicode-fold-v9"),
            "unicode-fold-v9",
        ),
    ],
)
def test_a_bad_table_keeps_the_last_good_one(folder: Folder, text: str, word: str) -> None:
    read: list[str] = []
    releases = _store(folder, read)
    good = folder.serve(revision())
    releases.refresh()
    folder.write_releases(text)
    assert not releases.refresh()
    assert good.table_hash() == releases.report().table_hash
    assert releases.check().ok
    assert word in releases.check().message
    assert ["good", "bad"] == read
    folder.serve(revision(2))
    assert releases.refresh()
    assert releases.check().message == ""


def test_a_prompt_never_shows_in_a_problem(folder: Folder) -> None:
    releases = _store(folder)
    text = ReleaseTable(service="handbook", revisions=(revision(),)).to_json()
    folder.write_releases(text.replace('"system":"system"', '"system":["canary-prompt"]'))
    releases.refresh()
    assert "canary-prompt" not in releases.check().message
    assert "system" in releases.check().message


async def test_a_mounted_folder_is_followed_through_its_links(store: Store, folder: Folder, tmp_path: Path) -> None:
    """As the kubelet does it: ..data points to a folder, and a rename swaps the link."""

    def publish(number: int) -> str:
        content = tmp_path / "releases" / f"..{number}"
        content.mkdir()
        table = ReleaseTable(service="handbook", revisions=(revision(number, chunks=store.chunks),))
        (content / FILE_NAME).write_text(table.to_json(), encoding="utf-8")
        link = tmp_path / "releases" / "..data_tmp"
        link.symlink_to(content.name)
        os.replace(link, tmp_path / "releases" / "..data")
        return table.table_hash()

    publish(1)
    (folder.releases / FILE_NAME).symlink_to(f"..data/{FILE_NAME}")
    failed = 0
    async with serving(tmp_path, store.url, qdrant_key=store.key) as api:
        for number in range(2, 6):
            digest = publish(number)
            seen = ""
            async with asyncio.timeout(20):
                while seen != digest:
                    failed += (await api.ask("Who is the CEO?")).status != 200
                    seen = (await api.send("GET", "/models/current")).json["tableHash"]
            answer = (await api.ask("Who is the CEO?")).json
            assert (number, f"prompt-{number}") == (answer["revision"], answer["prompt_version"])
        weights = [
            line
            for line in (await api.send("GET", "/metrics")).body.decode().splitlines()
            if "rag_revision_weight{" in line
        ]
    assert failed == 0
    assert len(weights) == 1


async def test_sessions_stick_by_header_body_and_key(folder: Folder, tmp_path: Path) -> None:
    folder.serve(revision(1, 50), revision(2, 50))
    async with store_double(answering()) as url, serving(tmp_path, url) as api:
        for n in range(8):
            by_header = (await api.ask("x", headers={"x-session-id": f"s{n}"})).json["revision"]
            by_body = (await api.ask("x", session=f"s{n}")).json["revision"]
            assert by_header == by_body
        assert len({(await api.ask("x")).json["revision"] for _ in range(8)}) == 1
        spread = {(await api.ask("x", session=f"t{n}")).json["revision"] for n in range(20)}
    assert {1, 2} == spread
