"""Prices that one customer has instead of a catalogue's (S2-07, S3-21)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.canonical import from_json
from domain.codes import Code
from domain.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Container

    from domain.canonical import Json


@dataclass(frozen=True, slots=True)
class Override:
    """A price that a customer has differently.

    Args:
        plan: Plan code; empty for the price of an add-on.
        price: Key of the price it replaces.
        document: The price that counts instead, as canonical JSON.
        add_on: Code of the add-on whose price it is, whatever the plan; empty for a plan's.
    """

    plan: str
    price: str
    document: str
    add_on: str = ""

    @property
    def name(self) -> str:
        """Return what it replaces, for people."""
        return f"{self.plan or f'add-on {self.add_on}'}/{self.price}"

    @property
    def fields(self) -> Fields:
        """Return the price that counts instead, as it was given."""
        return Fields.of(from_json(self.document), place="price", code=Code.BAD_VALUE)

    @property
    def meter(self) -> str:
        """Return the meter or composite that it is over; empty for a fee."""
        return str(self.fields.values.get("meter", ""))

    def is_of(self, plans: Container[str], add_ons: Container[str]) -> bool:
        """Say whether it is for a price of one of these plans or add-ons."""
        return self.add_on in add_ons if self.add_on else self.plan in plans

    def to_json(self) -> dict[str, Json]:
        """Return it as it stands in contents and documents."""
        add_on: dict[str, Json] = {"add_on": self.add_on} if self.add_on else {}
        return {"plan": self.plan, "price": self.price, "document": self.document} | add_on

    @classmethod
    def from_fields(cls, fields: Fields) -> Override:
        """Read what to_json wrote (Rejected otherwise)."""
        fields.only(("plan", "price", "document", "add_on"))
        is_of_add_on = "add_on" in fields.values
        return cls(
            "" if is_of_add_on else fields.text("plan"),
            fields.text("price"),
            fields.document("document"),
            fields.text("add_on") if is_of_add_on else "",
        )
