"""What a tenant's catalogue says of wallets: currency, price of a credit, packages, policies.

Credits are bought and spent one by one, so their list price is a whole number of minor units:
any quantity then costs a whole number too, and no top-up is ever rounded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.emergence_rules.rules import CREDITS_MAX, HOURS_MAX, PRICE_MINOR_MAX
from domain.errors import Rejected
from domain.money import Money, minor_unit_places

if TYPE_CHECKING:
    from domain.fields import Fields

PACKAGES_MAX = 50
"""Listed quantities of credits; a shop shows them all at once."""
APPROVAL_HOURS_DEFAULT = 72
"""Three days: a charge found on a Friday can be approved on the Monday."""


@dataclass(frozen=True, slots=True)
class Package:
    """A quantity of credits with a price of its own (S0-14 … S0-16).

    Args:
        credits: Credits bought.
        price: What they cost together.
    """

    credits: int
    price: Money


@dataclass(frozen=True, slots=True)
class WalletTerms:
    """The wallet part of a catalogue version.

    Args:
        currency: ISO 4217 code of everything that is paid into wallets and charged to them.
        credit_price: List price of one credit (S0-12).
        signup_credits: Credits that a new customer is given, once (S0-11); 0 for none.
        approval_hours: How long a requested charge may wait for its approval.
        refund_on_reversal: Whether a charge whose evidence goes away in time is given back.
        packages: Quantities that cost something else than their list price.
    """

    currency: str
    credit_price: Money
    signup_credits: int
    approval_hours: int
    refund_on_reversal: bool
    packages: tuple[Package, ...] = ()

    def price_of(self, *, quantity: int) -> Money:
        """Return what a quantity of credits costs: its package, or list price each (S0-R10)."""
        for package in self.packages:
            if package.credits == quantity:
                return package.price
        return Money(self.credit_price.amount_minor * quantity, self.currency)


def wallet_from_fields(fields: Fields) -> WalletTerms:
    """This function will read the part `wallet` of a catalogue.

    Raises:
        Rejected: With the place of what is wrong.
    """
    fields.only(
        (
            *("currency", "credit_price", "signup_credits", "approval_hours"),
            *("refund_on_reversal", "packages"),
        )
    )
    currency = _currency(fields)
    packages = tuple(
        _package(item, currency=currency)
        for item in fields.objects("packages", count_max=PACKAGES_MAX)
    )
    for credits_, count in Counter(package.credits for package in packages).items():
        if count > 1:
            raise fields.refuse("packages", f"holds {credits_} credits twice")
    return WalletTerms(
        currency=currency,
        credit_price=_price(fields, "credit_price", currency=currency),
        signup_credits=fields.integer("signup_credits", minimum=0, maximum=CREDITS_MAX, default=0),
        approval_hours=fields.integer(
            "approval_hours", minimum=1, maximum=HOURS_MAX, default=APPROVAL_HOURS_DEFAULT
        ),
        refund_on_reversal=fields.boolean("refund_on_reversal", default=True),
        packages=packages,
    )


def _currency(fields: Fields) -> str:
    currency = fields.text("currency")
    try:
        minor_unit_places(currency)
    except Rejected as error:
        raise fields.refuse("currency", "is no ISO 4217 code") from error
    return currency


def _package(fields: Fields, *, currency: str) -> Package:
    fields.only(("credits", "price"))
    return Package(
        credits=fields.integer("credits", minimum=1, maximum=CREDITS_MAX),
        price=_price(fields, "price", currency=currency),
    )


def _price(fields: Fields, name: str, *, currency: str) -> Money:
    places = minor_unit_places(currency)
    minor = fields.decimal(name).scaleb(places)
    if minor != minor.to_integral_value():
        raise fields.refuse(name, f"has more than {places} decimal places, those of {currency}")
    if minor > PRICE_MINOR_MAX:
        raise fields.refuse(name, f"is more than {PRICE_MINOR_MAX} minor units of {currency}")
    return Money(int(minor), currency)
