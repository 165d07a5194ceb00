"""A folder as points; the sample handbook among them."""

import uuid
from pathlib import Path

import pytest
import yaml
from rag_contract import payload
from rag_contract.analysis import encode_document
from rag_indexer import corpus
from rag_indexer.corpus import Corpus

from .support import REPOSITORY, settings, write


def _corpus(folder: Path) -> Corpus:
    return corpus.scan(settings(documents_path=str(folder), tenant="main"))


def test_a_point_holds_what_an_answer_and_a_filter_need(tmp_path: Path) -> None:
    text = "---\nid: leave\ntenant: north\nroles: [hr]\nurl: https://e.example/l\n---\n# Leave\n## Annual\n18 days."
    write(tmp_path, {"a.md": text})
    (point,) = _corpus(tmp_path).points()
    chunk_id = point.fields.pop(payload.CHUNK_ID)
    assert point.fields == {
        "document_id": "leave",
        "ordinal": 0,
        "title": "Leave",
        "heading": "Annual",
        "url": "https://e.example/l",
        "page": None,
        "line_start": 9,
        "line_end": 9,
        "tenant": "north",
        "roles": ["hr"],
        "text": "18 days.",
    }
    assert len(str(chunk_id)) == 32
    assert uuid.UUID(point.id).version == 5
    assert encode_document("Leave Annual 18 days") == point.vector


def test_the_fields_that_the_api_reads_are_all_written(tmp_path: Path) -> None:
    write(tmp_path, {"a.md": "text"})
    (point,) = _corpus(tmp_path).points()
    assert {*payload.READ, *payload.INDEXED_KEYWORDS} == set(point.fields)


def test_the_id_of_a_point_changes_with_who_may_read_it(tmp_path: Path) -> None:
    ids: set[str] = set()
    for roles in ("[a]", "[b]"):
        write(tmp_path, {"a.md": f"---\nroles: {roles}\n---\ntext"})
        ids.update(point.id for point in _corpus(tmp_path).points())
    assert len(ids) == 2


def test_what_cannot_be_read_is_skipped_and_counted(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a.md": "---\nid: same\n---\none",
            "b.md": "---\nid: same\n---\ntwo",
            "c.md": b"\xff\xfa",
            "d.md": "---\ntenant north\n---\nthree",
            "e.md": "# only a heading",
            "f.html": "<p>four</p>",
        },
    )
    found = _corpus(tmp_path)
    assert [point.fields["text"] for point in found.points()] == ["one", "four"]
    assert (found.documents, found.read) == (2, 6)
    assert {one.path: one.reason for one in found.skipped} == {
        "b.md": "its id 'same' is already that of a.md: give it one of its own",
        "c.md": "not UTF-8 at byte 0: save it as UTF-8",
        "d.md": "front matter, line 2: expected `key: value`, each key once",
        "e.md": "holds no text",
    }


def test_one_id_may_be_used_by_two_tenants(tmp_path: Path) -> None:
    for name in ("north", "south"):
        write(tmp_path, {f"{name}.md": f"---\nid: same\ntenant: {name}\n---\ntext"})
    assert len({point.fields["chunk_id"] for point in _corpus(tmp_path).points()}) == 2


@pytest.mark.parametrize("sample", sorted((REPOSITORY / "config/samples").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_documents_of_every_sample_are_read_whole(sample: Path, tmp_path: Path) -> None:
    for found in yaml.safe_load_all(sample.read_text(encoding="utf-8")):
        if found["kind"] == "ConfigMap" and found["metadata"]["name"].endswith("-documents"):
            write(tmp_path, found["data"])
            assert sum(len(text.encode()) for text in found["data"].values()) < 900_000
    read = _corpus(tmp_path)
    points = list(read.points())
    assert read.skipped == []
    assert len(read.paths) == read.documents
    assert len(points) >= len(read.paths)
