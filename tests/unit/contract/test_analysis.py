"""What a text becomes as a sparse vector. The golden rows change only together with `identity.ANALYZER`."""

import hashlib
import random
import tracemalloc
import unicodedata
from typing import Literal

import pytest
from rag_contract import identity
from rag_contract.analysis import (
    SparseVector,
    Term,
    encode_document,
    encode_query,
    terms,
)

# text, kept forms of its terms, digest of its document vector, digest of its query vector
GOLDEN = [
    (
        "How many days of annual leave does a full-time employee get?",
        "day annual leave full time employee",
        "c68cf0683ca175bb",
        "e2fd40ed14922596",
    ),
    (
        "Nhân viên full-time có bao nhiêu ngày nghỉ phép năm?",
        "nhân viên full time ngày nghỉ phép năm",
        "601ffa735a4dbb63",
        "c6963f735dfe986a",
    ),
    (
        "nhan vien full-time co bao nhieu ngay nghi phep nam",
        "nhan vien full time ngay nghi phep nam",
        "a4790b12877c7498",
        "7a0101ec31d59288",
    ),
    ("Ask IT about AI, not the US office.", "ask it ai us office", "bc54cf3b0522238a", "60fa564932d52ce5"),
    (
        "Thẻ an toàn đặt ở cửa số 3,5 và 12/2026.",
        "thẻ an toàn đặt cửa số 3,5 12/2026",
        "0e8c4e261029c87f",
        "6670e17a592e1f51",
    ),
    (
        "The policies' boxes: buses, glasses, expenses, ties.",
        "policy box buse glass expense tie",
        "ea1652e80d5e7504",
        "0076784d3d894888",
    ),
    ("Đường Nguyễn Huệ, TP. Hồ Chí Minh", "đường nguyễn huệ tp hồ chí minh", "4e05e64cdc7427ed", "bf7aa894f7832ba7"),
    ("naïve café Résumés ł ø ß", "naïve café résumé ł ø ss", "81b3cd84a4e8893c", "8ede91123af17257"),
    ("salary salary salary", "salary salary salary", "e8669e08e45ff5fe", "c6e87281b2ee8a2d"),
    ("", "", "56546d2909af6040", "56546d2909af6040"),
    ("…!?", "", "56546d2909af6040", "56546d2909af6040"),
]

WORDS = "nghỉ phép năm lương được người đường thẻ an toàn the of leave Café IT 12,5 naïve's ŷ ﬁ İ ß 日本 x̂y آب"
SYLLABLES = tuple(WORDS.split())


def _digest(vector: SparseVector) -> str:
    return hashlib.sha256(repr((vector.indices, vector.values)).encode()).hexdigest()[:16]


def _random_texts(count: int) -> list[str]:
    made = random.Random(20261121)
    joints = [" ", " ", ", ", ". ", "\n", "-", "  "]
    return [
        "".join(made.choice(SYLLABLES) + made.choice(joints) for _ in range(made.randrange(30))) for _ in range(count)
    ]


@pytest.mark.parametrize(("text", "kept", "document", "query"), GOLDEN, ids=[row[0][:20] for row in GOLDEN])
def test_golden(text: str, kept: str, document: str, query: str) -> None:
    assert identity.ANALYZER == "unicode-fold-v1", "new rules: new golden rows"
    assert kept == " ".join(term.kept for term in terms(text))
    assert document == _digest(encode_document(text))
    assert query == _digest(encode_query(text))


def test_a_term_id_is_the_first_four_bytes_of_blake2b() -> None:
    expected = int.from_bytes(hashlib.blake2b(b"salary", digest_size=4).digest(), "big")
    assert encode_query("salaries") == encode_query("Salary") == SparseVector((expected,), (1.0,))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_composed_and_decomposed_text_is_the_same(form: Literal["NFC", "NFD"]) -> None:
    for text in _random_texts(200):
        other = unicodedata.normalize(form, text)
        assert encode_document(text) == encode_document(other)
        assert encode_query(text) == encode_query(other)


