"""Chunks: sizes, overlap, headings, lines, ids."""

import itertools
import random
import re

import pytest
from rag_indexer.chunking import Chunk, chunks
from rag_indexer.documents import Document, Line, Section


def _document(*sections: Section, tenant: str = "default") -> Document:
    return Document("doc", "Title", tenant, ("*",), None, sections)


def _section(text: str, *headings: str, first_line: int = 1) -> Section:
    return Section(headings, tuple(Line(n, line) for n, line in enumerate(text.split("\n"), first_line)))


def test_whole_sentences_up_to_the_size_with_overlap() -> None:
    text = "Aaaa aaaa one. Bbbb bbbb two. Cccc cccc three. Dddd dddd four."
    first, third, fourth = "Aaaa aaaa one. Bbbb bbbb two. Cccc cccc three.", "Cccc cccc three.", "Dddd dddd four."
    made = [[c.text for c in chunks(_document(_section(text)), 46, overlap)] for overlap in (15, 16)]
    assert made == [[first, fourth], [first, f"{third} {fourth}"]]


def test_no_chunk_crosses_a_heading_and_lines_are_the_files() -> None:
    sections = [_section("\none.\ntwo.", "A", first_line=5), _section("three.", "A", "B", first_line=9)]
    made = list(chunks(_document(*sections), 200, 50))
    assert [
        Chunk(0, "A", "one.\ntwo.", 6, 7),
        Chunk(1, "A > B", "three.", 9, 9),
    ] == made


def test_any_text_is_covered_in_order_and_in_size() -> None:
    made = random.Random(5)
    number = itertools.count()
    parts = [
        "Xin chào {}. ",
        "word{} ",
        "{}" + "{}".join("abcdefghijklmnopqr"),
        "\n",
        "\n\n",
        "- item{} ",
        "e\u0301{}",
        "{}. ",
    ]
    for _ in range(400):
        text = "".join(made.choice(parts) for _ in range(made.randrange(60)))
        text = re.sub(r"\{\}", lambda _: f"{next(number)}_", text)  # nothing twice, so that each chunk has one place
        size = made.randrange(40, 120)
        found = list(chunks(_document(_section(text)), size, made.randrange(size // 2)))
        assert all(0 < len(chunk.text) <= size for chunk in found)
        assert list(range(len(found))) == [chunk.ordinal for chunk in found]
        at = 0
        covered = ""
        for chunk in found:
            start = text.index(chunk.text)
            covered += text[max(start, at) : start + len(chunk.text)]
            at = max(at, start + len(chunk.text))
            assert chunk.line_start <= chunk.line_end <= text.count("\n") + 1
            assert chunk.text.strip() in text
        assert "".join(text.split()) == "".join(covered.split())


def test_a_word_longer_than_a_chunk_is_not_cut_before_a_mark() -> None:
    text = "e\u0301" * 100
    assert all(not chunk.text.startswith("\u0301") for chunk in chunks(_document(_section(text)), 41, 0))


@pytest.mark.parametrize(
    ("text", "tenant", "same"), [("One.", "default", True), ("Two.", "default", False), ("One.", "north", False)]
)
def test_ids_follow_text_place_and_tenant(text: str, tenant: str, same: bool) -> None:
    first = next(chunks(_document(_section("One.")), 100, 0)).id(_document())
    other = _document(_section(text), tenant=tenant)
    assert same == (first == next(chunks(other, 100, 0)).id(other))
