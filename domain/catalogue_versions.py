"""What may change between catalogue versions: the books and `catalogue diff` ask here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.codes import Code
from domain.errors import Rejected
from domain.sellers import owners_of, refused_prefixes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.catalogue import Catalogue
    from domain.meter import Meter

_METER_FIELDS = {
    "event_type": "event_type",
    "value": "value_property",
    "aggregation": "aggregation",
    "percentile": "percentile",
    "group_by": "group_by",
    "value_bands": "value_bands",
    "unit": "unit",
}
"""Field of the document → attribute of the meter."""


def require_same_meters(*, before: Catalogue, after: Catalogue) -> None:
    """This function will refuse a version that takes a meaning away from what was published.

    Raises:
        Rejected: catalogue_invalid, with the first of refused_changes.
    """
    for reason in refused_changes(before=before, after=after):
        raise Rejected(Code.CATALOGUE_INVALID, reason)


def refused_changes(*, before: Catalogue, after: Catalogue) -> tuple[str, ...]:
    """This function will say which changes a newer version must not make; empty when none.

    A subscription is rated with the version of its period's start (G-07), while events are counted
    with the version in force: a meter that changed its meaning in between would bill too little or
    something else. New meters, plans and aliases may come, prices may change; a new meaning is a
    new key. An alias stays for the same reason, and because one that could be dropped could be
    given to another type a version later. How many sets of dimensions a meter keeps apart is no
    meaning: it may change, and holds for sets that come later. A composite stays, for prices of
    customers' own may be over it; its weights may change, as rates do. A wallet stays, and in its
    currency: customers hold credits that they paid for. A prefix of numbers stays with its seller.
    """
    return (
        *_meter_reasons(before, after),
        *_alias_reasons(before, after),
        *_composite_reasons(before, after),
        *_wallet_reasons(before, after),
        *_prefix_reasons(before, after),
    )


def differing_fields(before: Meter, after: Meter) -> tuple[str, ...]:
    """This function will name the fields of the document in which two meters differ."""
    return tuple(
        name
        for name, attribute in _METER_FIELDS.items()
        if getattr(before, attribute) != getattr(after, attribute)
    )


def _meter_reasons(before: Catalogue, after: Catalogue) -> Iterator[str]:
    kept = {meter.key: meter for meter in after.meters}
    for meter in before.meters:
        what = f"meter {meter.key!r} of version {before.version}"
        now = kept.get(meter.key)
        if now is None:
            yield f"{what} is missing: a meter stays; give a new meaning a new key"
        elif names := " and ".join(differing_fields(meter, now)):
            yield f"{what} has another {names}: give a new meaning a new key"


def _alias_reasons(before: Catalogue, after: Catalogue) -> Iterator[str]:
    meant = {alias: item.name for item in after.event_types for alias in item.aliases}
    for item in before.event_types:
        for alias in item.aliases:
            what = f"alias {alias!r} of version {before.version}"
            if alias not in meant:
                yield f"{what} is missing: an alias stays with its type"
            elif meant[alias] != item.name:
                yield (
                    f"{what} moved from {item.name!r} to {meant[alias]!r}: "
                    "an alias stays with its type"
                )


def _composite_reasons(before: Catalogue, after: Catalogue) -> Iterator[str]:
    kept = {composite.key for composite in after.composites}
    for composite in before.composites:
        if composite.key not in kept:
            yield (
                f"composite {composite.key!r} of version {before.version} is missing: "
                "prices of customers may be over it"
            )


def _wallet_reasons(before: Catalogue, after: Catalogue) -> Iterator[str]:
    if before.wallet is None:
        return
    what = f"the wallet of version {before.version}"
    if after.wallet is None:
        yield f"{what} is missing: customers hold credits"
    elif after.wallet.currency != before.wallet.currency:
        yield (
            f"{what} is in {before.wallet.currency}, not {after.wallet.currency}: customers paid "
            "for their credits in it"
        )


def _prefix_reasons(before: Catalogue, after: Catalogue) -> Iterator[str]:
    for place, reason in refused_prefixes(owners=owners_of(before.billing), after=after.billing):
        yield f"{place}: {reason}, as of version {before.version}"
