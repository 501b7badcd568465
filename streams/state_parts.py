"""What the books of a tenant consist of, found by their types: maps, sets, and single values."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, get_args, get_origin

from domain.books.state import TenantState
from streams.noted_maps import GrowingMap, GrowingSet, Note, NotedMap
from streams.value_forms import form_of, hints_of, is_frozen, reader_of, row_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streams.value_forms import Form

GROWING = frozenset({"outcomes"})
"""Maps whose entries stay as they are for good; the sets of the books all do."""
DERIVED = frozenset({"catalogue"})
"""Single values that follow from the maps."""


class StateMap:
    """One map or set of every tenant.

    Args:
        path: Where it is in a tenant's state, for example "billing.invoices".
        is_set: Whether it is a set.
        key: Form of its keys.
        value: Form of its values.
    """

    def __init__(self, path: str, *, is_set: bool, key: Form, value: Form) -> None:
        self.path = path
        self._owner, _, self._name = path.rpartition(".")
        self.is_set = is_set
        self._value = value
        row = row_type(int, key.plain, value.plain)
        self.row_of = reader_of(row)
        """Reads (number of the tenant, key, plain value)."""
        self.rows_of = reader_of(list.__class_getitem__(row))
        """Reads a list of them."""
        self.is_growing = is_set or self._name in GROWING
        self.of = attrgetter(path)
        """Returns the map of a tenant's state."""
        self.noted: set[Note] = set()
        """Keys that changed since the last write."""

    def put_empty(self, state: TenantState, tenant: int) -> None:
        """Put an empty one into a state, which notes what changes."""
        kind = GrowingSet if self.is_set else GrowingMap if self.is_growing else NotedMap
        owner = attrgetter(self._owner)(state) if self._owner else state
        setattr(owner, self._name, kind(tenant, self.noted.add))

    def is_there(self, states: Sequence[TenantState], note: Note) -> bool:
        """Say whether a key that changed is still there."""
        return note[1] in self.of(states[note[0]])

    def plain_at(self, states: Sequence[TenantState], note: Note) -> Any:  # noqa: ANN401
        """Return the plain value of a key; None in a set."""
        if self.is_set:
            return None
        tenant, key = note
        value = self.of(states[tenant])[key]
        write = self._value.write
        return value if write is None else write(value)

    def take(self, states: Sequence[TenantState], rows: Iterable[tuple[int, Any, Any]]) -> None:
        """Take rows on without noting them."""
        held = [self.of(state) for state in states]
        if self.is_set:
            for tenant, item, _ in rows:
                set.add(held[tenant], item)
            return
        put, read = dict.__setitem__, self._value.read
        for tenant, key, value in rows:
            put(held[tenant], key, value if read is None else read(value))


class StateParts:
    """All parts of a tenant's state."""

    def __init__(self) -> None:
        self.maps: list[StateMap] = []
        """Maps and sets, in the order of their fields."""
        self._single: list[str] = []
        forms: list[Form] = []
        self._find("", TenantState, forms)
        self.single_values = reader_of(row_type(*(form.plain for form in forms)))
        """Reads the single values of a tenant."""
        self.single_of = attrgetter(*self._single)
        """Returns the single values of a tenant's state, its name first."""

    def _find(self, place: str, kind: Any, forms: list[Form]) -> None:  # noqa: ANN401 -- a dataclass
        """Find the parts of a part; what is not compared is a cache, and not kept."""
        hints = hints_of(kind)
        for field in fields(kind):
            hint, path = hints[field.name], place + field.name
            origin, arguments = get_origin(hint), get_args(hint)
            if not field.compare or path in DERIVED:
                continue
            if origin is dict:
                key, value = map(form_of, arguments)
                self.maps.append(StateMap(path, is_set=False, key=key, value=value))
            elif origin is set:
                key, value = form_of(arguments[0]), form_of(type(None))
                self.maps.append(StateMap(path, is_set=True, key=key, value=value))
            elif is_dataclass(hint) and not is_frozen(hint):
                self._find(f"{path}.", hint, forms)
            else:
                self._single.append(path)
                forms.append(form_of(hint))

    def note_changes(self, state: TenantState, tenant: int) -> None:
        """Let an empty state note what changes, under a number of its tenant."""
        for each in self.maps:
            each.put_empty(state, tenant)

    def entries_of(self, state: TenantState) -> int:
        """Return how many entries the maps of a tenant have."""
        return sum(len(each.of(state)) for each in self.maps)

    def set_single(self, state: TenantState, values: Sequence[Any]) -> None:
        """Put single values in their places."""
        for path, value in zip(self._single, values, strict=True):
            owner, _, name = path.rpartition(".")
            setattr(attrgetter(owner)(state) if owner else state, name, value)

    def complete(self, state: TenantState) -> None:
        """Put in its place what follows from the maps: the catalogue in force is the newest."""
        if state.catalogues:
            state.catalogue = state.catalogues[max(state.catalogues)]
