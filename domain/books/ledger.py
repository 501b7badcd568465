"""The ledger: money by double entry; each posting's legs add up to 0, debit above it.

Every amount of the other books passes here, and account credit is moved here alone, so the sums of
an account say the same as the books: receivable is what customers owe on invoices, account_credit
what is owed to them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from domain.books.facts import Fact, read_fact
from domain.codes import Code
from domain.credit_balance import BALANCE_MINOR_MAX, NO_CREDIT, CreditBalance
from domain.errors import invariant
from domain.own_json import Name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.books.decision import Decision
    from domain.books.state import TenantState


class LedgerAccount(StrEnum):
    """Accounts of the ledger."""

    RECEIVABLE = "receivable"
    REVENUE = "revenue"
    TAX = "tax"
    ACCOUNT_CREDIT = "account_credit"
    CASH = "cash"
    PROMOTION = "promotion"


def post_money(
    decision: Decision,
    *,
    kind: str,
    customer: str,
    currency: str,
    reference: str,
    legs: Sequence[tuple[LedgerAccount, int]],
    promotion_minor: int = 0,
) -> None:
    """This function will add a posting to a decision; legs of 0 are left out.

    Args:
        decision: What is being decided.
        kind: What happened, for example "invoice".
        customer: Whose money it is about.
        currency: ISO 4217 code of the legs.
        reference: Id of the invoice, payment, credit or note behind it.
        legs: (account, minor units), debit above 0; they add up to 0.
        promotion_minor: What of the leg of account_credit is about promotions, debit above 0.

    Raises:
        Fatal: state_corrupt, when they do not.
    """
    moved = [(account, amount) for account, amount in legs if amount]
    invariant(
        sum(amount for _, amount in moved) == 0,
        Code.STATE_CORRUPT,
        "the legs of a posting do not add up to 0",
        reference=reference,
    )
    if not moved:
        return
    index = sum(fact.kind == "MoneyPosted" for fact in decision.facts)
    decision.add(
        "MoneyPosted",
        {
            "posting": decision.id_of("pst", "money", decision.command.command_id, str(index)),
            "index": index,
            "kind": kind,
            "customer": customer,
            "currency": currency,
            "reference": reference,
            "legs": [{"account": account, "amount_minor": amount} for account, amount in moved],
            "promotion_minor": promotion_minor,
            "booked_at": decision.at,
        },
    )


def credit_after(decision: Decision, customer: str) -> CreditBalance:
    """This function will return a customer's account credit as the decision so far leaves it."""
    balance = decision.state.billing.credit.get(customer, NO_CREDIT)
    for fact in decision.facts:
        if fact.kind == "MoneyPosted":
            whose, moved = _credit_moved(fact)
            balance = _less(balance, moved) if whose == customer else balance
    return balance


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will move account credit by a posting.

    Raises:
        Fatal: state_corrupt, when promotions or money would fall below 0.
    """
    customer, moved = _credit_moved(fact)
    if moved == NO_CREDIT:
        return
    balance = _less(state.billing.credit.get(customer, NO_CREDIT), moved)
    invariant(
        min(balance.promotion_minor, balance.money_minor) >= 0,
        Code.STATE_CORRUPT,
        "account credit falls below 0",
        customer=customer,
    )
    if balance == NO_CREDIT:
        state.billing.credit.pop(customer, None)
    else:
        state.billing.credit[customer] = balance


def _less(balance: CreditBalance, moved: CreditBalance) -> CreditBalance:
    return CreditBalance(
        balance.promotion_minor - moved.promotion_minor, balance.money_minor - moved.money_minor
    )


class _Leg(Struct):
    account: LedgerAccount
    amount_minor: int


class _Said(Struct):
    """What the books keep of a posting."""

    customer: Name
    legs: list[_Leg]
    promotion_minor: Annotated[int, Meta(ge=-BALANCE_MINOR_MAX, le=BALANCE_MINOR_MAX)]


def _credit_moved(fact: Fact) -> tuple[str, CreditBalance]:
    """Return whose account credit a posting debits, and with how much."""
    said = read_fact(_Said, fact)
    moved = [leg.amount_minor for leg in said.legs if leg.account is LedgerAccount.ACCOUNT_CREDIT]
    if not moved:
        return said.customer, NO_CREDIT
    promotion = said.promotion_minor
    return said.customer, CreditBalance(promotion, sum(moved) - promotion)
