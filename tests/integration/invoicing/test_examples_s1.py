"""S1's invoices of every plan (X-43 to X-46) through the real pipeline; X-42 is test_s1_pro's."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.support.pipeline_world import Event
from tests.support.worked_examples import Bill, Example, billed, billed_world


def used(assets: str, *credits_used: str) -> tuple[Event, ...]:
    """A snapshot of the assets, and tokens that burn so many credits."""
    tokens = (
        Event(f"tokens {number}", "LLM_token_usage", quantity, dimensions=(("model", "large"),))
        for number, quantity in enumerate(credits_used)
    )
    return (Event("snapshot", "asset_snapshot", assets), *tokens)


EXAMPLES = {
    "pro": Example("PRO", used("1000", "600000", "400000")),
    "starter": Example("STARTER", used("250", "200000", "100000")),
    "enterprise": Example("ENTERPRISE", used("3100", "5000000", "200000")),
    "custom": Example("CUSTOM", used("5100", "10000000", "500000")),
}


@pytest.fixture(scope="module")
def bills(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Bill]:
    with billed_world(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
        catalogue="s1_stigg_reliability",
        name="test_examples_s1",
    ) as world:
        return billed(world, EXAMPLES, currency="CAD")


def amounts(bill: Bill) -> list[Decimal]:
    """The lines that are not 0, then the total, which has no tax."""
    assert bill.tax == 0
    return [*bill.lines.values(), bill.total]


def test_x_43_pro_within_its_allowances_is_the_fee(bills: dict[str, Bill]) -> None:
    """1,000 assets and 1,000,000 credits: 9,000.00."""
    assert [9_000, 9_000] == amounts(bills["pro"])


def test_x_44_starter_with_overage_is_4_250(bills: dict[str, Bill]) -> None:
    """4,000 + 50 * 3.00 + 50,000 * 0.0020."""
    assert [4_000, 150, 100, 4_250] == amounts(bills["starter"])


def test_x_45_enterprise_with_overage_is_18_550(bills: dict[str, Bill]) -> None:
    """18,000 + 100 * 2.50 + 200,000 * 0.0015."""
    assert [18_000, 250, 300, 18_550] == amounts(bills["enterprise"])


def test_x_46_custom_with_overage_is_25_700(bills: dict[str, Bill]) -> None:
    """25,000 + 100 * 2.00 + 500,000 * 0.0010."""
    assert [25_000, 200, 500, 25_700] == amounts(bills["custom"])
