"""The customer book: who may be charged, and in which currency. It holds no personal data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.books.facts import Fact, fact_of, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.books.state import Customer
from domain.codes import Code
from domain.errors import Rejected
from domain.money import minor_unit_places
from domain.period import from_ms, time_text

if TYPE_CHECKING:
    from domain.books.state import TenantState


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer CreateCustomer.

    Args:
        state: Books of the tenant.
        command: {customer: id as usage events name it, currency: ISO 4217 code}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        CustomerCreated.

    Raises:
        Rejected: currency_unknown or customer_exists.
    """
    fields = fields_of_command(command, names=("customer", "currency"))
    customer, currency = fields.text("customer"), fields.text("currency")
    minor_unit_places(currency)
    if customer in state.customers:
        raise Rejected(Code.CUSTOMER_EXISTS, f"customer {customer!r} was created before")
    created_at = time_text(from_ms(received_at_ms))
    return (
        fact_of(
            "CustomerCreated",
            {"customer": customer, "currency": currency, "created_at": created_at},
        ),
    )


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will add the customer."""
    fields = fields_of_fact(fact)
    customer = Customer(fields.text("customer"), fields.text("currency"))
    state.customers[customer.customer] = customer
