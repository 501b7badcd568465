"""Maps and sets that note which of their keys changed, so that a checkpoint writes those alone."""

from __future__ import annotations

from collections.abc import MutableMapping, MutableSet
from typing import TYPE_CHECKING, Any, NoReturn, Self

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Note = tuple[int, Any]
"""Number of a tenant, and a key of one of its maps."""


class NotedMap(dict[Any, Any]):
    """A map of one tenant.

    Args:
        tenant: Number of the tenant.
        note: Takes each key that changed, with that number.
    """

    __slots__ = ("_note", "_tenant")

    def __init__(self, tenant: int, note: Callable[[Note], None]) -> None:
        super().__init__()
        self._tenant = tenant
        self._note = note

    @override
    def __setitem__(self, key: Any, value: Any) -> None:
        """Put a value and note its key."""
        dict.__setitem__(self, key, value)
        self._note((self._tenant, key))

    @override
    def __delitem__(self, key: Any) -> None:
        """Remove a key and note it."""
        dict.__delitem__(self, key)
        self._note((self._tenant, key))

    @override
    def pop(self, key: Any, *default: Any) -> Any:
        """Remove a key and return its value."""
        if key not in self:
            return dict.pop(self, key, *default)
        value = self[key]
        del self[key]
        return value

    # A dict's own would pass by the methods above, and these go through them.
    clear = MutableMapping.clear
    popitem = MutableMapping.popitem
    setdefault = MutableMapping.setdefault
    update = MutableMapping.update

    @override
    def __ior__(self, other: Mapping[Any, Any]) -> Self:  # type: ignore[override]
        """Take on another map."""
        self.update(other)
        return self


class GrowingMap(NotedMap):
    """A map whose entries stay as they are for good, so that new ones can be appended."""

    __slots__ = ()

    @override
    def __setitem__(self, key: Any, value: Any) -> None:
        """Put the value of a new key."""
        if key in self:
            _refuse()
        super().__setitem__(key, value)

    @override
    def __delitem__(self, key: Any) -> None:
        """Refuse to forget."""
        _refuse()


class GrowingSet(set[Any]):
    """A set of one tenant that only grows.

    Args:
        tenant: Number of the tenant.
        note: Takes each new item, with that number.
    """

    __slots__ = ("_note", "_tenant")

    def __init__(self, tenant: int, note: Callable[[Note], None]) -> None:
        super().__init__()
        self._tenant = tenant
        self._note = note

    @override
    def add(self, item: Any) -> None:
        """Add an item, and note it when it is new."""
        if item not in self:
            set.add(self, item)
            self._note((self._tenant, item))

    @override
    def discard(self, item: Any) -> None:
        """Refuse to forget."""
        del item
        _refuse()

    @override
    def update(self, *others: Iterable[Any]) -> None:
        """Add the items of others."""
        for other in others:
            for item in other:
                self.add(item)

    def _remove_all(self, *others: Iterable[Any]) -> None:
        del others
        _refuse()

    difference_update = intersection_update = _remove_all
    symmetric_difference_update = _remove_all
    clear = MutableSet.clear
    pop = MutableSet.pop
    remove = MutableSet.remove
    __ior__ = MutableSet.__ior__
    __iand__ = MutableSet.__iand__
    __isub__ = MutableSet.__isub__
    __ixor__ = MutableSet.__ixor__


def _refuse() -> NoReturn:
    raise TypeError("what was appended to a checkpoint stays as it is")
