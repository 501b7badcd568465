"""Safety rails of billing: how much one run may do, and which invoice a person looks at first."""

from __future__ import annotations

from statistics import median_low
from typing import TYPE_CHECKING, TypeVar

from domain.codes import Code
from domain.errors import Rejected
from domain.money import minor_text, minor_unit_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from domain.invoice import InvoiceContent
    from runtime.settings import Settings

EARLIER_MIN = 3
"""Invoices that a median needs: of fewer, the partial first one would decide alone, and every
customer's first full period would wait for a person."""


BATCH_CHARACTERS_MAX = 16_000_000
"""Text of the contents of a batch: three batches of the largest invoices are some 250 MB then."""
_Built = TypeVar("_Built")


def of_a_batch(built: Iterable[_Built], *, size: Callable[[_Built], int]) -> Iterator[_Built]:
    """This function will yield at least one, and no more once their text is long.

    Args:
        built: Invoices, built one by one; those left over are built again with the next batch.
        size: Characters of one.
    """
    characters = 0
    for each in built:
        yield each
        characters += size(each)
        if characters >= BATCH_CHARACTERS_MAX:
            return


class RunLimits:
    """Counts what a run bills, and stops it before it bills too much.

    Args:
        settings: How much one run may do.
    """

    def __init__(self, settings: Settings) -> None:
        self._lines_max = settings.billing_lines_max
        self._total_max = settings.billing_total_max
        self._lines = 0
        self._totals_minor: dict[str, int] = {}

    @property
    def has_taken(self) -> bool:
        """Say whether anything was counted; what is refused before that is too much alone."""
        return bool(self._totals_minor)

    def take(self, content: InvoiceContent) -> None:
        """Count an invoice that is about to be sent.

        Raises:
            Rejected: billing_limit, when the run would go beyond what it may.
        """
        currency = content.terms.currency
        lines = self._lines + len(content.lines)
        total_minor = self._totals_minor.get(currency, 0) + content.total_minor
        if lines > self._lines_max:
            raise Rejected(
                Code.BILLING_LIMIT,
                f"the run stops before line {lines}: TIDEGAUGE_BILLING_LINES_MAX is "
                f"{self._lines_max}; run again to go on, or raise it",
            )
        if total_minor > self._total_max * 10 ** minor_unit_places(currency):
            text = minor_text(amount_minor=total_minor, currency=currency)
            raise Rejected(
                Code.BILLING_LIMIT,
                f"the run stops before {currency} {text}: TIDEGAUGE_BILLING_TOTAL_MAX is "
                f"{self._total_max}; look at `tidegauge bill --dry-run`, then raise it or go on",
            )
        self._lines = lines
        self._totals_minor[currency] = total_minor


def sold_minor_of(content: InvoiceContent) -> int:
    """This function will return what an invoice comes to before account credit, minor units.

    Lines less discounts, with their tax: credit says nothing of whether what was sold is strange.
    """
    totals = content.totals
    return totals.total_minor + totals.credit_minor - totals.carry_minor


def outlier_reason(
    *,
    sold_minor: int,
    earlier: Sequence[int],
    released_minor: int | None,
    times: int,
    currency: str,
) -> str:
    """This function will say why a person should look at an invoice first.

    Args:
        sold_minor: What it comes to before account credit.
        earlier: The same of the customer's last invoices.
        released_minor: What was looked at and released before; up to it nothing waits again.
        times: How many times the median is too much; 0 for never.
        currency: Of all of them.

    Returns:
        The reason, for people; empty when nothing is strange.
    """
    is_known = released_minor is not None and sold_minor <= released_minor
    if times == 0 or len(earlier) < EARLIER_MIN or is_known:
        return ""
    median_minor = median_low(earlier)
    if median_minor <= 0 or sold_minor <= times * median_minor:
        return ""
    sold, median = (
        minor_text(amount_minor=each, currency=currency) for each in (sold_minor, median_minor)
    )
    which = "" if len(earlier) % 2 else "lower "
    return (
        f"{currency} {sold} before account credit is more than {times} times {median}, "
        f"the {which}median of the last {len(earlier)} invoices"
    )
