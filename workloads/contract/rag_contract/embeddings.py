"""Embeddings in the OpenAI protocol: what is asked and how the answer is read. Pure; the programs do the asking.

Indexer and API read with the same code, so that a vector means the same on both sides.
"""

import math
import sys
from array import array
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

PATH = "/v1/embeddings"


def request(model: str, texts: Sequence[str]) -> dict[str, object]:
    """The body. Base64 is asked for, which is a third of the bytes; a server that does not know it answers numbers."""
    return {"model": model, "input": list(texts), "encoding_format": "base64"}


def vectors(answer: Any, count: int, dimension: int) -> list[list[float]]:
    """The vectors in the order of the texts, `count` of them with `dimension` floats each.

    Raises WrongDimension, and ValueError for an answer that is not one of this protocol.
    """
    rows = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or len(rows) != count:
        raise ValueError(f"the answer does not hold {count} vectors")
    found: list[list[float] | None] = [None] * count
    for position, row in enumerate(rows):
        at = row.get("index", position) if isinstance(row, dict) else None
        if not isinstance(at, int) or not 0 <= at < count or found[at] is not None:
            raise ValueError("the vectors of the answer are not numbered as the texts are")
        found[at] = _vector(row.get("embedding"), dimension)
    return [vector for vector in found if vector is not None]


class WrongDimension(ValueError):
    """The server's vectors have another length than was declared; `found` is theirs, in floats."""

    def __init__(self, found: int, declared: int) -> None:
        super().__init__(f"vectors have {found} dimensions, not {declared}")
        self.found = found


def _vector(value: object, dimension: int) -> list[float]:
    try:
        floats = _from_base64(value) if isinstance(value, str) else [float(each) for each in _listed(value)]
    except (TypeError, ValueError) as error:
        raise ValueError("a vector of the answer is neither numbers nor base64") from error
    if len(floats) != dimension:
        raise WrongDimension(len(floats), dimension)
    if not all(map(math.isfinite, floats)):
        raise ValueError("a vector of the answer holds what is no number")
    return floats


def _listed(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _from_base64(text: str) -> list[float]:
    """32-bit floats, little-endian."""
    floats = array("f")
    floats.frombytes(b64decode(text, validate=True))
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tolist()
