"""Which cached objects belong to whom: a reverse map from what an index function says to keys."""

from collections.abc import Callable, Collection, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Index(Generic[K]):
    """Keys by the group that `group_of(body)` names; None is no group."""

    def __init__(self, group_of: Callable[[dict[str, Any]], str | None]) -> None:
        self._group_of = group_of
        self._group: dict[K, str] = {}
        self._members: dict[str, dict[K, None]] = {}

    def keys(self, group: str) -> Collection[K]:
        """Members in the order in which they came."""
        return tuple(self._members.get(group, ()))

    def put(self, key: K, obj: dict[str, Any]) -> None:
        """Add, or move to another group."""
        group = self._group_of(obj)
        if self._group.get(key) == group:
            return
        self.remove(key)
        if group is not None:
            self._group[key] = group
            self._members.setdefault(group, {})[key] = None

    def remove(self, key: K) -> None:
        """Forget a key; unknown ones are no error."""
        group = self._group.pop(key, None)
        if group is None:
            return
        members = self._members[group]
        del members[key]
        if not members:
            del self._members[group]
