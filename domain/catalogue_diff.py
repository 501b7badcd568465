"""What a catalogue would change: added, changed, removed, and what the books will refuse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from domain.canonical import Json, from_json, to_canonical_json
from domain.catalogue import Catalogue, is_newer
from domain.catalogue_versions import refused_changes
from domain.codes import Code
from domain.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    from domain.meter import Meter
    from domain.plan import AddOn, Plan
    from domain.pricing.price import Price

    _T = TypeVar("_T")


class How(StrEnum):
    """What happens to a part of the catalogue."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Args:
        how: Added, changed or removed.
        what: Kind of the part: alias, meter, plan, price, discount and so on.
        name: Its name; a price stands below its plan, "PRO/base".
        detail: For people: what it is now, or each field as "rate 1 → 2".
    """

    how: How
    what: str
    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CatalogueDiff:
    """The way from one catalogue to another.

    Args:
        changes: All differences; aliases and meters first, plans and their prices last.
        refusals: Why the books would refuse it, in their words; empty when they take it.
    """

    changes: tuple[Change, ...]
    refusals: tuple[Rejected, ...]


def diff_catalogues(*, before: Catalogue | None, after: Catalogue) -> CatalogueDiff:
    """This function will compare a catalogue with the one it would replace.

    Args:
        before: The catalogue in force; None when there is none.
        after: The catalogue to be published.
    """
    refusals = []
    try:
        is_newer(after, current=before, version=after.version)
    except Rejected as error:
        refusals.append(error)
    if before is None:
        empty = Catalogue(version=0, meters=(), plans=(), content='{"meters":[],"plans":[]}')
        return CatalogueDiff(tuple(_changes(empty, after)), tuple(refusals))
    refusals += [
        Rejected(Code.CATALOGUE_INVALID, reason)
        for reason in refused_changes(before=before, after=after)
    ]
    return CatalogueDiff(tuple(_changes(before, after)), tuple(refusals))


def new_event_names(*, before: Catalogue | None, after: Catalogue) -> frozenset[str]:
    """This function will return the event types and aliases that were unknown before."""
    known = before.event_names if before is not None else frozenset[str]()
    return after.event_names - known


def _changes(before: Catalogue, after: Catalogue) -> Iterator[Change]:
    yield from _alias_changes(before, after)
    old, new = _raw(before, "meters", "key"), _raw(after, "meters", "key")
    yield from _part_changes(
        "meter",
        _by(before.meters, lambda meter: meter.key),
        _by(after.meters, lambda meter: meter.key),
        shown=_meter_text,
        changed=lambda key: _fields_text(old[key], new[key]),
    )
    for name in _OBJECTS:
        yield from _raw_changes(name, "", _object(before, name), _object(after, name))
    for name, what, key in _PARTS:
        yield from _raw_changes(what, key, _raw(before, name, key), _raw(after, name, key))
    yield from _sold_changes(before, after, "add_ons", "add-on", before.add_ons, after.add_ons)
    yield from _sold_changes(before, after, "plans", "plan", before.plans, after.plans)


def _raw_changes(
    what: str,
    key: str,
    old: Mapping[str, Mapping[str, Json]],
    new: Mapping[str, Mapping[str, Json]],
) -> Iterator[Change]:
    """Yield what became of parts whose fields say it all."""

    def shown(part: Mapping[str, Json]) -> str:
        return _fields_text({}, part, without=(key,))

    def changed(name: str) -> str:
        return _fields_text(old[name], new[name])

    yield from _part_changes(what, old, new, shown=shown, changed=changed)


_PARTS = (
    ("node_fields", "node field", "name"),
    ("gates", "gate", "key"),
    ("tiers", "tier", "code"),
    ("bundles", "bundle", "code"),
    ("pulses", "pulse", "field"),
    ("suspicions", "suspicion", "key"),
    ("composites", "composite", "key"),
    ("taxes", "tax", "category region"),
    ("discounts", "discount", "code"),
    ("kpis", "KPI", "metric"),
)
"""Parts whose fields say it all: name of the list, of one of them, and of what names it."""


_OBJECTS = ("wallet", "billing", "gain_share")
"""Parts that are one object."""


def _object(catalogue: Catalogue, name: str) -> dict[str, Mapping[str, Json]]:
    document = from_json(catalogue.content)
    found = document.get(name) if isinstance(document, Mapping) else None
    return {name: found} if isinstance(found, Mapping) else {}


def _alias_changes(before: Catalogue, after: Catalogue) -> Iterator[Change]:
    yield from _part_changes(
        "alias",
        {alias: item.name for item in before.event_types for alias in item.aliases},
        {alias: item.name for item in after.event_types for alias in item.aliases},
        shown=lambda name: f"of {name}",
        changed=lambda _: "means another event type",
    )


def _sold_changes(
    before: Catalogue,
    after: Catalogue,
    part: str,
    what: str,
    *sold: tuple[Plan | AddOn, ...],
) -> Iterator[Change]:
    """Yield what became of plans or add-ons; their prices have lines of their own."""
    old, new = (_by(each, _code) for each in sold)
    raw_old, raw_new = _raw(before, part, "code"), _raw(after, part, "code")
    heads = [
        {code: replace(each, prices=()) for code, each in sides.items()} for sides in (old, new)
    ]
    yield from _part_changes(
        what,
        *heads,
        shown=lambda head: f"{head.name}, {head.currency}",
        changed=lambda code: _fields_text(raw_old[code], raw_new[code], without=("prices",)),
        removed="refused while a live subscription is on it",
    )
    for code, each in new.items():
        yield from _price_changes(
            code,
            what,
            (old.get(code), each),
            (_inner(raw_old.get(code, {}), "prices"), _inner(raw_new[code], "prices")),
        )


def _code(sold: Plan | AddOn) -> str:
    return sold.code


def _price_changes(
    code: str,
    what: str,
    plans: tuple[Plan | AddOn | None, Plan | AddOn],
    raw: tuple[Mapping[str, Mapping[str, Json]], Mapping[str, Mapping[str, Json]]],
) -> Iterator[Change]:
    before, after = plans
    old = _by(before.prices if before is not None else (), _price_key)
    new = _by(after.prices, _price_key)
    yield from _part_changes(
        "price" if what == "plan" else f"{what} price",
        {f"{code}/{key}": price for key, price in old.items()},
        {f"{code}/{key}": price for key, price in new.items()},
        shown=lambda price: _fields_text({}, _raw_of(raw, price)),
        changed=lambda name: _fields_text(
            raw[0][name.removeprefix(f"{code}/")], raw[1][name.removeprefix(f"{code}/")]
        ),
    )
    kept = [key for key in old if key in new]
    if kept != [key for key in new if key in old]:
        yield Change(How.CHANGED, what, code, "its invoice lines come in another order")


def _raw_of(
    raw: tuple[Mapping[str, Mapping[str, Json]], Mapping[str, Mapping[str, Json]]], price: Price
) -> Mapping[str, Json]:
    for side in reversed(raw):
        if price.key in side:
            return side[price.key]
    return {}


def _price_key(price: Price) -> str:
    return price.key


def _part_changes(
    what: str,
    old: Mapping[str, _T],
    new: Mapping[str, _T],
    *,
    shown: Callable[[_T], str],
    changed: Callable[[str], str],
    removed: str = "",
) -> Iterator[Change]:
    """Yield what became of named parts, the new document's order first."""
    for name, part in new.items():
        if name not in old:
            yield Change(How.ADDED, what, name, shown(part))
        elif old[name] != part:
            yield Change(How.CHANGED, what, name, changed(name))
    for name, part in old.items():
        if name not in new:
            yield Change(How.REMOVED, what, name, removed or shown(part))


