"""What a counter rose by, as Prometheus reckons it, exactly."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Context, Decimal
from enum import StrEnum
from typing import NamedTuple

from domain.codes import Code
from domain.errors import Rejected
from producers.importers.prometheus.samples import Sample

SERIES_MAX = 50_000
"""Series of one import: their last values are written at every look, about 200 bytes each."""
STEP = Decimal("0.000000001")
"""What a quantity resolves. Values are cut to it before they are subtracted, so what is cut off
of one increase is part of the next one."""
VALUE_END = Decimal(10) ** 23
"""First value that is too large to be subtracted exactly at this resolution."""
_EXACT = Context(prec=60)
_NUMBER = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?", re.ASCII)


class NewSeries(StrEnum):
    """What the first value of a series says that begins after the first look."""

    BASELINE = "baseline"  # nothing: as Prometheus, count what it rises by from here on
    ZERO = "zero"  # all of it is usage: the counter began after the look before


class Last(NamedTuple):
    """The last value of a series.

    Args:
        at_ms: When it was measured, milliseconds since 1970 UTC.
        value: Cut to STEP.
    """

    at_ms: int
    value: Decimal


class Increase(NamedTuple):
    """What a series rose by between two samples.

    Args:
        series: The series' name.
        from_ms: Time of the one.
        to_ms: Time of the other.
        amount: Above 0.
    """

    series: str
    from_ms: int
    to_ms: int
    amount: Decimal


@dataclass(slots=True)
class Ledger:
    """Last values of all series, and what was noticed on the way.

    Args:
        last: By series.
        looked_at_ms: The look before; 0 when there was none.
        new_series: What a first value says.
        noticed: resets, new_series, skipped by reason.
    """

    last: dict[str, Last] = field(default_factory=dict)
    looked_at_ms: int = 0
    new_series: NewSeries = NewSeries.BASELINE
    noticed: Counter[str] = field(default_factory=Counter)

    def take(self, samples: Iterable[Sample], *, looked_at_ms: int) -> list[Increase]:
        """This function will take in the samples of one look and say what rose.

        A series that is missing keeps its last value: when it comes back, one increase covers the
        gap. A value below the last one means that the counter began again at 0. What is no finite
        number of 0 or more, and what is not newer than the last value, is skipped.

        Args:
            samples: Of one series in rising time.
            looked_at_ms: The time of the look.

        Raises:
            Rejected: scrape_too_large.
        """
        increases: list[Increase] = []
        for sample in samples:
            value = value_of(sample.value)
            before = self.last.get(sample.series)
            if value is None or (before is not None and sample.at_ms <= before.at_ms):
                self.noticed["skipped_not_newer" if value is not None else "skipped_value"] += 1
                continue
            if before is None:
                before = self._begin(sample, value)
            if value < before.value:
                self.noticed["resets"] += 1
                before = Last(before.at_ms, Decimal(0))
            if value > before.value:
                amount = _EXACT.subtract(value, before.value)
                increases.append(Increase(sample.series, before.at_ms, sample.at_ms, amount))
            self.last[sample.series] = Last(sample.at_ms, value)
        self.looked_at_ms = max(self.looked_at_ms, looked_at_ms)
        return increases

    def _begin(self, sample: Sample, value: Decimal) -> Last:
        if len(self.last) >= SERIES_MAX:
            raise Rejected(
                Code.SCRAPE_TOO_LARGE,
                f"there are more than {SERIES_MAX} series",
                next_step="Select fewer series, or several imports with one part of them each",
            )
        self.noticed["new_series"] += 1
        is_born = self.new_series is NewSeries.ZERO and 0 < self.looked_at_ms < sample.at_ms
        return Last(self.looked_at_ms, Decimal(0)) if is_born else Last(sample.at_ms, value)


def value_of(text: str) -> Decimal | None:
    """This function will read a counter's value exactly.

    Returns:
        The value cut to STEP; None for what no counter shows: NaN, infinite, negative, too large.
    """
    if _NUMBER.fullmatch(text) is None:
        return None
    value = Decimal(text)
    if not 0 <= value < VALUE_END:
        return None
    return value.quantize(STEP, rounding=ROUND_DOWN, context=_EXACT)
