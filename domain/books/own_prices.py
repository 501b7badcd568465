"""Own prices and the catalogue: what a newer version may make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.codes import Code
from domain.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.books.state import TenantState
    from domain.catalogue import Catalogue
    from domain.plan import AddOn, Plan


def require_same_meters(*, state: TenantState, catalogue: Catalogue) -> None:
    """This function will refuse a version in which a price with own ones is over another meter.

    An own price holds where offer, key and meter agree: over the old meter it would bill what
    another price bills by now, and nothing would bill the new one. So it would rest, and the
    customer would silently pay the catalogue's price. A key that has gone is another matter: what
    the customer had a price for is no longer sold.

    Args:
        state: Books of the tenant.
        catalogue: The version that is to be published.

    Raises:
        Rejected: plan_in_use, with the place, the customer and the price.
    """
    offers: dict[str, Sequence[Plan | AddOn]] = {
        "plans": catalogue.plans,
        "add_ons": catalogue.add_ons,
    }
    found = {
        (name, offer.code, price.key): (price.meter, f"catalogue.{name}[{index}].prices[{number}]")
        for name, offered in offers.items()
        for index, offer in enumerate(offered)
        for number, price in enumerate(offer.prices)
    }
    for _, customer in sorted(state.customers.items()):
        for own in customer.overrides:
            name = "add_ons" if own.add_on else "plans"
            key = name, own.add_on or own.plan, own.price
            meter, place = found.get(key, (own.meter, ""))
            if meter != own.meter:
                raise Rejected(
                    Code.PLAN_IN_USE,
                    f"{place}.meter: customer {customer.customer!r} has a price of their own for "
                    f"{own.name} over {own.meter!r}; give the new price another key",
                    param=f"{place}.meter",
                )
