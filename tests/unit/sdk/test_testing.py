"""The meter for users' own tests tells the truth about what was recorded."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tidegauge import Delivery, InvalidEvent
from tidegauge.testing import MemoryMeter


class TestMemoryMeter:
    def test_gives_back_what_was_recorded(self) -> None:
        """Every field survives the wire format; nobody has to flush."""
        with MemoryMeter() as meter:
            instant = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
            meter.record(
                customer="a",
                type="t",
                quantity="1.25",
                occurred_at=instant,
                dimensions={"region": "eu"},
                properties={"note": "x"},
                id="order-1",
            )
            meter.record(customer="b", type="t", quantity=2)

            (event,) = meter.events(customer="a")

            assert (event.id, event.quantity, event.occurred_at) == (
                "order-1",
                Decimal("1.25"),
                instant,
            )
            assert (event.dimensions, event.properties) == ({"region": "eu"}, {"note": "x"})
            assert [one.customer for one in meter.events(type="t")] == ["a", "b"] or {
                one.customer for one in meter.events(type="t")
            } == {"a", "b"}

    def test_adds_up_and_counts_an_id_once(self) -> None:
        """A total is exact, of one customer and type, and knows repetitions."""
        with MemoryMeter() as meter:
            for _ in range(2):
                meter.record(customer="a", type="t", quantity="0.1", id="same")
            meter.record(customer="a", type="t", quantity="0.2")
            meter.record(customer="a", type="other", quantity=5)

            assert meter.total("a", "t") == Decimal("0.3")
            assert meter.total("nobody", "t") == 0

    def test_asserts_and_shows_what_there_was(self) -> None:
        """A wrong expectation fails with a list of what was recorded."""
        with MemoryMeter() as meter:
            meter.record(customer="a", type="t", quantity=1, dimensions={"k": "v", "l": "w"})
            meter.assert_recorded(customer="a", type="t", quantity="1.0", dimensions={"k": "v"})
            meter.assert_recorded(customer="b", type="t", times=0)
            for wrong in (
                {"customer": "b"},
                {"quantity": 2},
                {"dimensions": {"k": "x"}},
                {"times": 2},
            ):
                with pytest.raises(AssertionError, match="customer='a'"):
                    meter.assert_recorded(**({"customer": "a", "type": "t"} | wrong))

            meter.clear()
            assert meter.events() == []

    def test_refuses_what_production_refuses(self) -> None:
        """The checks are the real ones."""
        with MemoryMeter() as meter, pytest.raises(InvalidEvent):
            meter.record(customer="a", type="t", quantity=0.1)  # type: ignore[arg-type]

    def test_can_fail_as_production_may(self) -> None:
        """A test can see what its code does when deliveries fail."""
        told: list[Delivery] = []
        with MemoryMeter(on_delivery=told.append) as meter:
            meter.transport.error = "http_timed_out"
            meter.record(customer="a", type="t", quantity=1)
            assert meter.flush() == 1
            assert meter.events() == []
        assert [one.error for one in told] == ["http_timed_out"]
