"""Whether a sentence answers a question: the rule of the extractive runtime, language-agnostic and without a model.

The question is reduced to its content words, less those that only ask ("get", "allowed", "cần"). A sentence is read
together with the title and the headings above it, and with a question right before it (a FAQ).

    unit        = neighbouring words that the sources only ever use together, else a single word
    weight      = ln(1 + (n + 1) / (df + 0.5))    n retrieved sentences, df of them with the unit: rare units weigh
                                                  more, units that no source has weigh most
    coverage    = weight of the units that the sentence has / weight of all

A sentence is evidence when all of these hold; otherwise the answer is a refusal, not a guess:
  1. its coverage is at least 0.6,
  2. it has at least two thirds of the units,
  3. it has the rarest of the units that the sources do use, and all that are not three times as common: sources that
     speak of the CEO here and of salaries there say nothing about the CEO's salary,
  4. it has at least one word itself, not only in the headings above it,
  5. it is not itself a question.

It compares words, not meanings: a synonym ("vacation" for "annual leave") is a word that no source has, and a question of
few words is then refused; a sentence that says the opposite with the same words is taken for an answer. Of 56 questions
to the sample handbook that it was not tuned by, it answered 14 of 28 that have an answer, and all of these rightly, and
refused 24 of 28 that have none.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from rag_contract.analysis import Term, terms
from rag_contract.sentences import split

MINIMUM_COVERAGE = 0.6
MINIMUM_SHARE = 2 / 3
COMMON = 3

_ASKING_ENGLISH = (
    "get gets got receive give given take have need want know tell find allow allowed entitled entitle permitted "
    "provide happen apply please explain describe list long often soon far"
)
_ASKING_VIETNAMESE = "cần được nhận biết hỏi cho muốn phải lâu mấy lau can duoc nhan biet hoi muon phai"
_ASKING = frozenset(f"{_ASKING_ENGLISH} {_ASKING_VIETNAMESE}".split())


class Sentence(NamedTuple):
    """One sentence of a source. What stands above it is shared by the sentences of its chunk, not copied into each."""

    text: str
    own: "Words"
    above: "Words"
    asked: "Words"
    asks: bool

    def has(self, word: Term) -> bool:
        """Whether the sentence itself has the word of a question, marks compared as `Term.matches` does."""
        return self.own.have(word)

    def covers(self, word: Term) -> bool:
        """Whether the sentence has the word, or its context does."""
        return self.own.have(word) or self.above.have(word) or self.asked.have(word)


class Words(NamedTuple):
    """The words of a text, as they are written and without marks; one set where there are none."""

    kept: frozenset[str]
    folded: frozenset[str]

    @classmethod
    def of(cls, found: Sequence[Term]) -> "Words":
        """Those of a text."""
        kept = frozenset(word.kept for word in found)
        folded = frozenset(word.folded for word in found)
        return cls(kept, kept if kept == folded else folded)

    def have(self, word: Term) -> bool:
        """Whether one of them is the word of a question."""
        if word.kept == word.folded:
            return word.folded in self.folded
        return word.kept in self.kept or word.folded in self.kept


class Evidence(NamedTuple):
    """A sentence that passed the rule, `source` counted from 1. Better evidence compares greater by `rank`.

    `own` are the words of the question that stand in the sentence itself.
    """

    source: int
    sentence: Sentence
    own: frozenset[Term]
    rank: tuple[float, ...]


class Unit(NamedTuple):
    """Neighbouring words of a question that the sources only ever use together: one thing, not several.

    Vietnamese writes one word as several syllables ("tổng giám đốc"); without this, a sentence that has one word of two
    would count as having three of four. `found` are the positions of the sentences that have it.
    """

    words: tuple[Term, ...]
    found: frozenset[int]
    weight: float


def find(question: str, sources: Sequence[Sequence[Sentence]]) -> list[Evidence]:
    """All sentences that answer the question, best first. Empty means that the question must be refused."""
    answers = [(number, each) for number, sentences in enumerate(sources, 1) for each in sentences if not each.asks]
    units = _units(content_words(question), [sentence for _, sentence in answers])
    present = [unit for unit in units if unit.found]
    if not present:
        return []
    rarest = min(len(unit.found) for unit in present)
    rare = [unit.found for unit in present if len(unit.found) < COMMON * rarest]
    total = sum(unit.weight for unit in units)
    found: list[Evidence] = []
    for position in sorted(frozenset.intersection(*rare)):
        number, sentence = answers[position]
        covered = [unit for unit in units if position in unit.found]
        coverage = sum(unit.weight for unit in covered) / total
        own = frozenset(word for unit in covered for word in unit.words if sentence.has(word))
        if own and coverage >= MINIMUM_COVERAGE and len(covered) >= MINIMUM_SHARE * len(units):
            own_share = sum(unit.weight for unit in covered if own.intersection(unit.words)) / total
            found.append(Evidence(number, sentence, own, (coverage, own_share, -number, -len(sentence.text))))
    return sorted(found, key=lambda each: each.rank, reverse=True)


def content_words(question: str) -> tuple[Term, ...]:
    """The distinct words that name something; all content words when the question has no other."""
    words = tuple(dict.fromkeys(terms(question)))
    naming = tuple(word for word in words if word.kept not in _ASKING)
    return naming or words


@lru_cache(maxsize=512)
def sentences(text: str, heading: str, title: str) -> tuple[Sentence, ...]:
    """The sentences of one chunk. Cached, because the same chunks answer many questions; a pure function of its input."""
    above = Words.of(terms(f"{title}\n{heading}"))
    nothing = Words.of(())
    result: list[Sentence] = []
    asked = nothing
    for start, end in split(text):
        sentence = text[start:end]
        own = Words.of(terms(sentence))
        asks = sentence.rstrip("\"'”’»)*_ ").endswith("?")
        result.append(Sentence(sentence, own, above, asked, asks))
        asked = own if asks else nothing
    return tuple(result)


def _units(words: Sequence[Term], among: Sequence[Sentence]) -> list[Unit]:
    """The units of a question in their order. A word that no sentence has is a unit of its own."""
    groups: list[tuple[list[Term], frozenset[int]]] = []
    for word in words:
        found = frozenset(position for position, sentence in enumerate(among) if sentence.covers(word))
        if groups and found and groups[-1][1] == found:
            groups[-1][0].append(word)
        else:
            groups.append(([word], found))
    return [Unit(tuple(group), found, _weight(len(found), len(among))) for group, found in groups]


def _weight(found: int, among: int) -> float:
    return math.log(1 + (among + 1) / (found + 0.5))
