"""Text to sparse BM25 vectors, for documents and questions in English and Vietnamese. Pure; standard library only.

    text -> NFC -> words, casefold -> (kept, folded) terms -> 32-bit term ids with weights

Every word has a kept form ("nghỉ") and a folded one without marks ("nghi"). A document holds both, so that a question
finds it however it was typed; a question with marks prefers the kept form. Qdrant's IDF modifier multiplies the rest
of BM25 in, so nothing here depends on the corpus. Pairs of Vietnamese syllables are no terms: on the 31 questions of
the sample handbook they changed no first place and made the vectors 2.3 times as long.

A change of what a text becomes needs a new `identity.ANALYZER`: old collections then keep their own identity.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

from . import stop_words

K1 = 1.2
B = 0.75
AVERAGE_TERMS = 100.0
"""Terms of an average chunk. Fixed, so that a vector depends on its own text alone and an index can be continued."""

KEPT_WEIGHT = 0.7
FOLDED_WEIGHT = 0.3
"""Shares of a question's word with marks; together they weigh as much as a word without marks."""

_MAX_WORD = 64
_MAX_SPELLING = 256
"""Characters of a word that are looked at: enough for `_MAX_WORD`, and what is remembered of a word stays small."""
_MARKS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"  # combining marks that NFC could not compose
_WORD = re.compile(rf"\d+(?:[.,:/]\d+)+|(?:[^\W_][{_MARKS}]*)+(?:['\u2019][^\W\d_]+)?")
_POSSESSIVE = re.compile(r"['\u2019]s$")
_LETTERS = str.maketrans({"đ": "d", "ł": "l", "ø": "o", "ı": "i"})


class SparseVector(NamedTuple):
    """`indices` are unsigned 32-bit, strictly ascending; `values` are their weights, all above 0."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


class Term(NamedTuple):
    """One content word. `kept` has its marks, `folded` has none; they are equal for a word written without marks."""

    kept: str
    folded: str

    def matches(self, other: "Term") -> bool:
        """Whether `other`, a word of a document, is what this word of a question means.

        Marks that the question left out may stand for any; marks that it wrote must agree, or be absent in the document.
        """
        if self.kept == other.kept:
            return True
        return self.folded == other.folded and (self.kept == self.folded or other.kept == other.folded)


def encode_document(text: str) -> SparseVector:
    """The document side of BM25: term frequency, saturated and normalised by length. Empty for a text without words."""
    found = terms(text)
    norm = K1 * (1 - B + B * len(found) / AVERAGE_TERMS)
    counts = Counter(term_id for term in found for term_id in _ids(term))
    weights = {count: round(count * (K1 + 1) / (count + norm), 6) for count in set(counts.values())}
    indices = tuple(sorted(counts))
    return SparseVector(indices, tuple(weights[counts[i]] for i in indices))


def encode_query(text: str) -> SparseVector:
    """The question side: 1 per distinct word, shared between its kept and folded form. Empty without content words."""
    weights: dict[int, float] = {}
    for term in dict.fromkeys(terms(text)):
        shares = (1.0,) if term.kept == term.folded else (KEPT_WEIGHT, FOLDED_WEIGHT)
        for term_id, share in zip(_ids(term), shares, strict=True):
            weights[term_id] = max(share, weights.get(term_id, 0.0))
    indices = tuple(sorted(weights))
    return SparseVector(indices, tuple(weights[i] for i in indices))


def terms(text: str) -> tuple[Term, ...]:
    """The content words in order, with repetitions: stop words dropped, English plurals reduced."""
    composed = unicodedata.normalize("NFC", text)
    words = [_word(spelt[:_MAX_SPELLING]) for spelt in _WORD.findall(composed)]
    vietnamese = sum([word.evidence for word in words]) > 0
    unmarked = vietnamese and not any(word.marked for word in words)
    stops = _STOPS_UNMARKED if unmarked else _STOPS_VIETNAMESE if vietnamese else _STOPS_ENGLISH
    shouting = composed.isupper()
    return tuple([word.term for word in words if word.kept not in stops or (word.acronym and not shouting)])


class _Word(NamedTuple):
    """What is known of one spelling; `evidence` is `stop_words.evidence`."""

    kept: str
    term: Term
    marked: bool
    evidence: int
    acronym: bool


@lru_cache(maxsize=131072)
def _word(spelt: str) -> _Word:
    kept = unicodedata.normalize("NFC", _POSSESSIVE.sub("", spelt.casefold())[:_MAX_WORD])
    folded = _fold(kept)
    evidence = stop_words.evidence(kept, folded, _FOLDED_STOPS)
    return _Word(kept, Term(_stem(kept), _stem(folded)), kept != folded, evidence, _is_acronym(spelt))


def _is_acronym(word: str) -> bool:
    """Whether "IT", "AI" or "US" means the name and not the function word "it", "ai" (who) or "us"."""
    return 2 <= len(word) <= 5 and word.isascii() and word.isupper()


def _fold(word: str) -> str:
    if word.isascii():
        return word
    bare = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
    return unicodedata.normalize("NFC", bare.translate(_LETTERS))


def _stem(word: str) -> str:
    """The plural endings of English only; no Vietnamese syllable ends in s."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-1] if len(word) < 5 else word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1]


@lru_cache(maxsize=131072)
def _ids(term: Term) -> tuple[int, ...]:
    """The ids of both forms, of one when they are equal. Two words that share an id count as one word."""
    return tuple(_term_id(form) for form in dict.fromkeys(term))


def _term_id(form: str) -> int:
    return int.from_bytes(hashlib.blake2b(form.encode(), digest_size=4).digest(), "big")


_FOLDED_STOPS = stop_words.folded_vietnamese({word: _fold(word) for word in stop_words.VIETNAMESE})
_STOPS_ENGLISH = stop_words.of_english_text()
_STOPS_VIETNAMESE = stop_words.of_vietnamese_text()
_STOPS_UNMARKED = _STOPS_VIETNAMESE | _FOLDED_STOPS
