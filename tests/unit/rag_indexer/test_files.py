"""Which files are found, and what text they give."""

import codecs
import os
from pathlib import Path

import pytest
from rag_indexer import files
from rag_indexer.errors import IndexFailure, Unreadable

from .support import write

MARKDOWN = frozenset({".md", ".txt"})


def _skipped(skipped: list[files.Skipped]) -> dict[str, str]:
    return {one.path: one.reason for one in skipped}


def test_nested_folders_hidden_files_and_unknown_types(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"b.md": "b", "a/deep/er.TXT": "a", ".secret.md": "h", ".git/config": "h", "x.pdf": "p", "README": "r"},
    )
    found, skipped = files.find(tmp_path, MARKDOWN)
    assert found == ["a/deep/er.TXT", "b.md"]
    assert _skipped(skipped) == {
        ".git": "hidden",
        ".secret.md": "hidden",
        "README": "the type without ending is not supported",
        "x.pdf": "the type .pdf is not supported",
    }


def test_a_mounted_config_map_gives_each_file_once(tmp_path: Path) -> None:
    write(tmp_path, {"..2026_11_21_06_00_00.1/a.md": "one", "..2026_11_21_06_00_00.1/sub/b.md": "two"})
    os.symlink("..2026_11_21_06_00_00.1", tmp_path / "..data")
    os.symlink("..data/a.md", tmp_path / "a.md")
    os.symlink("..data/sub", tmp_path / "sub")  # an item with a path of its own
    assert files.find(tmp_path, MARKDOWN) == (["a.md", "sub/b.md"], [])
    assert files.read(tmp_path / "a.md") == "one"


def test_links_never_lead_out_of_the_folder_nor_in_circles(tmp_path: Path) -> None:
    write(tmp_path, {"outside.md": "secret", "docs/a.md": "a"})
    os.symlink("../outside.md", tmp_path / "docs/stolen.md")
    os.symlink("/etc", tmp_path / "docs/etc")
    os.symlink(".", tmp_path / "docs/again")
    os.symlink("a.md", tmp_path / "docs/copy.md")
    found, skipped = files.find(tmp_path / "docs", MARKDOWN)
    assert found == ["a.md"]
    out = "the link leads out of the document folder"
    assert {"stolen.md": out, "etc": out} == _skipped(skipped)


def test_links_that_lead_nowhere_and_names_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, {"a.md": "a"})
    os.symlink("loop.md", tmp_path / "loop.md")
    os.symlink("missing.md", tmp_path / "gone.md")
    (tmp_path / os.fsdecode(b"caf\xe9.md")).write_text("x")
    os.mkfifo(tmp_path / "pipe.md")
    found, skipped = files.find(tmp_path, MARKDOWN)
    assert found == ["a.md"]
    assert _skipped(skipped) == {
        "loop.md": "it leads nowhere: Too many levels of symbolic links",
        "gone.md": "it leads nowhere: No such file or directory",
        "caf\\xe9.md": "its name is not UTF-8: rename it",
        "pipe.md": "not a file",
    }


def test_folders_may_be_nested_deeply(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(1200):
        deep = deep / "d"
        deep.mkdir()
    (deep / "a.md").write_text("a")
    try:
        assert files.find(tmp_path, MARKDOWN)[0] == ["d/" * 1200 + "a.md"]
    finally:  # what clears a test's folder away would call itself for each level
        (deep / "a.md").unlink()
        while deep != tmp_path:
            deep.rmdir()
            deep = deep.parent


def test_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(IndexFailure, match=r"check the path in spec\.index\.documents") as caught:
        files.find(tmp_path / "none", MARKDOWN)
    assert (caught.value.reason, caught.value.retryable) == ("DocumentsMissing", False)


@pytest.mark.parametrize(
    "data",
    [
        "nghỉ phép".encode(),
        codecs.BOM_UTF8 + "nghỉ phép".encode(),
        "nghỉ phép".encode("utf-16"),
        codecs.BOM_UTF16_BE + "nghỉ phép".encode("utf-16-be"),
        "nghỉ phép".encode("utf-32"),
        "nghi\u0309 phe\u0301p".encode(),  # decomposed
        "\x07ng\x00hỉ phép\x9f".encode().replace(b"\x00", b""),
    ],
)
def test_encodings_become_the_same_text(tmp_path: Path, data: bytes) -> None:
    write(tmp_path, {"a.txt": data})
    assert files.read(tmp_path / "a.txt") == "nghỉ phép"


@pytest.mark.parametrize("between", "\x0b\x0c\x1c\x1d\x1e\x1f\x85")
def test_what_parts_pages_and_records_parts_words(tmp_path: Path, between: str) -> None:
    write(tmp_path, {"a.txt": f"one{between}two"})
    assert files.read(tmp_path / "a.txt") == "one two"


def test_line_ends_become_one_kind(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": "a\r\nb\rc\n\td"})
    assert files.read(tmp_path / "a.txt") == "a\nb\nc\n\td"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"caf\xe9", "not UTF-8 at byte 3: save it as UTF-8"),
        (b"a\x00b", "zero characters"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8\x41\x00", "not UTF-16"),
        (b"x" * (files.MAX_FILE_BYTES + 1), "larger than 16 MiB"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    write(tmp_path, {"a.txt": data})
    with pytest.raises(Unreadable, match=message):
        files.read(tmp_path / "a.txt")
