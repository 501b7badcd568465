"""What the books of one tenant hold of gain-share; moved by apply alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from decimal import Decimal

    from domain.gain_share import Baseline, RunStatus


@dataclass(frozen=True, slots=True)
class GainShareRun:
    """What later decisions need of a run; its report is in its fact.

    Args:
        run: Id, gsr_….
        customer: Whose savings.
        start: First day of the period.
        end: Last day of the period.
        currency: Currency of the fee.
        share_pct: Share in percent, as text for people.
        savings_minor: Savings it found.
        fee_minor: Fee it asks for.
        tax: Tax category of the fee.
        status: Whether it was decided.
    """

    run: str
    customer: str
    start: date
    end: date
    currency: str
    share_pct: str
    savings_minor: int
    fee_minor: int
    tax: str
    status: RunStatus

    def overlaps(self, other: GainShareRun) -> bool:
        """Say whether two runs share a day of one customer."""
        return (
            self.customer == other.customer and self.start <= other.end and other.start <= self.end
        )


@dataclass(slots=True)
class GainShareState:
    """Gain-share of one tenant.

    Args:
        baselines: By customer and metric, in the order recorded; bounded (books.baselines).
        baseline_ids: Ids that are taken, with the (customer, metric) that has them.
        measurements: By customer and metric, then by day; bounded (books.measurements).
        runs: By id; kept for good, for a fee is asked for once. About 300 bytes each, and a
            customer has one a year.
        approved: Approved runs by customer.
    """

    baselines: dict[tuple[str, str], tuple[Baseline, ...]] = field(default_factory=dict)
    baseline_ids: dict[str, tuple[str, str]] = field(default_factory=dict)
    measurements: dict[tuple[str, str], Mapping[date, Decimal]] = field(default_factory=dict)
    runs: dict[str, GainShareRun] = field(default_factory=dict)
    approved: dict[str, tuple[str, ...]] = field(default_factory=dict)