def _by(items: Iterable[_T], key: Callable[[_T], str]) -> dict[str, _T]:
    return {key(item): item for item in items}


def _meter_text(meter: Meter) -> str:
    value = f"property {meter.value_property}" if meter.value_property else "quantity"
    split = f", by {', '.join(meter.group_by)}" if meter.group_by else ""
    return f"{meter.aggregation} of {value} of {meter.event_type}{split}, in {meter.unit}"


def _raw(catalogue: Catalogue, name: str, key: str) -> dict[str, Mapping[str, Json]]:
    document = from_json(catalogue.content)
    return _inner(document if isinstance(document, Mapping) else {}, name, key)


def _inner(
    parent: Mapping[str, Json], name: str, key: str = "key"
) -> dict[str, Mapping[str, Json]]:
    items = parent.get(name)
    if not isinstance(items, list | tuple):
        return {}
    return {
        " ".join(str(item[name]) for name in key.split() if item.get(name)): item
        for item in items
        if isinstance(item, Mapping)
    }


def _fields_text(
    before: Mapping[str, Json], after: Mapping[str, Json], *, without: tuple[str, ...] = ()
) -> str:
    """Return the fields that differ, each as "name old → new"; key and form name themselves."""
    names = dict.fromkeys((*before, *after))
    return ", ".join(
        f"{name} {_text(before.get(name))} → {_text(after.get(name))}"
        if before
        else f"{name} {_text(after.get(name))}"
        for name in names
        if before.get(name) != after.get(name) and name not in {"key", *without}
    )


def _text(value: Json) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else to_canonical_json(value)
