"""Kubernetes quantities by value: "1000m" is "1", "1024Mi" is "1Gi". Source: the API conventions, resource quantities."""

import re
from decimal import Decimal, InvalidOperation

_QUANTITY = re.compile(r"^([0-9]*\.?[0-9]+|[0-9]+\.)(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?[0-9]+|)$")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}


def value_of(text: str) -> Decimal | None:
    """The number that a quantity stands for; None when the text is no quantity."""
    match = _QUANTITY.match(text)
    if match is None:
        return None
    number, suffix = match.groups()
    try:
        if suffix in _BINARY:
            return Decimal(number) * Decimal(1024 ** _BINARY[suffix])
        if suffix in _DECIMAL:
            return Decimal(number).scaleb(_DECIMAL[suffix])
        return Decimal(number).scaleb(int(suffix[1:]))
    except InvalidOperation:
        return None


def same(one: str, other: str) -> bool:
    """Equal as written, or as values."""
    if one == other:
        return True
    value = value_of(one)
    return value is not None and value == value_of(other)


def less(one: str, other: str) -> bool:
    """Whether the first is smaller; False when either is no quantity."""
    a, b = value_of(one), value_of(other)
    return a is not None and b is not None and a < b
