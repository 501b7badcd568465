"""Every aggregation on a small set of windows, and the answers that stay the same for all."""

from dataclasses import replace

import pytest

from domain.aggregation.kinds import SKETCHED, Aggregation
from domain.aggregation.measure import Measured
from domain.aggregation.measures import measure_of, measured
from domain.aggregation.window_row import WindowRow
from domain.quantity import NANOS_PER_UNIT as NANOS
from tests.support import billing

SPAN = billing.hours(0, 1_000_000)
WINDOWS = (
    replace(
        billing.window("m", hours=0, value="5", dimensions={"region": "a"}),
        events=2,
        min_nanos=2 * NANOS,
        max_nanos=3 * NANOS,
        latest_nanos=2 * NANOS,
    ),
    billing.window("m", hours=2, value="1.5", dimensions={"region": "b"}, offset=7),
    billing.window("m", hours=1, value="9", dimensions={"region": "a"}, offset=9),
)
PLAIN = [item for item in Aggregation if item not in SKETCHED]


def value_of(aggregation: Aggregation, rows: tuple[WindowRow, ...]) -> Measured:
    measure = measure_of(aggregation, percentile="50")
    return measured(measure, windows=rows, span=SPAN)


class TestMeasured:
    @pytest.mark.parametrize(
        ("aggregation", "quantity"),
        [
            ("sum", "15.5"), ("count", "4"), ("min", "1.5"), ("max", "9"), ("latest", "1.5"),
            ("average", "3.875"),
        ],
    )  # fmt: skip
    def test_goes_over_all_series_and_hours(self, aggregation: str, quantity: str) -> None:
        """Sum and count add, min and max compare, latest goes by when it occurred."""
        made = value_of(Aggregation(aggregation), WINDOWS)
        assert Measured(billing.units(quantity)) == made

    @pytest.mark.parametrize("aggregation", Aggregation)
    def test_is_zero_without_windows(self, aggregation: Aggregation) -> None:
        """Nothing counted is a quantity of nothing, also for min, max and latest (G-08)."""
        assert Measured(0) == value_of(aggregation, ())

    @pytest.mark.parametrize("aggregation", PLAIN)
    def test_does_not_depend_on_the_order(self, aggregation: Aggregation) -> None:
        """Rows from SQL and rows from the log come in different orders."""
        assert value_of(aggregation, WINDOWS) == value_of(aggregation, WINDOWS[::-1])

    def test_latest_breaks_ties_by_offset_then_by_dimensions(self) -> None:
        """Two series may have an event of the same moment, even in the same source record."""
        early = billing.window("m", value="1", dimensions={"region": "b"}, offset=3)
        late = billing.window("m", value="2", dimensions={"region": "a"}, offset=4)
        same = billing.window("m", value="3", dimensions={"region": "b"}, offset=4)
        for rows, winner in (((early, late), 2), ((late, early), 2), ((late, same), 3)):
            for ordered in (rows, rows[::-1]):
                assert winner * NANOS == value_of(Aggregation.LATEST, ordered).nanos

    @pytest.mark.parametrize(
        ("total", "count", "average"),
        [("1", 3, "0.333333333"), ("2", 3, "0.666666667"), ("0.000000001", 2, "0.000000001")],
    )
    def test_an_average_is_rounded_half_up_to_a_billionth(
        self, total: str, count: int, average: str
    ) -> None:
        """The only division among the aggregations has its rounding written down."""
        row = replace(billing.window("m", value=total), events=count)
        assert billing.units(average) == value_of(Aggregation.AVERAGE, (row,)).nanos
