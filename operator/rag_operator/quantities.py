"""Kubernetes quantities by value: "1000m" is "1", "1024Mi" is "1Gi". Source: the API conventions, resource quantities."""

import re
from decimal import ROUND_CEILING, Decimal, InvalidOperation

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


def total(*texts: str) -> str:
    """The sum of byte quantities, in the largest binary unit that gives a whole number. Texts that are no quantity count 0."""
    amount = sum((value_of(text) or Decimal(0) for text in texts), Decimal(0))
    number = int(amount.to_integral_value(rounding=ROUND_CEILING))
    for suffix, power in sorted(_BINARY.items(), key=lambda unit: -unit[1]):
        if number and number % 1024**power == 0:
            return f"{number // 1024**power}{suffix}"
    return str(number)
