"""S1 through the real pipeline: PRO with 1,200 assets and 1.5 million credits of real events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cli.catalogue_file import read_catalogue_file
from domain.canonical import Json, from_json
from domain.period import add_months
from projections.invoicing.builder import preview
from projections.invoicing.reconcile import reconcile
from projections.invoicing.replay import replay
from projections.invoicing.trace import trace
from tests.support.pipeline_world import START, TENANT, Event, World, running_world

CATALOGUE = Path(__file__).parents[3] / "deploy" / "catalogues" / "s1_stigg_reliability.yaml"
MONTH_END = add_months(START, months=1)
BILLED_AT = MONTH_END + timedelta(days=1)


def s1() -> Json:
    """The catalogue as it is published."""
    return from_json(read_catalogue_file(CATALOGUE))


@pytest.fixture(scope="module")
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with running_world(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
        catalogue=s1(),
        name="s1_pro_test",
    ) as running:
        yield running


def usage() -> Iterator[Event]:
    """1,500,000 credits: tokens 1,000,000, frames and jobs 200,000 each, runs 100,000."""
    for number in range(1_000):
        model = (("model", ("large", "small")[number % 2]),)
        yield Event(f"tokens {number}", "LLM_token_usage", "1000", dimensions=model)
    for number in range(400):
        yield Event(f"frames {number}", "vision_frame_batch", "100")
        yield Event(f"job {number}", "optimizer_job", "1")
    for number in range(100):
        yield Event(f"run {number}", "simulator_run", "1")
    yield Event("snapshot", "asset_snapshot", "1200")


@pytest.fixture(scope="module")
def number(world: World) -> str:
    """Bill PRO's first month and return the invoice's number."""
    world.subscribe("plant", plan="PRO", currency="CAD")
    world.send_usage("plant", usage())
    provisional = preview(world.settings, tenant=TENANT, subscription="sub_plant")
    (billed,) = world.bill("plant", as_of=BILLED_AT)
    assert (provisional.lines, provisional.totals) == (billed.content.lines, billed.content.totals)
    ((found,),) = world.rows("SELECT number FROM invoice WHERE invoice = %s", billed.invoice)
    return str(found)


class TestPro:
    def test_x_42_comes_to_10_600_in_three_lines(self, world: World, number: str) -> None:
        """9,000 + 200 * 3.00 + 500,000 * 0.0020; tax 0; what the preview said."""
        lines = world.rows(
            "SELECT l.amount FROM invoice_line l JOIN invoice i USING (tenant, invoice)"
            " WHERE i.number = %s ORDER BY l.line",
            number,
        )
        head = world.rows(
            "SELECT currency, total_minor, tax_minor, status FROM invoice WHERE number = %s",
            number,
        )

        assert [str(amount) for (amount,) in lines] == ["9000.00", "600.00", "1000.00"]
        assert head == [("CAD", 1_060_000, 0, "final")]

    def test_replays_from_events_and_facts(self, world: World, number: str) -> None:
        """The same bytes from both."""
        for source in ("events", "facts"):
            again = replay(world.settings, tenant=TENANT, name=number, source=source)
            assert again.differences == ()
            assert again.content.sha256 == again.original.sha256

    def test_credits_are_traced_to_all_four_meters(self, world: World, number: str) -> None:
        """1,900 raw events of four types add up to what the line reads."""
        traced = trace(world.settings, tenant=TENANT, name=number, line_number=3)

        assert traced.is_equal
        assert traced.events == 1_900
        assert {each.meter: each.counted for each in traced.usage} == {
            "llm_tokens": "1000000",
            "vision_frames": "40000",
            "optimizer_jobs": "400",
            "simulator_runs": "100",
        }

    def test_x_47_the_next_period_begins_with_its_whole_allowance(
        self, world: World, number: str
    ) -> None:
        """After the invoice the period is the next month's, with nothing used."""
        assert number
        ((start, end),) = world.rows(
            "SELECT period_start, period_end FROM subscription WHERE subscription = 'sub_plant'"
        )
        provisional = preview(world.settings, tenant=TENANT, subscription="sub_plant")

        assert (start, end) == (MONTH_END, add_months(START, months=2))
        assert [line.quantity for line in provisional.lines if line.meter == "credits"] == ["0"]
        assert provisional.total_minor == 900_000

    def test_accepted_counted_rated_and_invoiced_are_equal(
        self, world: World, number: str
    ) -> None:
        """And one window that is one event short is found."""
        assert number
        day = START.date()
        result = reconcile(world.settings, tenant=TENANT, first=day, last=day)

        assert result.differences == ()
        assert result.invoices == 1
        assert sum(each.counted.events for each in result.days) == 1_901
