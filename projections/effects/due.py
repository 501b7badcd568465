"""What is due because time has passed: approvals and credits that expire.

No fold reads a clock, so somebody has to say that it is time. The scheduler looks in the tables
for what is overdue and sends a command with an explicit as_of, the moment at which it fell due,
and an id derived from what it is about. So it may run twice, on two machines, or again after a
crash. The id holds the hour too: a refusal that came of a clock that runs ahead is not the last
word.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from domain.books.records import Command
from domain.canonical import to_canonical_json
from domain.derived_ids import derived_id
from domain.errors import Rejected
from domain.period import time_text
from projections.queries import charges, wallets
from runtime import postgres
from runtime.logs import logger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from projections.queries.charges import DueCharge
    from projections.queries.wallets import DueGrants
    from runtime.commands import CommandSender
    from runtime.settings import Settings

SLACK = timedelta(seconds=5)
"""How long something has to be overdue: our clock may run ahead of the broker's, which counts."""
COMMANDS_MAX = 500
"""Commands of one kind and look; what is left over comes with the next, so an idle week is caught
up at 6,000 a minute without the books noticing."""


def send_due(settings: Settings, sender: CommandSender, *, as_of: datetime) -> int:
    """This function will send the commands that are due and return how many there were.

    Raises:
        Retryable: broker_away or database_away; the same may be sent again.
    """
    with postgres.connect(settings, role="projector", autocommit=True) as connection:
        commands = due_commands(
            charges.due_charges(connection, as_of=as_of, limit=COMMANDS_MAX),
            wallets.due_grants(connection, as_of=as_of, limit=COMMANDS_MAX),
            now=as_of,
        )
    try:
        if commands:
            sender.send_all(commands)
    except Rejected as error:
        logger().error("scheduler.defect", error=str(error))
    return len(commands)


def due_commands(
    overdue: Sequence[DueCharge], grants: Sequence[DueGrants], *, now: datetime
) -> list[Command]:
    """This function will say what is sent for what is overdue.

    Args:
        overdue: Charges whose time for approval is over; held credits come back with the expiry.
        grants: Customers who have credits past their time.
        now: The present, which only names the attempt.
    """
    hour = f"{now:%Y-%m-%dT%H}"
    commands = [
        Command(
            charge.tenant,
            derived_id("cmd", charge.tenant, "ExpireCharge", charge.charge, hour),
            "ExpireCharge",
            to_canonical_json({"charge": charge.charge, "as_of": time_text(charge.expires_at)}),
        )
        for charge in overdue
    ]
    commands += [
        Command(
            grant.tenant,
            derived_id(
                "cmd",
                grant.tenant,
                "ExpireCredits",
                grant.customer,
                time_text(grant.expires_at),
                hour,
            ),
            "ExpireCredits",
            to_canonical_json({"customer": grant.customer, "as_of": time_text(grant.expires_at)}),
        )
        for grant in grants
    ]
    return commands
