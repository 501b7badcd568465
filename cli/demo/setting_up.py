"""Setting the books up: customers and subscriptions, by commands that may be repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cli import books
from cli.demo.trace import CUSTOMERS, Trace
from domain.derived_ids import derived_id
from domain.period import time_text

if TYPE_CHECKING:
    from domain.catalogue import Catalogue
    from runtime.commands import CommandSender
    from runtime.settings import Settings


def create_customers(
    settings: Settings,
    sender: CommandSender,
    *,
    trace: Trace,
    catalogue: Catalogue,
    on_created: Callable[[], None],
) -> None:
    """This function will create every customer with a monthly subscription to the first plan.

    Done twice it changes nothing: the books answer a command they know with its first outcome.

    Args:
        settings: Where broker and database are.
        sender: Appends the commands.
        trace: Says the tenant and when the subscriptions start.
        catalogue: Its first plan is what customers pay for.
        on_created: Told after each customer.

    Raises:
        Rejected: When the books refuse a command.
        Retryable: broker_away, database_away or command_timeout.
    """
    plan, start = catalogue.plans[0], time_text(trace.period.start)
    for customer, _ in CUSTOMERS:
        _send(
            settings,
            sender,
            trace.tenant,
            "CreateCustomer",
            {"customer": customer, "currency": plan.currency},
        )
        _send(
            settings,
            sender,
            trace.tenant,
            "CreateSubscription",
            {
                "subscription": derived_id("sub", trace.tenant, customer),
                "customer": customer,
                "plan": plan.code,
                "start": start,
            },
        )
        on_created()


def _send(
    settings: Settings, sender: CommandSender, tenant: str, kind: str, body: dict[str, str]
) -> None:
    books.send(
        settings,
        sender,
        tenant=tenant,
        command_id=derived_id("cmd", tenant, kind, body["customer"]),
        kind=kind,
        body=body,
    )
