"""Maps that note what changed: a change that passes by would be missing after a restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from streams.noted_maps import GrowingMap, GrowingSet, Note, NotedMap

CHANGES: dict[str, tuple[Callable[[NotedMap], Any], set[str]]] = {
    "put": (lambda held: held.__setitem__("a", 9), {"a"}),
    "del": (lambda held: held.__delitem__("a"), {"a"}),
    "pop": (lambda held: held.pop("a"), {"a"}),
    "pop of nothing": (lambda held: held.pop("z", None), set()),
    "popitem": (lambda held: held.popitem(), {"a"}),
    "setdefault": (lambda held: held.setdefault("z", 1), {"z"}),
    "setdefault of what is there": (lambda held: held.setdefault("a", 1), set()),
    "update": (lambda held: held.update({"a": 1, "z": 2}, y=3), {"a", "y", "z"}),
    "or": (lambda held: held.__ior__({"b": 1, "z": 2}), {"b", "z"}),
    "clear": (lambda held: held.clear(), {"a", "b"}),
}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_every_way_to_change_a_map_is_noted_and_is_a_dicts(name: str) -> None:
    change, keys = CHANGES[name]
    noted: set[Note] = set()
    held = NotedMap(7, noted.add)
    held.update({"a": 1, "b": 2})
    noted.clear()
    plain = {"a": 1, "b": 2}
    if name == "popitem":  # which one is the map's choice
        plain = {"b": 2, "a": 1}
    change(held)
    change(plain)  # type: ignore[arg-type]
    assert plain == held
    assert {(7, key) for key in keys} == noted


def test_no_way_to_change_a_dict_was_forgotten() -> None:
    """A method that a later Python adds to dict or set has to be looked at."""
    reading = {
        *("__contains__", "__getitem__", "__iter__", "__len__", "copy", "fromkeys", "get"),
        *("items", "keys", "values", "__reversed__", "__or__", "__ror__", "__class_getitem__"),
    }
    shared = set(vars(object)) | reading
    assert set(vars(dict)) - shared - set(vars(NotedMap)) == set()
    of_sets = {
        *("copy", "difference", "intersection", "isdisjoint", "issubset", "issuperset", "union"),
        *("symmetric_difference", "__and__", "__or__", "__rand__", "__ror__", "__rsub__"),
        *("__rxor__", "__sub__", "__xor__", "__reduce__"),
    }
    assert set(vars(set)) - shared - of_sets - set(vars(GrowingSet)) == set()


def test_a_growing_map_keeps_what_it_has() -> None:
    noted: set[Note] = set()
    held = GrowingMap(1, noted.add)
    held["a"] = 1
    for change in (
        lambda: held.update(a=2),
        lambda: held.pop("a"),
        held.clear,
        held.popitem,
    ):
        with pytest.raises(TypeError, match="stays as it is"):
            change()
    assert ({"a": 1}, {(1, "a")}) == (dict(held), noted)


def test_a_growing_set_notes_only_what_is_new() -> None:
    noted: set[Note] = set()
    held = GrowingSet(1, noted.add)
    held.update(["a", "b"], ["c"])
    held |= {"d"}
    noted.clear()
    held.add("a")
    for change in (
        lambda: held.discard("a"),
        lambda: held.remove("a"),
        lambda: held.difference_update({"a"}),
        lambda: held.intersection_update({"b"}),
        lambda: held.symmetric_difference_update({"a"}),
        held.clear,
        held.pop,
    ):
        with pytest.raises(TypeError, match="stays as it is"):
            change()
    assert ({"a", "b", "c", "d"}, set()) == (set(held), noted)
