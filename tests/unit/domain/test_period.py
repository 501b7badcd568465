"""Periods are half-open, in UTC, and come back to their anchor's day."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from domain.codes import Code
from domain.errors import Rejected
from domain.period import (
    LIFETIME_END,
    Interval,
    Period,
    add_months,
    calendar_anchor,
    ceil_day,
    cycle_period,
    days_of,
    floor_day,
    from_ms,
    parse_time,
    require_utc,
    time_text,
    to_ms,
)
from tests.support.billing import moment, period


class TestCyclePeriod:
    # interval  anchor      day  moment      start       end
    TABLE = """
    month       2025-01-01  1    2025-01-01  2025-01-01  2025-02-01
    month       2025-01-01  1    2025-01-31  2025-01-01  2025-02-01
    month       2025-01-01  1    2025-02-01  2025-02-01  2025-03-01
    month       2025-01-01  1    2026-01-15  2026-01-01  2026-02-01
    month       2025-01-15  15   2025-02-14  2025-01-15  2025-02-15
    month       2025-01-29  29   2025-02-28  2025-02-28  2025-03-29
    month       2025-01-30  30   2025-03-29  2025-02-28  2025-03-30
    month       2025-01-31  31   2025-02-27  2025-01-31  2025-02-28
    month       2025-01-31  31   2025-03-30  2025-02-28  2025-03-31
    month       2025-01-31  31   2025-03-31  2025-03-31  2025-04-30
    month       2025-01-31  31   2025-05-01  2025-04-30  2025-05-31
    month       2024-01-31  31   2024-02-29  2024-02-29  2024-03-31
    month       2024-02-29  29   2025-02-28  2025-02-28  2025-03-29
    month       2025-02-28  31   2025-03-01  2025-02-28  2025-03-31
    month       2025-12-31  31   2026-01-30  2025-12-31  2026-01-31
    quarter     2025-01-01  1    2025-03-31  2025-01-01  2025-04-01
    quarter     2024-11-30  30   2025-02-28  2025-02-28  2025-05-30
    quarter     2024-11-30  30   2025-02-27  2024-11-30  2025-02-28
    year        2024-02-29  29   2025-02-27  2024-02-29  2025-02-28
    year        2024-02-29  29   2028-02-28  2027-02-28  2028-02-29
    year        2024-02-29  29   2028-02-29  2028-02-29  2029-02-28
    """
    ROWS = tuple(line.split() for line in TABLE.splitlines() if line.strip())

    @pytest.mark.parametrize(("interval", "anchor", "day", "at", "start", "end"), ROWS)
    def test_g_05_s1_40_s4_07_counts_from_the_anchor(
        self, interval: str, anchor: str, day: str, at: str, start: str, end: str
    ) -> None:
        """A short month ends the period on its last day; the anchor's day comes back after it."""
        made = cycle_period(
            moment(anchor), interval=Interval(interval), moment=moment(at), anchor_day=int(day)
        )
        assert made == period(start, end)

    def test_x_33_runs_from_the_start_to_the_same_day_of_the_next_month(self) -> None:
        """PRO from 2025-01-01 has the period to 2025-02-01."""
        start = moment("2025-01-01")
        made = cycle_period(start, interval=Interval.MONTH, moment=start)
        assert (time_text(made.start), time_text(made.end)) == (
            "2025-01-01T00:00:00Z",
            "2025-02-01T00:00:00Z",
        )

    @pytest.mark.parametrize("interval", [Interval.MONTH, Interval.QUARTER, Interval.YEAR])
    @pytest.mark.parametrize("day", [1, 28, 29, 30, 31])
    def test_leaves_no_gap_and_no_overlap(self, day: int, interval: Interval) -> None:
        """For twelve periods each one starts where the one before ended."""
        anchor = moment(f"2024-01-{day:02}")
        at, made = anchor, []
        for _ in range(12):
            made.append(cycle_period(anchor, interval=interval, moment=at))
            assert made[-1].start == at
            at = made[-1].end
        assert [each.end for each in made[:-1]] == [each.start for each in made[1:]]

    def test_a_lifetime_has_one_period_without_end(self) -> None:
        """S4-07: it holds every moment from its start on."""
        start = moment("2025-01-31")
        made = cycle_period(start, interval=Interval.LIFETIME, moment=moment("2999-01-01"))
        assert made == Period(start, LIFETIME_END)

    def test_refuses_a_moment_before_the_anchor(self) -> None:
        """There was no cycle then."""
        with pytest.raises(Rejected) as caught:
            cycle_period(
                moment("2025-01-02"), interval=Interval.MONTH, moment=moment("2025-01-01")
            )
        assert caught.value.code is Code.BAD_VALUE


