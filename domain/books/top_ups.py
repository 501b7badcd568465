"""The top-up book: credits that are bought, at the catalogue's price and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.books.deal import Deal
from domain.books.decision import Decision
from domain.books.facts import Fact, NotedRefusal, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.books.state import read_id
from domain.books.wallet import Account, Opening, given
from domain.books.wallets import read_credits, require_free
from domain.books.watch import Seen
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice import AMOUNT_MINOR_MAX
from domain.money import Money, minor_unit_places
from domain.period import to_ms

if TYPE_CHECKING:
    from domain.books.state import TenantState


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer TopUp (S0-14 … S0-16, S0-36).

    A listed package costs what is listed; every other quantity costs its list price (S0-R10). The
    payment itself happened elsewhere: payment_reference says what it is called there.

    Args:
        state: Books of the tenant.
        command: {top_up: top_…, customer, credits, amount_minor, currency, payment_reference: may
            be absent}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        CreditsPosted, ReceiptIssued, TransactionRecorded and Notified.

    Raises:
        NotedRefusal: amount_wrong; TopUpRefused and a failed transaction stay on record.
        Rejected: top_up_exists, customer_unknown, wallet_missing, currency_differs or wallet_full.
    """
    names = ("top_up", "customer", "credits", "amount_minor", "currency", "payment_reference")
    fields = fields_of_command(command, names=names)
    top_up, quantity = read_id(fields, "top_up", prefix="top"), read_credits(fields)
    currency = fields.text("currency")
    minor_unit_places(currency)
    paid = Money(fields.integer("amount_minor", minimum=0, maximum=AMOUNT_MINOR_MAX), currency)
    has_reference = "payment_reference" in fields.values
    payment_reference = fields.text("payment_reference") if has_reference else ""
    require_free(state, top_up, code=Code.TOP_UP_EXISTS)
    decision = Decision(state, command, received_at_ms)
    decision.use_wallet(fields.text("customer"))
    decision.require_currency(currency)
    price = _price(state, quantity=quantity)
    if paid != price:
        raise _amount_wrong(decision, top_up=top_up, quantity=quantity, paid=paid, price=price)
    _book(decision, top_up=top_up, quantity=quantity, paid=paid, reference=payment_reference)
    return decision.made()


def _price(state: TenantState, *, quantity: int) -> Money:
    if state.catalogue is None or state.catalogue.wallet is None:
        raise Rejected(Code.WALLET_MISSING, "the catalogue in force sells no credits")
    return state.catalogue.wallet.price_of(quantity=quantity)


def _book(decision: Decision, *, top_up: str, quantity: int, paid: Money, reference: str) -> None:
    grant = decision.id_of("grt", top_up)
    legs = given(grant=grant, quantity=quantity, source=Account.SOLD)
    decision.post("top_up", reference=top_up, legs=legs, opens=Opening(grant))
    deal = _deal(decision.id_of("txn", top_up), top_up, quantity, paid, reference)
    receipt = decision.receipt(deal)
    decision.record(deal, status="completed", receipt=receipt)
    decision.notify(
        kind="topped_up",
        title=f"{quantity} credits were added",
        body=f"{paid.text()} {paid.currency} were paid, {decision.wallet.available} credits are "
        f"available. Receipt {receipt}.",
    )


def _deal(transaction: str, top_up: str, quantity: int, paid: Money, reference: str) -> Deal:
    return Deal(
        kind="top_up",
        transaction=transaction,
        reference=top_up,
        name=f"Top-up of {quantity} credits",
        quantity=quantity,
        amount=paid,
        payment_reference=reference,
    )


def _amount_wrong(
    decision: Decision, *, top_up: str, quantity: int, paid: Money, price: Money
) -> NotedRefusal:
    """Return the refusal, with a failed transaction: a wrong amount is worth looking at."""
    reason = (
        f"{quantity} credits cost {price.text()} {price.currency}, not {paid.text()} "
        f"{paid.currency}"
    )
    decision.add(
        "TopUpRefused",
        {
            "top_up": top_up,
            "customer": decision.wallet.customer,
            "credits": quantity,
            "amount_minor": paid.amount_minor,
            "currency": paid.currency,
            "price_minor": price.amount_minor,
            "code": Code.AMOUNT_WRONG.value,
            "at": decision.at,
        },
    )
    transaction = decision.id_of("txn", top_up, decision.command.command_id)
    deal = _deal(transaction, top_up, quantity, paid, "")
    decision.record(deal, status="failed", code=Code.AMOUNT_WRONG, reason=reason)
    return NotedRefusal(Code.AMOUNT_WRONG, reason, facts=decision.made())


def apply_refused(*, state: TenantState, fact: Fact) -> None:
    """This function will remember a failed attempt."""
    fields = fields_of_fact(fact)
    state.see(fields.text("customer"), Seen.FAILURE, at_ms=to_ms(fields.time("at")))