def test_vectors_are_what_the_store_accepts() -> None:
    for text in _random_texts(200):
        for vector in (encode_document(text), encode_query(text)):
            assert len(vector.indices) == len(vector.values)
            assert sorted(set(vector.indices)) == list(vector.indices)
            assert all(0 <= i < 2**32 for i in vector.indices)
            assert all(value > 0 for value in vector.values)


def test_every_word_of_a_text_finds_it() -> None:
    for text in _random_texts(100):
        held = set(encode_document(text).indices)
        assert set(encode_query(text).indices) <= held


@pytest.mark.parametrize(
    ("question", "document", "found"),
    [
        ("nghi phep", "ngày nghỉ phép", True),  # typed without marks
        ("nghỉ phép", "ngay nghi phep", True),  # written without marks
        ("NGHỈ PHÉP", "nghỉ phép", True),
        ("policies", "one policy", True),
        ("đường", "duong Le Loi", True),
        ("salary", "celery", False),
    ],
)
def test_marks_case_and_plural_do_not_hide_a_word(question: str, document: str, found: bool) -> None:
    assert found == bool(set(encode_query(question).indices) & set(encode_document(document).indices))


def test_a_question_with_marks_prefers_the_word_with_the_same_marks() -> None:
    def score(document: str) -> float:
        vector = encode_document(document)
        weights = dict(zip(vector.indices, vector.values, strict=True))
        query = encode_query("nghỉ phép năm")
        return sum(value * weights.get(i, 0.0) for i, value in zip(query.indices, query.values, strict=True))

    assert score("nghỉ phép năm") > score("nghi phep nam") > score("hướng nam") > score("leave") == 0


def test_a_repeated_word_saturates_and_a_long_text_dilutes() -> None:
    once, twice, often = (encode_document("salary " * n).values[0] for n in (1, 2, 50))
    assert once < twice < often < 2.2
    assert once > max(encode_document("salary " + "other words entirely " * 60).values[:1])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("thẻ an toàn", ["thẻ", "an", "toàn"]),  # folded "the" and "an" are English stop words
        ("Is AI allowed at work?", ["ai", "allowed", "work"]),
        ("Is ai allowed at work?", ["ai", "allowed", "work"]),
        ("Ai là tổng giám đốc?", ["tổng", "giám", "đốc"]),
        ("Công ty có cho dùng AI không?", ["công", "ty", "dùng", "ai"]),
        ("the safety card", ["safety", "card"]),
        ("Who runs the IT desk?", ["run", "it", "desk"]),
        ("HOW DOES IT WORK", ["work"]),  # all capitals say nothing
        ("chính sách work from home là gì?", ["chính", "sách", "work", "home"]),
        ("ngay nghi cua nhan vien la gi", ["ngay", "nghi", "nhan", "vien"]),
        ("What does the résumé policy say?", ["résumé", "policy"]),
    ],
)
def test_stop_words_follow_the_language_of_the_text(text: str, kept: list[str]) -> None:
    assert kept == [term.kept for term in terms(text)]


@pytest.mark.parametrize(
    ("asked", "written", "expected"),
    [
        (Term("nghỉ", "nghi"), Term("nghỉ", "nghi"), True),
        (Term("nghi", "nghi"), Term("nghỉ", "nghi"), True),
        (Term("nghỉ", "nghi"), Term("nghi", "nghi"), True),
        (Term("nghỉ", "nghi"), Term("nghĩ", "nghi"), False),
        (Term("năm", "nam"), Term("day", "day"), False),
    ],
)
def test_terms_match_when_no_mark_contradicts(asked: Term, written: Term, expected: bool) -> None:
    assert expected == asked.matches(written)


def test_a_very_long_word_is_cut_and_costs_no_more() -> None:
    assert len(terms("x" * 100_000)[0].kept) == 64


def test_what_is_remembered_of_very_long_words_stays_small() -> None:
    """The words of all questions are remembered; those that nobody writes must not fill the memory."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(100):
            terms(f"{number}" + "x" * 100_000)
        assert tracemalloc.get_traced_memory()[0] - before < 1_000_000
    finally:
        tracemalloc.stop()
