"""Collects refusals while a document is read, so that a person sees all of them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from domain.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.fields import Fields

_T = TypeVar("_T")


class Problems:
    """The refusals so far, in the order in which they were met."""

    def __init__(self) -> None:
        self.found: list[Rejected] = []

    def attempt(self, read: Callable[[], _T]) -> _T | None:
        """Return what was read; None when it was refused, which is kept."""
        try:
            return read()
        except Rejected as error:
            self.found.append(error)
            return None

    def each(
        self, fields: Fields, name: str, *, count_max: int, read: Callable[[Fields], _T]
    ) -> tuple[_T, ...]:
        """Return the objects of a list that can be read, and keep why the others cannot."""
        items = self.attempt(lambda: fields.objects(name, count_max=count_max)) or ()
        results = []
        for item in items:
            before = len(self.found)
            result = self.attempt(lambda item=item: read(item))  # type: ignore[misc]
            if len(self.found) == before:
                results.append(result)
        return tuple(results)  # type: ignore[arg-type]
