"""Billing: asks the books to finalise one invoice for each period that is over."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from domain.codes import Code
from domain.derived_ids import derived_id
from domain.errors import Rejected, Retryable
from domain.period import time_text
from domain.routing import partition_of
from projections.invoicing.snapshot import Due, Snapshot
from runtime import clock, failpoints
from runtime.kafka import new_consumer, partition_ends
from runtime.logs import logger
from runtime.postgres import connect, database_away
from schemas.topics import (
    ACCOUNT_COMMANDS,
    ACCOUNT_FACTS,
    USAGE_EVENTS,
    USAGE_FACTS_TOPIC,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from domain.invoice import InvoiceContent
    from runtime.commands import CommandSender
    from runtime.settings import Settings

PERIODS_MAX = 24
"""Periods of one subscription billed in one call: two years of catching up, then people look."""
DRAIN_TIMEOUT_MS = 120_000
"""How long billing waits for the projections to reach the end of the log."""
OUTCOME_INTERVAL_MS = 20

_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}", re.ASCII)
_OUTCOME = "SELECT code, reason FROM command_outcome WHERE source_offset = %s"


@dataclass(frozen=True, slots=True)
class Billed:
    """What became of one period.

    Args:
        invoice: Invoice id.
        subscription: Subscription that was billed.
        content: What the invoice says.
        code: Empty when it was finalised, else why not.
        reason: What was wrong, for people.
    """

    invoice: str
    subscription: str
    content: InvoiceContent
    code: str
    reason: str


def bill(
    settings: Settings,
    sender: CommandSender,
    *,
    tenant: str,
    as_of: datetime,
    month: str = "",
    customer: str = "",
) -> Iterator[Billed]:
    """This function will bill every period that is over at as_of, oldest first.

    Run twice, in parallel or killed in between it makes each invoice once: ids derive from what
    is billed, and the books refuse a second invoice for a period.

    Args:
        settings: Where broker and database are.
        sender: Appends the commands.
        tenant: Who bills.
        as_of: The moment that counts as now, aware.
        month: Only periods that start in this month, for example "2026-11"; empty for all.
        customer: Only this customer; empty for all.

    Raises:
        Rejected: invalid_request, when month is no month.
        Retryable: broker_away, database_away, or not_ready when the projections do not follow.
    """
    if month and _MONTH.fullmatch(month) is None:
        raise Rejected(Code.INVALID_REQUEST, f"{month[:20]!r} is no month such as 2026-11")
    await_projected(settings, tenant=tenant)
    for _ in range(PERIODS_MAX):
        with Snapshot(settings, tenant=tenant) as snapshot:
            due = [
                item
                for item in snapshot.due(as_of=as_of, customer=customer)
                if time_text(item.period.start).startswith(month)
            ]
            contents = [(item, snapshot.invoice(item)) for item in due]
        if not contents:
            return
        results = [
            _finalize(settings, sender, item, content, as_of=as_of) for item, content in contents
        ]
        yield from results
        if any(result.code for result in results):
            return


def _finalize(
    settings: Settings,
    sender: CommandSender,
    due: Due,
    content: InvoiceContent,
    *,
    as_of: datetime,
) -> Billed:
    """Send FinalizeInvoice and wait for its outcome."""
    start = time_text(due.period.start)
    invoice = derived_id("inv", content.tenant, due.subscription, start)
    command_id = derived_id(
        "cmd", due.subscription, start, "finalize", content.sha256, time_text(as_of)
    )
    failpoints.pass_by("builder.before_command")
    try:
        offset = sender.send(
            tenant=content.tenant,
            command_id=command_id,
            kind="FinalizeInvoice",
            body={
                "invoice": invoice,
                "as_of": time_text(as_of),
                "content": content.text,
                "content_sha256": content.sha256,
            },
        )
    except Rejected as error:  # this one only: the others are billed all the same
        return Billed(invoice, due.subscription, content, error.code, error.reason)
    failpoints.pass_by("builder.after_command")
    code, reason = await_outcome(settings, tenant=content.tenant, source_offset=offset)
    logger().info("invoice.answered", invoice=invoice, code=code or "accepted", reason=reason)
    return Billed(invoice, due.subscription, content, code, reason)


def await_outcome(settings: Settings, *, tenant: str, source_offset: int) -> tuple[str, str]:
    """This function will wait for the answer to a command.

    Returns:
        The code, empty when accepted, and the reason.

    Raises:
        Retryable: command_timeout, when no answer is visible in time; database_away.
    """
    deadline = clock.monotonic_ms() + settings.command_timeout_ms
    with connect(settings, role="app", autocommit=True) as connection:
        connection.execute("SELECT set_config('tidegauge.tenant', %s, false)", (tenant,))
        while True:
            row = _fetch_one(connection, _OUTCOME, source_offset)
            if row is not None:
                return row[0], row[1]
            if clock.monotonic_ms() > deadline:
                raise Retryable(
                    Code.COMMAND_TIMEOUT,
                    f"command {source_offset} is in the log, its outcome is not visible yet",
                    retry_after_ms=1000,
                    next_step="Are `tidegauge stream books` and `tidegauge project` running? "
                    "Then run the same again",
                )
            clock.sleep_ms(OUTCOME_INTERVAL_MS)


def await_projected(settings: Settings, *, tenant: str) -> None:
    """This function will wait until the projections hold all that the log held when it was called.

    Raises:
        Retryable: not_ready, when they do not get there in time; broker_away, database_away.
    """
    account = partition_of(tenant, partitions=settings.partitions)
    reader = new_consumer(settings, group="tidegauge.builder")
    try:
        usage = range(settings.partitions)
        wanted = {
            (USAGE_FACTS_TOPIC.name, number): partition_ends(reader, USAGE_EVENTS.name, number)[1]
            for number in usage
        }
        _, commands = partition_ends(reader, ACCOUNT_COMMANDS.name, account)
        wanted[ACCOUNT_FACTS.name, account] = commands
    finally:
        reader.close()
    deadline = clock.monotonic_ms() + DRAIN_TIMEOUT_MS
    with connect(settings, role="app", autocommit=True) as connection:
        while behind := _behind(connection, wanted):
            if clock.monotonic_ms() > deadline:
                topic, number = behind[0]
                raise Retryable(
                    Code.NOT_READY,
                    f"the projection of {topic}/{number} does not reach the end of the log",
                    retry_after_ms=1000,
                    next_step="Are the folds and `tidegauge project` running? Then bill again",
                )
            clock.sleep_ms(OUTCOME_INTERVAL_MS)


def _behind(
    connection: psycopg.Connection, wanted: dict[tuple[str, int], int]
) -> list[tuple[str, int]]:
    try:
        rows = connection.execute("SELECT topic, partition, next_offset FROM position").fetchall()
    except psycopg.OperationalError as error:
        raise database_away(error) from error
    reached = {(topic, partition): offset for topic, partition, offset in rows}
    return [place for place, offset in wanted.items() if reached.get(place, 0) < offset]


def _fetch_one(
    connection: psycopg.Connection, query: str, *parameters: int
) -> tuple[Any, ...] | None:
    try:
        return connection.execute(query, parameters).fetchone()
    except psycopg.OperationalError as error:
        raise database_away(error) from error
