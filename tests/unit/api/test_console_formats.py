"""How the console writes values."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from api.console import formats
from api.console.charts import Line, chart
from domain.canonical import from_json


class TestMoney:
    @pytest.mark.parametrize(
        ("amount_minor", "currency", "text"),
        [
            (149_900, "PHP", "₱1,499.00"),
            (-50, "PHP", "−₱0.50"),
            (123_456_789, "EUR", "€1,234,567.89"),
            (1_000, "JPY", "¥1,000"),
            (1_500, "BHD", "BHD\u00a01.500"),
            (0, "PHP", "₱0.00"),
        ],
    )
    def test_is_written_by_its_currency(self, amount_minor: int, currency: str, text: str) -> None:
        assert text == formats.money(amount_minor, currency)


class TestMoments:
    def test_are_shown_in_utc_to_the_second(self) -> None:
        shown = str(formats.moment(datetime(2026, 11, 21, 5, 6, 7, 890_000, tzinfo=UTC)))
        assert '<time datetime="2026-11-21T05:06:07.890Z">2026-11-21 05:06:07 ' in shown

    def test_that_have_not_come_are_a_dash(self) -> None:
        assert formats.DASH == formats.moment(None)


class TestTexts:
    def test_of_others_stay_texts_when_they_are_shortened(self) -> None:
        """A title and a beginning of an id are as foreign as the id itself."""
        shown = str(formats.short('"><script>alert(1)</script>'))
        assert "<script>" not in shown
        assert '">' not in shown.removeprefix('<span title="').removesuffix("</span>")[:5]

    def test_shares_and_changes_are_exact(self) -> None:
        assert formats.percent(Decimal("33.3")) == "33.3 %"
        assert formats.percent(None) == formats.DASH
        assert ("+1,200", "−50", "0") == tuple(map(formats.signed, (1_200, -50, 0)))


class TestCharts:
    def test_have_every_day_and_whole_numbers_only(self) -> None:
        first, last = date(2026, 2, 27), date(2026, 3, 2)
        text = chart(
            [Line("Revenue", {date(2026, 3, 1): 50_000})],
            first=first,
            last=last,
            unit="PHP ",
            places=2,
        )
        assert {
            "unit": "PHP ",
            "places": 2,
            "x": [1772150400, 1772236800, 1772323200, 1772409600],
            "series": [{"label": "Revenue", "values": [0, 0, 50_000, 0]}],
        } == from_json(text)
