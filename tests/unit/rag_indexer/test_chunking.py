"""Chunks: sizes, overlap, headings, lines, ids."""

import random
import time

import pytest
from rag_indexer.chunking import Chunk, chunks, spans
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
    parts = [
        "Xin chào các bạn. ",
        "word ",
        "y" * 70,
        "\n",
        "\n\n",
        "- item ",
        "e\u0301\u0302" * 5,
        ". ",
        "Đúng! ",
        "  ",
    ]
    for _ in range(1000):
        text = "".join(made.choice(parts) for _ in range(made.randrange(60)))
        size = made.randrange(40, 120)
        overlap = made.randrange(size // 2)
        at = 0
        for start, end in spans(text, size, overlap):
            assert 0 < end - start <= size
            assert at - overlap <= start
            assert text[at:start].strip() == ""
            assert at < end
            at = end
        assert text[at:].strip() == ""


def test_ordinals_and_lines_are_those_of_the_text() -> None:
    text = "\n".join(f"Sentence number {n} stands on its own line." for n in range(1, 60))
    found = list(chunks(_document(_section(text)), 100, 45))
    assert [chunk.ordinal for chunk in found] == list(range(len(found)))
    lines = text.split("\n")
    assert all(chunk.text == "\n".join(lines[chunk.line_start - 1 : chunk.line_end]) for chunk in found)
    assert [chunk.line_start for chunk in found] == list(range(1, 59))


def test_a_word_longer_than_a_chunk_is_not_cut_before_a_mark() -> None:
    text = "e\u0301" * 100
    assert all(not chunk.text.startswith("\u0301") for chunk in chunks(_document(_section(text)), 41, 0))


def test_letters_under_a_heap_of_marks_are_cut_all_the_same() -> None:
    text = "e" + "\u0301" * 400_000
    begun = time.process_time()
    found = list(spans(text, 1200, 100))
    assert time.process_time() - begun < 2.0
    assert max(end - start for start, end in found) == 1200


@pytest.mark.parametrize(
    ("text", "tenant", "same"), [("One.", "default", True), ("Two.", "default", False), ("One.", "north", False)]
)
def test_ids_follow_text_place_and_tenant(text: str, tenant: str, same: bool) -> None:
    first = next(chunks(_document(_section("One.")), 100, 0)).id(_document())
    other = _document(_section(text), tenant=tenant)
    assert same == (first == next(chunks(other, 100, 0)).id(other))
