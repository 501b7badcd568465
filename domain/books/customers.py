"""The customer book: who may be charged, and in which currency. It holds no personal data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.books.decision import Decision
from domain.books.facts import Fact, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.books.state import Customer
from domain.books.wallet import Account, Opening, given
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice import hash_text
from domain.money import minor_unit_places

if TYPE_CHECKING:
    from domain.books.state import TenantState
    from domain.fields import Fields


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer CreateCustomer.

    Args:
        state: Books of the tenant.
        command: {customer: id as usage events name it, currency: ISO 4217 code, email_digest: 64
            hex digits of a keyed hash of the address, may be absent; one customer each (S0-01)}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        CustomerCreated; with a catalogue in force that has wallets in this currency, also
        WalletOpened and the sign-up bonus. A customer who was there before gets no bonus.

    Raises:
        Rejected: currency_unknown, customer_exists or email_taken.
    """
    fields = fields_of_command(command, names=("customer", "currency", "email_digest"))
    customer, currency = fields.text("customer"), fields.text("currency")
    minor_unit_places(currency)
    if customer in state.customers:
        raise Rejected(Code.CUSTOMER_EXISTS, f"customer {customer!r} was created before")
    decision = Decision(state, command, received_at_ms)
    created = {"customer": customer, "currency": currency, "created_at": decision.at}
    if "email_digest" in fields.values:
        created["email_digest"] = _free_digest(state, fields)
    decision.add("CustomerCreated", created)
    _sign_up(decision, customer=customer, currency=currency)
    return decision.made()


def _free_digest(state: TenantState, fields: Fields) -> str:
    digest = hash_text(fields, "email_digest")
    if digest in state.email_digests:
        raise Rejected(Code.EMAIL_TAKEN, "another customer has this e-mail address")
    return digest


def _sign_up(decision: Decision, *, customer: str, currency: str) -> None:
    """Open the wallet and give the bonus, where the catalogue has wallets in this currency."""
    catalogue = decision.state.catalogue
    terms = catalogue.wallet if catalogue is not None else None
    if terms is None or terms.currency != currency:
        return
    decision.open_wallet(customer=customer, currency=currency)
    if terms.signup_credits:
        grant = decision.id_of("grt", customer, "signup")
        legs = given(grant=grant, quantity=terms.signup_credits, source=Account.ISSUED)
        decision.post("signup_bonus", reference=customer, legs=legs, opens=Opening(grant))


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will add the customer."""
    fields = fields_of_fact(fact)
    customer = Customer(fields.text("customer"), fields.text("currency"))
    state.customers[customer.customer] = customer
    if "email_digest" in fields.values:
        state.email_digests[fields.text("email_digest")] = customer.customer
