"""S3's invoices (X-71, X-74 to X-81, X-88) through the real pipeline, with the shipped catalogue.

The shipped ladders begin at the high end of the overage rates that S3 gives. The examples at the
low end have prices that are made up here: the customer's own, at that rate from the first unit on.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from domain.canonical import Json
from tests.support.pipeline_world import Event
from tests.support.worked_examples import Bill, Example, billed, billed_world

LOW_CALLS: dict[str, Json] = {
    "key": "api_calls",
    "name": "API calls",
    "form": "per_unit",
    "meter": "api_calls",
    "per": "1000",
    "included": "1000000",
    "rate": "0.000001",
}
LOW_STORAGE: dict[str, Json] = {
    "key": "storage",
    "name": "Storage",
    "form": "per_unit",
    "meter": "storage_gb",
    "included": "50",
    "rate": "0.10",
}
LOW_TRANSFER: dict[str, Json] = {
    "key": "transfer",
    "name": "Transfer out",
    "form": "per_unit",
    "meter": "transfer_gb",
    "where": {"direction": "out"},
    "included": "100",
    "rate": "0.10",
}
LOW = (LOW_CALLS, LOW_STORAGE, LOW_TRANSFER)


def used(*, calls: str = "", storage: str = "", out: str = "") -> tuple[Event, ...]:
    """Events of calls, of a level of storage, and of transfer: what came in is never billed."""
    call = (("method", "POST"), ("path", "/graphql"))
    events = []
    if calls:
        events += [Event("calls", "api_call", calls, dimensions=call)]
    if storage:
        events += [Event("storage", "storage", storage)]
    if out:
        events += [
            Event("out", "transfer", out, dimensions=(("direction", "out"),)),
            Event("in", "transfer", "9999", dimensions=(("direction", "in"),)),
        ]
    return tuple(events)


OVER = used(calls="1500000", storage="60", out="110")
EXAMPLES = {
    **{f"fee_{plan}": Example(plan) for plan in ("free", "starter", "professional", "enterprise")},
    "within": Example("starter", used(calls="1000000", storage="50", out="100")),
    "calls_high": Example("starter", used(calls="1500000")),
    "calls_low": Example("starter", used(calls="1500000"), prices=LOW),
    "storage_high": Example("starter", used(storage="60")),
    "storage_low": Example("starter", used(storage="60"), prices=LOW),
    "out_high": Example("starter", used(out="110")),
    "out_low": Example("starter", used(out="110"), prices=LOW),
    "all_high": Example("starter", OVER),
    "all_low": Example("starter", OVER, prices=LOW),
    "one_call": Example("starter", used(calls="1000001")),
    "seats_starter": Example("starter", seats=5),
    "seats_enterprise": Example("enterprise", seats=5),
    "tb_within": Example("enterprise", used(storage="5120", out="10240")),
    "tb_over": Example("enterprise", used(storage="5121", out="10241")),
    "tb_professional": Example("professional", used(out="1024")),
    "tb_professional_over": Example("professional", used(out="1025")),
}


@pytest.fixture(scope="module")
def bills(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Bill]:
    with billed_world(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
        catalogue="s3_dictamesh",
        name="test_examples_s3",
    ) as world:
        return billed(world, EXAMPLES, currency="USD")


@pytest.mark.parametrize(
    ("plan", "fee", "tax", "total"),
    [
        ("free", "0.00", "0.00", "0.00"),
        ("starter", "99.00", "9.90", "108.90"),
        ("professional", "499.00", "49.90", "548.90"),
        ("enterprise", "2499.00", "249.90", "2748.90"),
    ],
)
def test_x_71_fee_and_ten_percent(
    bills: dict[str, Bill], plan: str, fee: str, tax: str, total: str
) -> None:
    """One seat, nothing used."""
    bill = bills[f"fee_{plan}"]
    assert (fee, tax, total) == (str(bill.subtotal), str(bill.tax), str(bill.total))


def test_x_74_within_the_allowances_is_99_before_tax(bills: dict[str, Bill]) -> None:
    """1,000,000 calls, 50 GB, 100 GB out; what came in counts for nothing."""
    assert {"base": Decimal(99)} == bills["within"].lines
    assert "99.00" == str(bills["within"].subtotal)


@pytest.mark.parametrize(("end", "amount"), [("high", "5.000000"), ("low", "0.000500")])
def test_x_75_half_a_million_calls_over(bills: dict[str, Bill], end: str, amount: str) -> None:
    """500 * 0.01 and 500 * 0.000001, to six decimals."""
    assert amount == str(bills[f"calls_{end}"].lines["api_calls"])


@pytest.mark.parametrize(("end", "amount"), [("high", "5.000000"), ("low", "1.000000")])
def test_x_76_ten_gb_of_storage_over(bills: dict[str, Bill], end: str, amount: str) -> None:
    """10 * 0.50 and 10 * 0.10."""
    assert amount == str(bills[f"storage_{end}"].lines["storage"])


@pytest.mark.parametrize(("end", "amount"), [("high", "5.000000"), ("low", "1.000000")])
def test_x_77_ten_gb_out_over(bills: dict[str, Bill], end: str, amount: str) -> None:
    """10 * 0.50 and 10 * 0.10."""
    assert amount == str(bills[f"out_{end}"].lines["transfer"])


def test_x_78_all_three_with_tax(bills: dict[str, Bill]) -> None:
    """114 + 11.40; 101.0005 + 10.10005 = 111.10055, rounded once."""
    assert ("125.40", "111.10") == (str(bills["all_high"].total), str(bills["all_low"].total))
    assert sum(bills["all_high"].lines.values()) == Decimal(114)
    assert sum(bills["all_low"].lines.values()) == Decimal("101.0005")


def test_x_79_one_call_over_is_a_hundred_thousandth(bills: dict[str, Bill]) -> None:
    """1 / 1,000 * 0.01; the total of 108.900011 is 108.90."""
    assert "0.000010" == str(bills["one_call"].lines["api_calls"])
    assert "108.90" == str(bills["one_call"].total)


@pytest.mark.parametrize(
    ("plan", "subtotal", "tax", "total"),
    [
        ("starter", "295.00", "29.50", "324.50"),
        ("enterprise", "3295.00", "329.50", "3624.50"),
    ],
)
def test_x_80_x_81_four_more_seats(
    bills: dict[str, Bill], plan: str, subtotal: str, tax: str, total: str
) -> None:
    """99 + 4 * 49; 2,499 + 4 * 199: one seat of the five is included."""
    bill = bills[f"seats_{plan}"]
    assert (subtotal, tax, total) == (str(bill.subtotal), str(bill.tax), str(bill.total))


def test_x_88_a_terabyte_is_1_024_gb(bills: dict[str, Bill]) -> None:
    """5 TB of storage and 10 TB out are 5,120 and 10,240 GB, 1 TB is 1,024: 1 GB more costs."""
    half = Decimal("0.5")
    assert {"base": Decimal(2_499)} == bills["tb_within"].lines
    assert (half, half) == tuple(bills["tb_over"].lines[key] for key in ("storage", "transfer"))
    assert {"base": Decimal(499)} == bills["tb_professional"].lines
    assert half == bills["tb_professional_over"].lines["transfer"]
