"""The clock book: a test tenant's time, which moves by command alone.

A tenant with a clock plays a year in seconds: every decision of its books takes the clock for now,
and the billing worker leaves it alone. A tenant that has subscriptions is live and gets none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.books.facts import Fact, fact_of, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.books.subscriptions import YEAR_MAX, YEAR_MIN
from domain.codes import Code
from domain.errors import Rejected
from domain.period import time_text

if TYPE_CHECKING:
    from datetime import datetime

    from domain.books.state import TenantState
    from domain.fields import Fields


def decide_start(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer StartClock.

    Args:
        state: Books of the tenant.
        command: {as_of: RFC 3339, the tenant's time from now on}.
        received_at_ms: Not used: the clock starts where it is told to.

    Returns:
        ClockStarted.

    Raises:
        Rejected: clock_exists, or tenant_live for a tenant with subscriptions.
    """
    del received_at_ms
    as_of = _as_of(fields_of_command(command, names=("as_of",)))
    if state.clock is not None:
        raise Rejected(Code.CLOCK_EXISTS, f"the test clock stands at {time_text(state.clock)}")
    if state.subscriptions:
        raise Rejected(
            Code.TENANT_LIVE, f"the tenant has {len(state.subscriptions)} subscriptions"
        )
    return (fact_of("ClockStarted", {"now_at": time_text(as_of)}),)


def decide_advance(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer AdvanceClock.

    Args:
        state: Books of the tenant.
        command: {as_of: RFC 3339, not before the clock's time}.
        received_at_ms: Not used.

    Returns:
        ClockAdvanced; nothing when it stands there.

    Raises:
        Rejected: clock_missing or clock_backwards.
    """
    del received_at_ms
    as_of = _as_of(fields_of_command(command, names=("as_of",)))
    if state.clock is None:
        raise Rejected(Code.CLOCK_MISSING, "the tenant's time is that of the log")
    if as_of < state.clock:
        raise Rejected(Code.CLOCK_BACKWARDS, f"the test clock stands at {time_text(state.clock)}")
    if as_of == state.clock:
        return ()
    return (fact_of("ClockAdvanced", {"now_at": time_text(as_of)}),)


def _as_of(fields: Fields) -> datetime:
    as_of = fields.time("as_of")
    if not YEAR_MIN <= as_of.year <= YEAR_MAX:
        raise fields.refuse("as_of", f"must lie in the years {YEAR_MIN} to {YEAR_MAX}")
    return as_of


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will set the clock."""
    state.clock = fields_of_fact(fact).time("now_at")
