"""A series id stands for one series and no other."""

from hypothesis import given
from hypothesis import strategies as st

from domain.usage.series import series_id

TEXT = st.text("ab\x1f", max_size=3)
SERIES = st.tuples(TEXT, TEXT, TEXT, st.dictionaries(TEXT, TEXT, max_size=2))


def _id(series: tuple[str, str, str, dict[str, str]]) -> bytes:
    tenant, customer, meter, dimensions = series
    return series_id(tenant=tenant, customer=customer, meter=meter, dimensions=dimensions)


class TestSeriesId:
    @given(SERIES, SERIES)
    def test_is_equal_for_equal_series_only(
        self,
        first: tuple[str, str, str, dict[str, str]],
        second: tuple[str, str, str, dict[str, str]],
    ) -> None:
        assert (_id(first) == _id(second)) == (first == second)

    def test_does_not_depend_on_the_order_of_dimensions(self) -> None:
        assert _id(("t", "c", "m", {"a": "1", "b": "2"})) == _id(
            ("t", "c", "m", {"b": "2", "a": "1"})
        )

    def test_never_changes(self) -> None:
        """It is stored: another value would split every series in two."""
        found = _id(("acme", "customer-1", "tokens", {"model": "large"})).hex()
        assert found == "5ad3d90f4bc59988c9a680f9842a938b"
