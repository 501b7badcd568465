"""The account credit book: what a customer has with the tenant, and that invoices use up.

It has two parts (domain.credit_balance): promotions, given for nothing, which invoices use first,
and money. Postings alone move either.

It is the third of three ledgers that are never mixed (C-03): a wallet holds credits that were
bought, an allowance is part of a price, account credit is money.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from domain.books import held
from domain.books.decision import Decision
from domain.books.facts import Fact, fields_of_fact
from domain.books.held import Drawn
from domain.books.ledger import LedgerAccount, credit_after, post_money
from domain.books.records import Command, fields_of_command
from domain.books.state import read_id
from domain.codes import Code
from domain.credit_balance import NO_CREDIT
from domain.errors import Rejected
from domain.fields import TEXT_LENGTH_MAX
from domain.invoice import AMOUNT_MINOR_MAX, LINES_MAX
from domain.rated import LINE_ID_LENGTH_MAX

if TYPE_CHECKING:
    from domain.books.customer import Customer
    from domain.books.state import TenantState
    from domain.credit_balance import CreditBalance
    from domain.fields import Fields


class CreditKind(StrEnum):
    """Where account credit comes from."""

    GRANT = "grant"
    DOWNGRADE = "downgrade"
    OVERPAYMENT = "overpayment"
    CREDIT_NOTE = "credit_note"
    CARRY = "carry"
    VOID = "void"
    CORRECTION = "correction"


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer GrantAccountCredit.

    Args:
        state: Books of the tenant.
        command: {credit: crd_…, customer, amount_minor: from 1, currency: the customer's, reason}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        AccountCreditGranted and MoneyPosted.

    Raises:
        Rejected: credit_exists, customer_unknown, currency_differs or credit_limit.
    """
    names = ("credit", "customer", "amount_minor", "currency", "reason")
    fields = fields_of_command(command, names=names)
    customer = customer_of(state, fields)
    require_currency(customer.currency, fields)
    decision = Decision(state, command, received_at_ms)
    credit, amount = read_id(fields, "credit", prefix="crd"), amount_of(fields, "amount_minor")
    post_money(
        decision,
        kind="credit_grant",
        customer=customer.customer,
        currency=customer.currency,
        reference=credit,
        legs=((LedgerAccount.PROMOTION, amount), (LedgerAccount.ACCOUNT_CREDIT, -amount)),
        promotion_minor=-amount,
    )
    add_credit(
        decision,
        credit=credit,
        customer=customer.customer,
        amount_minor=amount,
        currency=customer.currency,
        kind=CreditKind.GRANT,
        reference=credit,
        reason=fields.text("reason"),
    )
    return decision.made()


def add_credit(  # noqa: PLR0913 -- what the fact says, each by its name
    decision: Decision,
    *,
    credit: str,
    customer: str,
    amount_minor: int,
    currency: str,
    kind: str,
    reference: str,
    reason: str,
    drawn: tuple[tuple[tuple[str, str], Drawn], ...] = (),
) -> None:
    """This function will say that account credit was given; its posting comes before.

    Args:
        decision: What is being decided.
        credit: Id of the credit, crd_….
        customer: Who is given it.
        amount_minor: Minor units, from 1.
        currency: Currency of the customer.
        kind: A CreditKind.
        reference: What it is from, for example an invoice id.
        reason: Why, for people; cut to what a text may have.
        drawn: What it takes of which line of which invoice.

    Raises:
        Rejected: credit_exists or credit_limit.
    """
    if credit in decision.state.billing.ids:
        raise Rejected(Code.CREDIT_EXISTS, f"the credit id {credit} is taken")
    after = credit_after(decision, customer)
    if after.total_minor > AMOUNT_MINOR_MAX:
        raise Rejected(
            Code.CREDIT_LIMIT, f"account credit is at most {AMOUNT_MINOR_MAX} minor units"
        )
    decision.add(
        "AccountCreditGranted",
        {
            "credit": credit,
            "customer": customer,
            "currency": currency,
            "amount_minor": amount_minor,
            "kind": kind,
            "reference": reference,
            "reason": reason[:TEXT_LENGTH_MAX],
            "drawn": [
                {"invoice": invoice, "line": line, **each.to_json()}
                for (invoice, line), each in drawn
            ],
            "balance_minor": after.total_minor,
            "promotion_balance_minor": after.promotion_minor,
            "granted_at": decision.at,
        },
    )


def use_credit(
    decision: Decision, *, invoice: str, customer: str, currency: str, amount_minor: int
) -> None:
    """This function will say that account credit was used (S3-72); its posting comes before."""
    if amount_minor:
        after = credit_after(decision, customer)
        decision.add(
            "AccountCreditApplied",
            {
                "invoice": invoice,
                "customer": customer,
                "currency": currency,
                "amount_minor": amount_minor,
                "balance_minor": after.total_minor,
                "promotion_balance_minor": after.promotion_minor,
                "applied_at": decision.at,
            },
        )


def balance(state: TenantState, customer: str) -> CreditBalance:
    """This function will return a customer's account credit."""
    return state.billing.credit.get(customer, NO_CREDIT)


def customer_of(state: TenantState, fields: Fields) -> Customer:
    """This function will return the customer that a command names (Rejected otherwise)."""
    customer = state.customers.get(fields.text("customer"))
    if customer is None:
        raise Rejected(Code.CUSTOMER_UNKNOWN, f"there is no customer {fields.text('customer')!r}")
    return customer


def require_currency(currency: str, fields: Fields) -> None:
    """This function will refuse a command in another currency (Rejected currency_differs)."""
    if fields.text("currency") != currency:
        raise Rejected(
            Code.CURRENCY_DIFFERS,
            f"{fields.text('currency')} was given, it must be {currency}",
            param="currency",
        )


def amount_of(fields: Fields, name: str) -> int:
    """This function will read a positive amount in minor units (Rejected otherwise)."""
    return fields.integer(name, minimum=1, maximum=AMOUNT_MINOR_MAX)


def apply_granted(*, state: TenantState, fact: Fact) -> None:
    """This function will take the credit's id, and what it gives back of lines.

    The posting beside it moved the balance.
    """
    fields = fields_of_fact(fact)
    state.billing.ids.add(fields.text("credit"))
    lines = held.Lines(state)
    for each in fields.objects("drawn", count_max=LINES_MAX):
        line = each.text("line", length_max=LINE_ID_LENGTH_MAX)
        lines.take((each.text("invoice"), line), Drawn.from_fields(each))


def apply_applied(*, state: TenantState, fact: Fact) -> None:
    """This function will change nothing: the posting beside it moved the balance."""
