"""Own prices and the catalogue: what a newer version may make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.codes import Code
from domain.errors import Rejected
from domain.rated import override_price

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.books.customer import Customer
    from domain.books.state import TenantState
    from domain.catalogue import Catalogue
    from domain.overrides import Override
    from domain.plan import AddOn, Plan

_Places = dict[tuple[str, str, str], tuple[str, str]]
"""Meter and place of each price of a catalogue, by (plans or add_ons, code, key)."""


def require_kept(*, state: TenantState, catalogue: Catalogue) -> None:
    """This function will refuse a version that makes nothing, or something else, of own prices.

    An own price holds where offer, key and meter agree: over the old meter it would bill what
    another price bills by now, and nothing would bill the new one. So it would rest, and the
    customer would silently pay the catalogue's price. One that the version could not hold itself,
    a matrix over a meter with too many sets of values, would stop every invoice of the customer.
    A key that has gone is another matter: what the customer had a price for is no longer sold.

    Args:
        state: Books of the tenant.
        catalogue: The version that is to be published.

    Raises:
        Rejected: plan_in_use, with the place, the customer and the price.
    """
    places = _places(catalogue)
    for _, customer in sorted(state.customers.items()):
        for own in customer.overrides:
            meter, place = places.get(_key(own), (own.meter, ""))
            if meter != own.meter:
                raise Rejected(
                    Code.PLAN_IN_USE,
                    f"{place}.meter: customer {customer.customer!r} has a price of their own for "
                    f"{own.name} over {own.meter!r}; give the new price another key",
                    param=f"{place}.meter",
                )
            why = _why_not(own, catalogue) if place else ""
            if why:
                raise Rejected(
                    Code.PLAN_IN_USE,
                    f"{place}: customer {customer.customer!r} has a price of their own for "
                    f"{own.name}, which the version cannot hold: {why}",
                    param=place,
                )


def require_held(*, state: TenantState, customer: Customer, own: Override, place: str) -> None:
    """This function will refuse an own price that a version in use by its customer cannot hold.

    Args:
        state: Books of the tenant.
        customer: Who is to have it.
        own: The price.
        place: Field of the command that gives it.

    Raises:
        Rejected: command_invalid, with the version.
    """
    known = (
        state.subscriptions[each] for each in state.subscriptions_of.get(customer.customer, ())
    )
    versions = {
        phase.catalogue_version
        for subscription in known
        if not subscription.is_over
        for phase in subscription.phases
    }
    for version in sorted(versions):
        catalogue = state.catalogues[version]
        meter, _ = _places(catalogue).get(_key(own), ("", ""))
        why = _why_not(own, catalogue) if meter == own.meter else ""
        if why:
            raise Rejected(
                Code.COMMAND_INVALID,
                f"{place} cannot be held by version {version}, by which a period runs: {why}",
                param=place,
            )


def _why_not(own: Override, catalogue: Catalogue) -> str:
    try:
        override_price(own.fields, catalogue=catalogue)
    except Rejected as error:
        return error.reason
    return ""


def _key(own: Override) -> tuple[str, str, str]:
    return "add_ons" if own.add_on else "plans", own.add_on or own.plan, own.price


def _places(catalogue: Catalogue) -> _Places:
    offers: dict[str, Sequence[Plan | AddOn]] = {
        "plans": catalogue.plans,
        "add_ons": catalogue.add_ons,
    }
    return {
        (name, offer.code, price.key): (price.meter, f"catalogue.{name}[{index}].prices[{number}]")
        for name, offered in offers.items()
        for index, offer in enumerate(offered)
        for number, price in enumerate(offer.prices)
    }
