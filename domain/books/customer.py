"""A customer as the books keep it: who pays, how, and by which prices of their own.

No personal data is here: names, addresses and tax numbers are personal details (books.details).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from domain import own_json
from domain.billing_terms import TaxTreatment
from domain.canonical import Json, to_canonical_json
from domain.overrides import Override
from domain.period import time_text

if TYPE_CHECKING:
    from domain.fields import Fields

OVERRIDES_MAX = 100
"""Prices of one customer's own: as many as a plan has."""


@dataclass(frozen=True, slots=True)
class CustomerTax:
    """What decides which taxes a customer pays.

    Args:
        treatment: standard, exempt or reverse_charge.
        region: Region as the catalogue's taxes name it; empty for the default rates.
    """

    treatment: TaxTreatment = TaxTreatment.STANDARD
    region: str = ""


NO_TAX_DETAILS = CustomerTax()


@dataclass(frozen=True, slots=True)
class Customer:
    """Who pays; no personal data is here.

    Args:
        customer: Id, as usage events name it.
        currency: ISO 4217 code of everything the customer is charged.
        created_at: When it was created.
        seller: Key of the legal entity that bills; empty for the catalogue's first.
        tax: What decides which taxes the customer pays.
        due_days: Days to pay; None for the catalogue's.
        grace_hours: Hours an invoice waits for late usage; None for the catalogue's.
        overrides: Prices of the customer's own, each for a price of a plan or an add-on.
    """

    customer: str
    currency: str
    created_at: own_json.Moment
    seller: str = ""
    tax: CustomerTax = NO_TAX_DETAILS
    due_days: int | None = None
    grace_hours: int | None = None
    overrides: tuple[Override, ...] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Json]:
        """Return the document as JSON values; facts carry it."""
        return {
            "customer": self.customer,
            "currency": self.currency,
            "created_at": time_text(self.created_at),
            "seller": self.seller,
            "tax": {
                "treatment": self.tax.treatment,
                "region": self.tax.region,
            },
            "due_days": self.due_days,
            "grace_hours": self.grace_hours,
            "overrides": [each.to_json() for each in self.overrides],
        }

    @property
    def document(self) -> str:
        """Return the whole customer as canonical JSON."""
        return to_canonical_json(self.to_json())

    @classmethod
    def from_document(cls, document: str) -> Customer:
        """Read what document wrote (Rejected state_corrupt when it is malformed)."""
        return own_json.read_as(cls, document, place="customer")

    @classmethod
    def from_fields(cls, fields: Fields) -> Customer:
        """Read the document as facts carry it (Rejected state_corrupt likewise)."""
        return own_json.taken_as(cls, fields)

    def with_override(self, own: Override, *, is_removed: bool) -> Customer:
        """Return the customer with one price replaced, or without what replaced it."""
        key = own.plan, own.add_on, own.price
        prices = {(each.plan, each.add_on, each.price): each for each in self.overrides} | {
            key: own
        }
        if is_removed:
            del prices[key]
        return replace(self, overrides=tuple(prices[each] for each in sorted(prices)))


def optional_text(fields: Fields, name: str) -> str:
    """This function will return a text that may be absent, null or empty: then it is empty."""
    return "" if fields.values.get(name) in (None, "") else fields.text(name)


def optional_integer(fields: Fields, name: str, *, maximum: int) -> int | None:
    """This function will return a whole number from 0, or None where it is absent or null."""
    if fields.values.get(name) is None:
        return None
    return fields.integer(name, minimum=0, maximum=maximum)
