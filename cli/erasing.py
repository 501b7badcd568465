"""Erasing a customer: the keys first, then the books, so that no failure leaves a readable value.

It stands above the rooms because it needs three of them: what stands on invoices (projections),
the vault (runtime), and a command (the log).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from cli.books import send
from domain.codes import Code
from domain.derived_ids import derived_id
from domain.errors import Rejected
from projections.invoicing.outcomes import await_projected
from projections.queries.connection import tenant_connection
from projections.queries.customer_details import find_details, invoiced_versions
from projections.queries.items import list_items
from projections.queries.paging import PAGE_ROWS_MAX
from projections.queries.subscriptions import list_subscriptions
from runtime import clock, postgres
from runtime.vault.kept import Buyer

if TYPE_CHECKING:
    import sqlalchemy

    from runtime.commands import CommandSender
    from runtime.settings import Settings
    from runtime.vault.vault import Vault


@dataclass(frozen=True, slots=True)
class Erased:
    """What became of an erasure.

    Args:
        is_first: Whether the keys were there until now.
        kept: Versions of the buyer that are kept for final invoices.
        keep_until: Last day of the one that is kept longest; None when none is.
    """

    is_first: bool
    kept: int = 0
    keep_until: date | None = None


def erase_customer(
    settings: Settings, sender: CommandSender, vault: Vault, *, tenant: str, customer: str
) -> Erased:
    """This function will delete a customer's keys and tell the books.

    Steps: 1. wait until the tables hold what the log holds, for what stands on invoices; 2. gather
    what the law asks to keep; 3. delete the keys: from here on nobody reads anything; 4. send
    EraseCustomer, which empties the tables. Killed in between, the same again goes on.

    Args:
        settings: Where everything is.
        sender: Appends the command.
        vault: The vault.
        tenant: Tenant.
        customer: Customer.

    Raises:
        Rejected: customer_unknown; nothing was changed.
        Retryable: broker_away, database_away, not_ready or command_timeout: erase again.
    """
    await_projected(settings, tenant=tenant)  # 1
    buyers = _buyers(settings, vault, tenant=tenant, customer=customer)  # 2
    is_first = vault.erase(tenant=tenant, customer=customer, buyers=buyers)  # 3
    send(
        settings,
        sender,
        tenant=tenant,
        command_id=derived_id("cmd", "erase", tenant, customer),
        kind="EraseCustomer",
        body={"customer": customer},
    )  # 4
    kept = buyers if is_first else ()
    until = max((buyer.keep_until for buyer in kept), default=None)
    return Erased(is_first, len(kept), until)


def keep_until(issued: date, *, years: int) -> date:
    """This function will return the last day on which an invoice's buyer is kept.

    Terms of tax law run from the end of the year of the invoice.
    """
    return date(issued.year + years, 12, 31)


def _buyers(settings: Settings, vault: Vault, *, tenant: str, customer: str) -> tuple[Buyer, ...]:
    """Gather what stands on final invoices, and what will stand on the last one still to come."""
    engine = postgres.new_engine(settings, role="app")
    today = clock.now()
    try:
        with tenant_connection(engine, tenant=tenant) as connection:
            current = find_details(connection, customer=customer, at=today)
            invoiced = invoiced_versions(connection, customer=customer)
            is_billed_again = _is_billed_again(connection, customer=customer)
    finally:
        engine.dispose()
    if current is None:
        raise Rejected(Code.CUSTOMER_UNKNOWN, f"there is no customer {customer!r}")
    if not settings.vault_buyer_years:
        return ()
    issued = {item.version: (item.issued_at.date(), item.sealed) for item in invoiced}
    if is_billed_again and current.sealed:
        issued[current.version] = (today.date(), current.sealed)
    found = (
        (version, day, vault.open(tenant=tenant, customer=customer, sealed=sealed))
        for version, (day, sealed) in issued.items()
        if sealed
    )
    return tuple(
        Buyer(version, opened.details, keep_until(day, years=settings.vault_buyer_years))
        for version, day, opened in found
        if not opened.is_gone
    )


def _is_billed_again(connection: sqlalchemy.Connection, *, customer: str) -> bool:
    """Say whether an invoice is to come: of a subscription that is not over, or of items."""
    if list_items(connection, limit=1, after=None, customer=customer, status="pending").rows:
        return True
    after: str | None = None
    while True:
        page = list_subscriptions(connection, limit=PAGE_ROWS_MAX, after=after, customer=customer)
        if any(not each.agreed.is_over for each in page.rows):
            return True
        if not page.has_more:
            return False
        after = page.rows[-1].subscription