class TestCalendar:
    @pytest.mark.parametrize(
        ("interval", "at", "start"),
        [
            (Interval.MONTH, "2025-05-17", "2025-05-01"),
            (Interval.MONTH, "2025-05-01", "2025-05-01"),
            (Interval.QUARTER, "2025-05-17", "2025-04-01"),
            (Interval.QUARTER, "2025-12-31", "2025-10-01"),
            (Interval.QUARTER, "2025-03-31", "2025-01-01"),
            (Interval.YEAR, "2025-05-17", "2025-01-01"),
            (Interval.LIFETIME, "2025-05-17T08:00:00", "2025-05-17"),
        ],
    )
    def test_c_09_periods_start_with_the_calendars(
        self, interval: Interval, at: str, start: str
    ) -> None:
        """The month, quarter or year that a moment lies in."""
        assert calendar_anchor(moment(at), interval=interval) == moment(start)

    @pytest.mark.parametrize(
        ("at", "floor", "ceil"),
        [
            ("2025-01-22", "2025-01-22", "2025-01-22"),
            ("2025-01-22T00:00:00.000001", "2025-01-22", "2025-01-23"),
            ("2025-12-31T23:59:59", "2025-12-31", "2026-01-01"),
        ],
    )
    def test_days_begin_at_midnight_of_utc(self, at: str, floor: str, ceil: str) -> None:
        """A moment at midnight begins its day and ends the one before."""
        assert (floor_day(moment(at)), ceil_day(moment(at))) == (moment(floor), moment(ceil))

    @pytest.mark.parametrize(
        ("start", "end", "days"),
        [
            ("2024-02-01", "2024-03-01", 29),
            ("2025-02-01", "2025-03-01", 28),
            ("2024-01-01", "2025-01-01", 366),
            # Many countries put their clocks forward on 30 March and back on 26 October 2025.
            ("2025-03-30", "2025-03-31", 1),
            ("2025-10-26", "2025-10-27", 1),
        ],
    )
    def test_g_03_whole_days_are_counted(self, start: str, end: str, days: int) -> None:
        """The leap day counts, and no country's clock change makes a day longer or shorter."""
        assert days_of(period(start, end)) == days


class TestAddMonths:
    def test_keeps_the_time_of_day(self) -> None:
        """Moving by months changes nothing below the day."""
        assert add_months(moment("2025-01-31T05:06:07"), months=1) == moment("2025-02-28T05:06:07")


class TestPeriod:
    def test_start_belongs_to_it_and_end_does_not(self) -> None:
        """Half-open: a moment lies in exactly one of two neighbours."""
        made = period("2025-01-01", "2025-02-01")
        instant = timedelta(microseconds=1)
        assert [
            made.contains(moment("2025-01-01") - instant),
            made.contains(moment("2025-01-01")),
            made.contains(moment("2025-02-01") - instant),
            made.contains(moment("2025-02-01")),
        ] == [False, True, True, False]

    def test_g_03_is_kept_in_utc(self) -> None:
        """The same instants in another zone make the same period."""
        zone = timezone(timedelta(hours=2))
        start = datetime(2025, 1, 1, 2, tzinfo=zone)
        made = Period(start, start + timedelta(days=31))
        assert made == period("2025-01-01", "2025-02-01")
        assert made.start.tzinfo is UTC

    @pytest.mark.parametrize("end", ["2025-01-01", "2024-12-31"])
    def test_is_never_empty(self, end: str) -> None:
        """An end at or before the start is refused."""
        with pytest.raises(Rejected):
            period("2025-01-01", end)

    def test_refuses_naive_time(self) -> None:
        """A time without zone could mean two moments."""
        with pytest.raises(Rejected) as caught:
            require_utc(datetime(2025, 1, 1))  # noqa: DTZ001 -- the subject
        assert caught.value.code is Code.BAD_VALUE


class TestTime:
    @pytest.mark.parametrize(
        ("text", "written"),
        [
            ("2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
            ("2025-01-01t00:00:00z", "2025-01-01T00:00:00Z"),
            ("2025-01-01T02:00:00+02:00", "2025-01-01T00:00:00Z"),
            ("2025-01-01T00:00:00.5Z", "2025-01-01T00:00:00.500Z"),
            ("2025-01-01T00:00:00.000001Z", "2025-01-01T00:00:00.000001Z"),
        ],
    )
    def test_is_read_and_written_as_rfc_3339(self, text: str, written: str) -> None:
        """Reading loses nothing and writing adds nothing."""
        assert written == time_text(parse_time(text))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "2025-01-01",
            "2025-01-01T00:00:00",
            "20250101T000000Z",
            "2025-W01-1T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2025-01-01T24:00:00Z",
            "2025-01-01T00:00Z",
            "2025-01-01T00:00:00.0000001Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "\u0662\u0660\u0662\u0665-01-01T00:00:00Z",
            "yesterday",
        ],
    )
    def test_refuses_anything_else(self, text: str) -> None:
        """Other forms, missing days or offsets, and times outside the calendar are refused."""
        with pytest.raises(Rejected) as caught:
            parse_time(text)
        assert caught.value.code is Code.BAD_VALUE

    def test_milliseconds_go_both_ways(self) -> None:
        """A millisecond count survives, also before 1970."""
        counts = [-1, 0, 1, 1_735_689_600_123]
        assert counts == [to_ms(from_ms(count)) for count in counts]
