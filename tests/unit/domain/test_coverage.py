"""Which invoice has a day's usage, and why none has it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from domain.coverage import BilledPart, Coverage, Service, Unbilled, billed_parts, invoices_of
from tests.support.invoices import BillingBooks, per_call

JANUARY, FEBRUARY, MARCH = date(2025, 1, 1), date(2025, 2, 1), date(2025, 3, 1)
DAY = timedelta(days=1)
BILLED = BilledPart("INV-1", "sub_1", JANUARY, FEBRUARY, (("calls", ()),), is_paused=False)


def service(**changes: Any) -> Service:
    """A subscription since November, a month of trial, December skipped, January billed."""
    return replace(
        Service(
            subscription="sub_1",
            start=date(2024, 11, 1),
            billed_from=date(2024, 12, 1),
            open_from=FEBRUARY,
            end=MARCH,
            is_lifetime=False,
            skipped=((date(2024, 12, 1), JANUARY),),
        ),
        **changes,
    )


class TestUnbilled:
    @pytest.mark.parametrize(
        ("day", "reason"),
        [
            (date(2024, 10, 31), Unbilled.NO_SUBSCRIPTION),
            (date(2024, 11, 1), Unbilled.TRIAL),
            (date(2024, 11, 30), Unbilled.TRIAL),
            (date(2024, 12, 1), Unbilled.SKIPPED),
            (date(2024, 12, 31), Unbilled.SKIPPED),
            (JANUARY, Unbilled.UNPRICED),
            (FEBRUARY - DAY, Unbilled.UNPRICED),
            (FEBRUARY, Unbilled.OPEN),
            (MARCH - DAY, Unbilled.OPEN),
            (MARCH, Unbilled.NO_SUBSCRIPTION),
        ],
    )
    def test_says_why_to_the_day(self, day: date, reason: Unbilled) -> None:
        """Both sides of every bound."""
        assert Coverage([BILLED], [service()]).unbilled(day) is reason

    def test_names_a_period_that_was_invoiced_and_has_no_invoice(self) -> None:
        """Neither an invoice, nor one left out; whatever another subscription says."""
        other = service(subscription="sub_2", open_from=date(2024, 12, 1))
        coverage = Coverage([], [other, service(skipped=())])

        assert coverage.unbilled(JANUARY) is Unbilled.MISSING
        assert (
            Coverage([BILLED], [service(subscription="sub_3", skipped=())]).unbilled(JANUARY)
            is Unbilled.MISSING
        )

    def test_knows_pauses_and_lifetimes(self) -> None:
        """Neither is billed for its usage."""
        paused = BilledPart("INV-1", "sub_1", JANUARY, FEBRUARY, (), is_paused=True)

        assert Coverage([paused], [service()]).unbilled(JANUARY) is Unbilled.PAUSED
        lifetime = service(is_lifetime=True)
        assert Coverage([], [lifetime]).unbilled(FEBRUARY) is Unbilled.LIFETIME


class TestInvoices:
    def test_of_a_day_are_those_with_a_price_that_reads_it(self) -> None:
        """A price reads a series that has its values, whatever else it has."""
        eu = BilledPart(
            "INV-2", "sub_2", JANUARY, FEBRUARY, (("calls", (("region", "eu"),)),), is_paused=False
        )
        coverage = Coverage([BILLED, eu], [])

        both = coverage.of_series(meter="calls", dimensions=(("region", "eu"), ("zone", "1")))
        one = coverage.of_series(meter="calls", dimensions=(("region", "us"),))

        assert list(invoices_of(both, JANUARY)) == ["INV-1", "INV-2"]
        assert list(invoices_of(one, FEBRUARY - DAY)) == ["INV-1"]
        assert list(invoices_of(one, FEBRUARY)) == []
        assert coverage.of_series(meter="storage", dimensions=()) == ()

    def test_s3_44_say_of_usage_that_is_not_billed_that_it_has_no_price(self) -> None:
        """FEATURE_USAGE_METRICS false: neither a price reads it, nor is it missing."""
        books = BillingBooks()
        books.agreed(per_call("calls", "1"), billing={"usage_lines": False})
        parts = billed_parts(books.terms(), invoice="INV-1", catalogues=books.state.catalogues)
        coverage = Coverage(parts, [service(skipped=())])

        assert coverage.of_series(meter="calls", dimensions=()) == ()
        assert coverage.unbilled(JANUARY) is Unbilled.UNPRICED

    def test_have_what_their_terms_read(self) -> None:
        """One part per segment, with the plan's meters."""
        books = BillingBooks()
        books.agreed(per_call("calls", "1"))

        (part,) = billed_parts(books.terms(), invoice="INV-1", catalogues=books.state.catalogues)

        assert part == BILLED
