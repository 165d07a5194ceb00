"""The runtime without a model: the best sentences of the sources, word for word, each with its marker.

The answer is the best evidence (see `evidence`), then further sentences that themselves have every word of the question
that it has, up to the release's `max_sentences`. No evidence gives the prompt's refusal text. A token is taken to be four characters.
"""

import re
from collections.abc import AsyncGenerator

from ..retriever import Source
from . import Job, Piece, evidence

CHARACTERS_PER_TOKEN = 4

_LEADING_MARKUP = re.compile(r"^(?:(?:[-*+•–>]|\d{1,3}[.)]|#{1,6})\s+)+")
_EMPHASIS = re.compile(r"(\*\*|__|`)(?=\S)(.+?)(?<=\S)\1")
_FORGED_MARKER = re.compile(r"\[(S\d+)\]")
_WHITE_SPACE = re.compile(r"\s+")


class Extractive:
    """Implements `Generator`."""

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """One piece per sentence."""
        found = evidence.find(job.question, [_sentences(source) for source in job.sources])
        if not found:
            yield Piece(job.revision.prompt.refusal, "refused")
            return
        chosen = _choose(found, job.revision.model.max_sentences)
        budget = job.max_output_tokens * CHARACTERS_PER_TOKEN
        written = 0
        for position, (text, source) in enumerate(chosen):
            lead, marker = " " if position else "", f" [S{source}]"
            room = budget - written - len(lead) - len(marker)
            if len(text) > room:
                yield Piece(lead + _shorten(text, room) + marker if room > 0 else "")
                yield Piece("", "length", completion_tokens=job.max_output_tokens)
                return
            piece = lead + text + marker
            written += len(piece)
            yield Piece(piece)
        yield Piece("", "stop", completion_tokens=-(-written // CHARACTERS_PER_TOKEN))


def _sentences(source: Source) -> tuple[evidence.Sentence, ...]:
    return evidence.sentences(source.text, source.heading, source.title)


def _choose(found: list[evidence.Evidence], limit: int) -> list[tuple[str, int]]:
    """The texts to say, with their sources: overlapping chunks repeat sentences, an answer does not."""
    best = found[0]
    chosen: dict[str, int] = {}
    for each in found:
        if each.own >= best.own and len(chosen) < limit:
            chosen.setdefault(_plain(each.sentence.text), each.source)
    return list(chosen.items())


def _plain(sentence: str) -> str:
    """One line without Markdown's marks; a marker that the document itself wrote is disarmed."""
    text = _LEADING_MARKUP.sub("", _WHITE_SPACE.sub(" ", sentence).strip())
    return _FORGED_MARKER.sub(r"(\1)", _EMPHASIS.sub(r"\2", text))


def _shorten(text: str, room: int) -> str:
    """At most `room` characters, cut between two words where there is a gap."""
    cut = text[:room]
    return cut.rsplit(" ", 1)[0] if " " in cut else cut
