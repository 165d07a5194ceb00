"""Markers are checked the same, however a text is cut into pieces."""

import random

import pytest
from rag_api.citations import MarkerCheck

TEXTS: tuple[tuple[str, str, list[int], int], ...] = (
    ("Plain text.", "Plain text.", [], 0),
    ("A [S1] and B [S2].", "A [S1] and B [S2].", [1, 2], 0),
    ("Twice [S1], twice [S1].", "Twice [S1], twice [S1].", [1], 0),
    ("Wrong [S4] and [S0] and [S99].", "Wrong and and.", [], 3),
    ("Together [S1][S3] [S9]", "Together [S1][S3]", [1, 3], 1),
    (
        "Not markers: [s1] [1] [S] [S1 [Sx] [S12345] [[S2]]",
        "Not markers: [s1] [1] [S] [S1 [Sx] [S12345] [[S2]]",
        [2],
        0,
    ),
    ("Tiếng Việt [S3]\n\nxuống dòng [S1]  ", "Tiếng Việt [S3]\n\nxuống dòng [S1]  ", [3, 1], 0),
    ("Ends open [S", "Ends open [S", [], 0),
)


@pytest.mark.parametrize(("text", "expected", "new", "dropped"), TEXTS)
def test_the_pieces_make_no_difference(text: str, expected: str, new: list[int], dropped: int) -> None:
    chance = random.Random(11)
    for attempt in range(200):
        cuts = sorted(chance.randrange(len(text) + 1) for _ in range(attempt % 9))
        check = MarkerCheck(3)
        fed = [check.feed(text[a:b]) for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        fed.append(check.finish())
        assert expected == "".join(each.text for each in fed)
        assert new == [number for each in fed for number in each.new]
        assert dropped == check.dropped


def test_text_without_brackets_is_not_held_back() -> None:
    check = MarkerCheck(1)
    assert "word" == check.feed("word").text
    assert " next" == check.feed(" next").text
    assert "" == check.feed(" [S").text
    assert " [S1] x" == check.feed("1] x").text


def test_a_citation_comes_with_the_text_that_carries_it() -> None:
    check = MarkerCheck(2)
    assert ("", ()) == check.feed("[S2")
    assert ("[S2]", (2,)) == check.feed("]")
