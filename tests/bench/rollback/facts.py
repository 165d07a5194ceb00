"""What an answer says of its release, three times over: in its headers, in its body, and by what the model was given.

    headers   x-rag-revision, x-rag-prompt, x-rag-index        what the API decided before it did anything
    body      revision, prompt_version, index_version          what the API says at the end
    said      the words of the echoing model                   the prompt and the sources that it really got

All three must tell of one RagRevision; an answer in which they do not is mixed.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

Json = dict[str, Any]
SAID = re.compile(r"prompt=(\S+) index=(\S+) sources=(\d+)")


class Told(NamedTuple):
    """Revision number; prompt and index as `version@hash` of the headers and as version of the body; words of the model."""

    header_revision: str
    header_prompt: str
    header_index: str
    revision: int
    prompt_version: str
    index_version: str
    said: str

    @property
    def sources(self) -> int:
        """How many sources the model was given: what `spec.retrieval.topK` allows."""
        return int(self.said.rpartition("=")[2] or 0)


def words(prompt: str, index: str, sources: int) -> str:
    """How the echoing model says what it was given."""
    return f"prompt={prompt} index={index} sources={sources}"


def told(headers: Mapping[str, str], body: Mapping[str, Any], text: str) -> Told:
    """Of one answer. A model that says several different things is quoted with all of them."""
    said = sorted({found[0] for found in SAID.finditer(text)})
    return Told(
        headers.get("x-rag-revision", ""),
        headers.get("x-rag-prompt", ""),
        headers.get("x-rag-index", ""),
        body.get("revision", 0),
        body.get("prompt_version", ""),
        body.get("index_version", ""),
        " and ".join(said),
    )


def expected(revision: Json) -> Told:
    """What an answer of this RagRevision has to say."""
    spec = revision["spec"]
    prompt, index, number = spec["prompt"], spec["index"], spec["number"]
    return Told(
        str(number),
        f"{prompt['version']}@{prompt['hash']}",
        f"{index['version']}@{index['hash']}",
        number,
        prompt["version"],
        index["version"],
        words(prompt["version"], index["version"], spec["retrieval"]["topK"]),
    )


def mixed(answers: Counter[Told], revisions: Iterable[Json]) -> Counter[Told]:
    """The answers that tell of no single RagRevision."""
    whole = {expected(revision) for revision in revisions}
    return Counter({answer: count for answer, count in answers.items() if answer not in whole})
