"""What all volumes of the stack have in common: they grow and do not move."""

from .base import Cel, cel

_NOT_SMALLER = "cannot shrink: volumes only grow. Put the old size back, or make another RagService"
CANNOT_CHANGE = "cannot change on an existing volume: put the old value back, or make another RagService"

Grows = (
    Cel(
        "!isQuantity(string(self)) || !quantity(string(self)).isLessThan(quantity(string(oldSelf)))",
        _NOT_SMALLER,
        expression=f"'cannot shrink from ' + string(oldSelf) + '{_NOT_SMALLER.removeprefix('cannot shrink')}'",
    ),
)
"""Of the size of a volume."""

SAME_CLASS = cel(
    "has(self.storageClassName) == has(oldSelf.storageClassName)"
    " && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
    CANNOT_CHANGE,
    field=".storageClassName",
)
"""Of a volume with a storage class."""
