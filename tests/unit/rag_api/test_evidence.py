"""The rule by which the extractive runtime answers or refuses, and what it makes of the sentences."""

import tracemalloc

import pytest
from rag_api.generator import Job, evidence
from rag_api.generator.extractive import Extractive
from rag_api.retriever import Source

from .harness import REFUSAL, revision


def _source(text: str, heading: str = "", title: str = "") -> Source:
    return Source("d", "c", title, heading, None, None, text)


async def _answer(question: str, *sources: Source, tokens: int = 512) -> tuple[str, str | None]:
    job = Job(question, sources, revision(), tokens)
    pieces = [piece async for piece in Extractive().generate(job)]
    return "".join(piece.text for piece in pieces), pieces[-1].finish_reason


async def test_words_in_two_sentences_are_no_answer() -> None:
    together = _source("The CEO is Mai. Salary is paid on the 25th.")
    apart = (_source("The CEO is Mai."), _source("Salary is paid on the 25th."))
    for sources in ((together,), apart):
        assert (REFUSAL, "refused") == await _answer("What is the CEO's salary?", *sources)
        assert "The CEO is Mai. [S1]" == (await _answer("Who is the CEO?", *sources))[0]


async def test_syllables_of_one_word_count_once() -> None:
    sources = (_source("Tổng giám đốc là bà Mai."), _source("Lương được trả ngày 25."))
    assert REFUSAL == (await _answer("Lương của tổng giám đốc là bao nhiêu?", *sources))[0]
    assert "Tổng giám đốc là bà Mai. [S1]" == (await _answer("Tổng giám đốc là ai?", *sources))[0]


async def test_the_heading_stands_for_words_that_the_sentence_leaves_out() -> None:
    assert (
        "Up to 18 days a year. [S1]"
        == (
            await _answer(
                "How many days of annual leave a year?", _source("Up to 18 days a year.", heading="Annual leave")
            )
        )[0]
    )


async def test_headings_alone_are_no_answer() -> None:
    assert REFUSAL == (await _answer("What about parking?", _source("See the intranet.", heading="Parking")))[0]


async def test_a_question_in_the_documents_introduces_its_answer_and_is_none() -> None:
    source = _source("How do I reset my password? Use the form on the intranet.")
    assert "Use the form on the intranet. [S1]" == (await _answer("How do I reset my password form?", source))[0]


async def test_repeated_sentences_of_overlapping_chunks_are_said_once() -> None:
    sources = (_source("Lunch is at noon. It is free."), _source("Lunch is at noon."))
    assert "Lunch is at noon. [S1]" == (await _answer("When is lunch?", *sources))[0]


async def test_marks_that_the_question_writes_must_agree() -> None:
    source = _source("Năm học bắt đầu vào tháng Chín.")
    assert "Năm học" in (await _answer("nam hoc bat dau khi nao", source))[0]
    assert "Năm học" in (await _answer("năm học bắt đầu khi nào", source))[0]
    assert REFUSAL == (await _answer("nấm học bắt đầu", source))[0]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("- Parking is **free** for `staff`.", "Parking is free for staff. [S1]"),
        ("> 1. Parking\n  is free.", "Parking is free. [S1]"),
        ("Parking is free [S7].", "Parking is free (S7). [S1]"),
        ("Parking costs 5 * 3 * 2 dollars.", "Parking costs 5 * 3 * 2 dollars. [S1]"),
    ],
)
async def test_sentences_are_said_without_their_marks(written: str, said: str) -> None:
    assert said == (await _answer("Parking?", _source(written)))[0]


@pytest.mark.parametrize("tokens", range(16, 60))
async def test_the_answer_never_grows_over_its_bound(tokens: int) -> None:
    source = _source("Parking is free for all staff in the yard. Parking for guests is in front of the house, too.")
    text, reason = await _answer("Parking?", source, tokens=tokens)
    assert len(text) <= tokens * 4
    assert reason == ("stop" if text.endswith("too. [S1]") and "free for all staff in the yard." in text else "length")
    assert text.endswith("[S1]")


def test_a_question_of_asking_words_alone_keeps_them() -> None:
    assert ["allowed"] == [word.kept for word in evidence.content_words("What is allowed?")]
    assert ["parking"] == [word.kept for word in evidence.content_words("Is parking allowed?")]
    assert not evidence.content_words("???")


def test_a_long_heading_is_not_remembered_once_per_sentence() -> None:
    """Chunks are remembered by the hundred; one of them with six long headings took megabytes."""
    heading = " > ".join(" ".join(f"word{level}{n}" for n in range(40)) for level in range(6))
    text = "".join(f"The answer number {n} is short. " for n in range(200))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        assert len(evidence.sentences(text, heading, "A title of its own")) == 200
        assert tracemalloc.get_traced_memory()[0] - before < 500_000
    finally:
        tracemalloc.stop()


def test_nothing_is_found_in_nothing() -> None:
    assert evidence.find("Parking?", []) == []
    assert evidence.find("", [evidence.sentences("Parking is free.", "", "")]) == []
