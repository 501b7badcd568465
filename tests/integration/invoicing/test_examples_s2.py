"""S2's pricing models (X-55 to X-61) through the real pipeline, with the shipped catalogue.

Its plans carry the figures of the worked examples, so no price is made up here.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.support.pipeline_world import Event
from tests.support.worked_examples import Bill, Example, billed, billed_world


def calls(*quantities: str) -> tuple[Event, ...]:
    """Events of so many API calls each."""
    return tuple(
        Event(f"calls {number}", "api_call", quantity, dimensions=(("region", "us"),))
        for number, quantity in enumerate(quantities)
    )


EXAMPLES = {
    "flat_unused": Example("flat"),
    "flat_used": Example("flat", calls("9999998", "1")),
    "per_unit": Example("per_unit", calls("300000", "200000")),
    "volume_100": Example("volume", calls("60", "40")),
    "volume_101": Example("volume", calls("60", "41")),
    "volume_250": Example("volume", calls("100", "150")),
    "volume_500": Example("volume", calls("250", "250")),
    "tiered_101": Example("tiered", calls("60", "41")),
    "tiered_250": Example("tiered", calls("100", "150")),
    "tiered_500": Example("tiered", calls("250", "250")),
    "package": Example("package", [Event("storage", "storage", "60")]),
    "hybrid": Example(
        "hybrid", [Event("storage", "storage", "1200"), *calls("1000000", "500000")]
    ),
}


@pytest.fixture(scope="module")
def bills(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Bill]:
    with billed_world(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
        catalogue="s2_valueverse",
        name="test_examples_s2",
    ) as world:
        return billed(world, EXAMPLES, currency="USD")


def total(bills: dict[str, Bill], name: str) -> str:
    """The total of an invoice without taxes."""
    bill = bills[name]
    assert bill.subtotal == bill.total
    assert bill.tax == 0
    return str(bill.total)


def test_x_55_flat_is_499_whatever_is_used(bills: dict[str, Bill]) -> None:
    """0 or 9,999,999 calls."""
    assert ("499.00", "499.00") == (total(bills, "flat_unused"), total(bills, "flat_used"))


def test_x_56_half_a_million_units_of_0_0020_are_1_000(bills: dict[str, Bill]) -> None:
    """500,000 * 0.0020."""
    assert "1000.00" == total(bills, "per_unit")


@pytest.mark.parametrize(
    ("used", "amount"), [("100", "1000.00"), ("250", "2400.00"), ("500", "4500.00")]
)
def test_x_57_volume_prices_all_by_the_band(
    bills: dict[str, Bill], used: str, amount: str
) -> None:
    """100 * 10.00; 250 * 9.60; 500 * 9.00."""
    assert amount == total(bills, f"volume_{used}")


@pytest.mark.parametrize(("used", "amount"), [("250", "2440.00"), ("500", "4690.00")])
def test_x_58_tiered_prices_each_part_by_its_tier(
    bills: dict[str, Bill], used: str, amount: str
) -> None:
    """1,000 + 150 * 9.60; then + 250 * 9.00."""
    assert amount == total(bills, f"tiered_{used}")


def test_x_59_one_unit_over_tells_the_two_apart(bills: dict[str, Bill]) -> None:
    """101 * 9.60 and 1,000 + 9.60."""
    assert ("969.60", "1009.60") == (total(bills, "volume_101"), total(bills, "tiered_101"))


def test_x_60_a_package_and_10_gb_over_are_104(bills: dict[str, Bill]) -> None:
    """99 + (60 - 50) * 0.50."""
    assert "104.00" == total(bills, "package")


def test_x_61_a_fee_and_usage_are_one_invoice_of_10_600(bills: dict[str, Bill]) -> None:
    """9,000 + 600 + 1,000."""
    assert "10600.00" == total(bills, "hybrid")
    assert {
        "fee": Decimal(9_000),
        "storage": Decimal(600),
        "calls": Decimal(1_000),
    } == bills["hybrid"].lines
