"""Where sentences end."""

import random

import pytest
from rag_contract.sentences import Span, split


def _texts(text: str) -> list[str]:
    return [text[span.start : span.end] for span in split(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four… Five", ["One.", "Two!", "Three?", "Four…", "Five"]),
        ("Nghỉ 18 ngày. Báo trước hai tuần.", ["Nghỉ 18 ngày.", "Báo trước hai tuần."]),
        ("Dr. Smith met Mr. J. Doe. They spoke.", ["Dr. Smith met Mr. J. Doe.", "They spoke."]),
        ("TP. Hồ Chí Minh có ThS. An. Hết.", ["TP. Hồ Chí Minh có ThS. An.", "Hết."]),
        ("It costs 3.5 million. See No. 5 there.", ["It costs 3.5 million.", "See No. 5 there."]),
        ("I said no. You went.", ["I said no.", "You went."]),
        ("Ask first, e.g. Anna. Then go.", ["Ask first, e.g. Anna.", "Then go."]),
        ("He left... slowly. Gone.", ["He left... slowly.", "Gone."]),
        ('She said "Stop!" He ran.', ['She said "Stop!"', "He ran."]),
        ("Rules:\n- first one\n- second one. More", ["Rules:", "- first one", "- second one.", "More"]),
        ("1. Open it.\n2. Close it.", ["1. Open it.", "2. Close it."]),
        ("a line\nthat goes on.\n\nnew block", ["a line\nthat goes on.", "new block"]),
        ("| a | b |\n| c | d |", ["| a | b |", "| c | d |"]),
        ("今日は。 明日。", ["今日は。", "明日。"]),
        (" \n\t ", []),
        ("", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert expected == _texts(text)


def test_only_white_space_lies_between_sentences() -> None:
    made = random.Random(3)
    parts = [
        "Xin chào",
        "3.5",
        "Mr",
        ".",
        "!",
        "?",
        "…",
        '"',
        ")",
        " ",
        "\n",
        "\n\n",
        "- ",
        "1. ",
        "|",
        "a",
        "Đ",
        "e.g",
        "。",
    ]
    for _ in range(3000):
        text = "".join(made.choice(parts) for _ in range(made.randrange(25)))
        spans = split(text)
        edges = [0, *(edge for span in spans for edge in span), len(text)]
        assert sorted(edges) == edges
        gaps = [text[edges[i] : edges[i + 1]] for i in range(0, len(edges), 2)]
        assert "".join(gaps).strip() == ""
        for span in spans:
            piece = text[span.start : span.end]
            assert piece
            assert piece == piece.strip()


def test_a_long_text_takes_time_in_proportion() -> None:
    text = "Word " * 200_000 + "end. " + "Word. " * 2000 + "." * 500_000 + "x" * 200_000
    assert Span(0, 5 * 200_000 + 4) == split(text)[0]
