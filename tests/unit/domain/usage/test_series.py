"""The name of a series: the same on every machine, different for different ones."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.usage.series import series_id

TEXTS = st.text("ab\x1f\0é", max_size=3)
SERIES = st.tuples(TEXTS, TEXTS, TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=3))


def named(series: tuple[str, str, str, dict[str, str]]) -> bytes:
    tenant, customer, meter, dimensions = series
    return series_id(tenant=tenant, customer=customer, meter=meter, dimensions=dimensions)


class TestSeriesId:
    def test_is_written_down_for_good(self) -> None:
        """It is the primary key of projected windows: another value is another series."""
        found = named(("acme", "ann", "tokens", {"region": "eu", "model": "large"}))
        assert "5e9d18c429342dff2c272c99b16b2a83" == found.hex()

    @given(one=SERIES, other=SERIES)
    def test_is_equal_for_equal_series_only(
        self,
        one: tuple[str, str, str, dict[str, str]],
        other: tuple[str, str, str, dict[str, str]],
    ) -> None:
        """Parts cannot run into each other, whatever characters they hold."""
        assert (one == other) == (named(one) == named(other))

    def test_has_no_order_of_dimensions(self) -> None:
        """A map has none."""
        pairs = {"b": "1", "a": "2"}
        assert named(("t", "c", "m", pairs)) == named(
            ("t", "c", "m", dict(reversed(pairs.items())))
        )
