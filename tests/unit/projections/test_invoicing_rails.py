"""Safety rails: what a run may bill, and which invoice a person looks at first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from domain.errors import Fatal, Rejected
from projections.invoicing.builder import Billed, Scope
from projections.invoicing.held_back import HOLD, HeldBack
from projections.invoicing.rails import (
    BATCH_CHARACTERS_MAX,
    of_a_batch,
    outlier_reason,
    sold_minor_of,
)
from projections.invoicing.run_file import (
    Difference,
    RunEntry,
    differences,
    noted,
    path_of,
    read_run,
    write_run,
)
from tests.support.billing import moment
from tests.support.invoices import BillingBooks, flat, tax


class TestScope:
    @pytest.mark.parametrize("month", ["2026-13", "2026-00", "2026-1", "2026", "november"])
    def test_of_no_month_is_refused(self, month: str) -> None:
        """A run over a month that does not exist would bill nobody and end well."""
        with pytest.raises(Rejected, match="invalid_request"):
            Scope("acme", moment("2026-12-01"), month=month)


class TestOutlier:
    @pytest.mark.parametrize(
        ("sold_minor", "earlier", "released_minor", "times", "is_parked"),
        [
            (1_001, (100, 100, 100), None, 10, True),
            (1_000, (100, 100, 100), None, 10, False),  # exactly ten times is not more
            (1_001, (100, 100), None, 10, False),  # of two there is no median
            (1_001, (0, 0, 100), None, 10, False),  # of nothing everything is a multiple
            (1_001, (-100, -100, 100), None, 10, False),  # corrections were more than the rest
            (1_001, (100, 100, 100), 1_001, 10, False),  # somebody looked at it
            (1_002, (100, 100, 100), 1_001, 10, True),  # and it grew since
            (9_999, (100, 100, 100), None, 0, False),
            (9_999, (100, 100, 9_999, 100, 9_999, 100), None, 10, True),
        ],
    )
    def test_is_more_than_ten_times_the_median(
        self,
        sold_minor: int,
        earlier: tuple[int, ...],
        released_minor: int | None,
        times: int,
        is_parked: bool,
    ) -> None:
        """Boundaries one minor unit apart."""
        reason = outlier_reason(
            sold_minor=sold_minor,
            earlier=earlier,
            released_minor=released_minor,
            times=times,
            currency="USD",
        )

        assert bool(reason) is is_parked

    def test_is_what_was_sold_whatever_credit_pays(self) -> None:
        """A hundred with its tax, of which credit pays all, some, or more than all."""
        for credit, of in ((0, 0), (3_000, 3_000), (20_000, 11_000)):
            books = BillingBooks()
            books.agreed(flat("base", "100"), taxes=[tax("10")], billing={"credits": "after_tax"})
            if credit:
                books.grant(credit)
            content = books.content()
            assert (content.totals.credit_minor, content.total_minor) == (of, 11_000 - of)
            assert sold_minor_of(content) == 11_000

    def test_of_a_total_below_0_is_below_0(self) -> None:
        """What becomes account credit was not sold."""
        totals = SimpleNamespace(total_minor=0, credit_minor=0, carry_minor=500)
        assert sold_minor_of(cast("Any", SimpleNamespace(totals=totals))) == -500

    @pytest.mark.parametrize(
        ("earlier", "median"),
        [((100, 300, 500), "3.00, the median"), ((100, 200, 400, 500), "2.00, the lower median")],
    )
    def test_is_said_as_money_with_the_median_that_it_is(
        self, earlier: tuple[int, ...], median: str
    ) -> None:
        reason = outlier_reason(
            sold_minor=9_001, earlier=earlier, released_minor=None, times=10, currency="USD"
        )
        assert (
            f"USD 90.01 before account credit is more than 10 times {median} of the last" in reason
        )


def entry(subscription: str, total_minor: int, *, currency: str = "USD") -> RunEntry:
    """One invoice of a run."""
    return RunEntry(subscription, "c", "period", currency, total_minor, 1)


class TestRunFile:
    def test_says_what_is_new_gone_and_changed_the_largest_first(self, tmp_path: Path) -> None:
        """Two periods of one subscription count together; equal totals say nothing."""
        path = path_of(tmp_path, tenant="a/b")
        write_run(path, [entry("same", 5), entry("gone", 7), entry("more", 4), entry("more", 6)])

        found = differences(read_run(path), [entry("same", 5), entry("more", 30), entry("new", 1)])

        assert found == (
            Difference("more", "c", "USD", 10, 30),
            Difference("gone", "c", "USD", 7, None),
            Difference("new", "c", "USD", None, 1),
        )

    def test_of_another_currency_is_another_total(self) -> None:
        """Amounts of two currencies are never compared."""
        found = differences([entry("s", 5)], [entry("s", 5, currency="EUR")])

        assert {each.currency for each in found} == {"EUR", "USD"}

    def test_that_is_damaged_is_named(self, tmp_path: Path) -> None:
        """A torn file stops the dry run, with what to do next."""
        path = path_of(tmp_path, tenant="t")
        write_run(path, [entry("s", 5)])
        path.write_text(path.read_text()[:-5])

        with pytest.raises(Fatal, match="Delete"):
            read_run(path)
        assert read_run(tmp_path / "none") == ()

    def test_that_cannot_be_written_stops_no_billing(self, tmp_path: Path) -> None:
        """A full or missing disk: every invoice is told of all the same."""
        (tmp_path / "billing").write_text("a file where a folder should be")
        content = BillingBooks()
        content.agreed(flat("base", "9"))
        billed = Billed("inv_1", content.terms(), content.content(), "", "")

        assert list(noted([billed], path_of(tmp_path, tenant="t"))) == [billed]
        written = path_of(tmp_path / "other", tenant="t")
        assert list(noted([billed], written)) == [billed]
        assert [each.total_minor for each in read_run(written)] == [900]


NOW = datetime(2026, 11, 1, tzinfo=UTC)


class TestHeldBack:
    def test_waits_an_hour_and_no_longer(self) -> None:
        """The key of one tenant says nothing of another's."""
        held = HeldBack()
        held.add("t", "sub_1", now=NOW)

        almost = held.by_tenant(now=NOW + HOLD - timedelta(seconds=1))

        assert almost == {"t": {"sub_1"}}
        assert held.by_tenant(now=NOW + HOLD) == {}
        assert len(held) == 0

    def test_lets_the_oldest_go_when_there_are_too_many(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was refused again is not the oldest."""
        monkeypatch.setattr("projections.invoicing.held_back.KEYS_MAX", 2)
        held = HeldBack()
        for key in ("a", "b", "a", "c"):
            held.add("t", key, now=NOW)

        assert held.by_tenant(now=NOW) == {"t": {"a", "c"}}


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [
        ([], 0),
        ([BATCH_CHARACTERS_MAX + 1, 1], 1),
        ([BATCH_CHARACTERS_MAX - 1, 1, 1], 2),
        ([1, 2, 3], 3),
    ],
)
def test_a_batch_ends_with_the_invoice_that_fills_it(sizes: list[int], taken: int) -> None:
    """At least one goes, however large it is; what comes after it is not even built."""
    asked: list[int] = []

    def built() -> Iterator[int]:
        for size in sizes:
            asked.append(size)
            yield size

    assert list(of_a_batch(built(), size=int)) == sizes[:taken]
    assert len(asked) == taken
