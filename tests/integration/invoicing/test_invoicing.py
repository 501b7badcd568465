"""Invoices on the real log and the real database: built, built again, replayed and traced."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from rich.console import Console

from cli.billing import print_trace
from cli.books import send
from domain.canonical import Json
from domain.codes import Code
from domain.errors import Rejected
from projections.invoicing.builder import Billed
from projections.invoicing.replay import find_invoice, replay
from projections.invoicing.trace import trace
from tests.support.pipeline_world import AS_OF, START, TENANT, World, running_world

CATALOGUE: Json = {
    "version": 1,
    "meters": [
        {
            "key": "calls",
            "event_type": "call",
            "aggregation": "sum",
            "unit": "call",
            "group_by": ["region"],
        },
        {"key": "peak", "event_type": "call", "aggregation": "max", "unit": "call"},
    ],
    "plans": [
        {
            "code": "basic",
            "name": "Basic",
            "currency": "USD",
            "prices": [
                {"key": "base", "form": "flat", "amount": "9.00"},
                {
                    "key": "calls",
                    "form": "per_unit",
                    "meter": "calls",
                    "rate": "0.5",
                    "included": "10",
                },
                {"key": "peak", "form": "per_unit", "meter": "peak", "rate": "1"},
            ],
        }
    ],
}


@pytest.fixture(scope="module")
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with running_world(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
        catalogue=CATALOGUE,
        name="invoicing_test",
    ) as running:
        yield running


class TestInvoice:
    def test_holds_every_event_once_and_replays_to_the_same_bytes(self, world: World) -> None:
        """9.00 + (12.5 - 10) * 0.5 + 5 * 1 = 15.25; raw events and facts give the same bytes."""
        world.subscribe("cus_one")
        world.record("cus_one", ["3", "4.5", "5"])
        world.record("cus_one", ["3", "4.5", "5"])

        billed = world.bill("cus_one")

        assert [item.code for item in billed] == [""]
        assert billed[0].content.total_minor == 1525
        found = find_invoice(world.settings, tenant=TENANT, name=billed[0].invoice)
        for source in ("events", "facts"):
            again = replay(world.settings, tenant=TENANT, name=found.number, source=source)
            assert found.text == again.content.text
            assert found.sha256 == again.content.sha256

    def test_is_made_once_however_often_it_is_asked_for(self, world: World) -> None:
        """A second run finds nothing due; a second FinalizeInvoice is refused by the books."""
        world.subscribe("cus_twice")
        world.record("cus_twice", ["1"])
        first = world.bill("cus_twice")

        assert world.bill("cus_twice") == []
        with pytest.raises(Rejected) as refused:
            send(
                world.settings,
                world.sender,
                tenant=TENANT,
                command_id="another id",
                kind="FinalizeInvoice",
                body={
                    "invoice": "inv_other",
                    "as_of": AS_OF.isoformat().replace("+00:00", "Z"),
                    "content": first[0].content.text,
                    "content_sha256": first[0].content.sha256,
                },
            )
        assert refused.value.code == Code.INVOICE_EXISTS

    def test_of_a_running_period_is_not_due(self, world: World) -> None:
        """One moment before the period's end nothing is billed."""
        world.subscribe("cus_early")

        end = (START + timedelta(days=32)).replace(day=1)

        assert world.bill("cus_early", as_of=end - timedelta(seconds=1)) == []

    def test_of_two_builders_at_once_exists_once(self, world: World) -> None:
        """Both runs together finalise the period exactly once."""
        world.subscribe("cus_race")
        world.record("cus_race", ["2"])
        results: list[Billed] = []
        threads = [
            threading.Thread(target=lambda: results.extend(world.bill("cus_race")))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert len([item for item in results if not item.code]) >= 1
        assert len({item.invoice for item in results}) == 1
        assert {"", Code.INVOICE_EXISTS.value} >= {str(item.code) for item in results}

    def test_of_no_month_is_refused(self, world: World) -> None:
        """A malformed --period is an error, not an empty result."""
        with pytest.raises(Rejected, match="invalid_request"):
            world.bill("cus_one", month="November")

    def test_that_nobody_made_is_unknown(self, world: World) -> None:
        """Replay of an invented number says so."""
        with pytest.raises(Rejected) as refused:
            replay(world.settings, tenant=TENANT, name="INV-1999-000001")

        assert refused.value.code == Code.INVOICE_UNKNOWN


class TestTrace:
    def test_leads_from_a_line_to_its_raw_events(self, world: World) -> None:
        """Duplicates and conflicts in the range are not counted again."""
        world.subscribe("cus_trace")
        world.record("cus_trace", ["3", "4.5", "5"])
        world.record("cus_trace", ["3", "4.5", "6"])
        billed = world.bill("cus_trace")

        traced = trace(world.settings, tenant=TENANT, name=billed[0].invoice, line_number=2)

        console = Console(record=True, width=120)
        print_trace(console, traced)
        assert "calls: its raw events add up to 12.5 call: equal" in console.export_text()
        assert traced.is_equal
        assert (traced.events, traced.usage[0].counted, len(traced.windows)) == (3, "12.5", 3)

    def test_ends_at_the_pin(self, world: World) -> None:
        """Usage that arrives after the invoice changes its windows and not its trace or replay."""
        world.subscribe("cus_late")
        world.record("cus_late", ["7", "8"])
        billed = world.bill("cus_late")
        world.record("cus_late", ["100", "200", "300"], region="us")
        world.record("cus_late", ["7", "8", "9"])

        traced = trace(world.settings, tenant=TENANT, name=billed[0].invoice, line_number=2)
        again = replay(world.settings, tenant=TENANT, name=billed[0].invoice)

        assert traced.is_equal
        assert (traced.events, traced.usage[0].counted) == (2, "15")
        assert again.is_equal

    def test_of_a_fee_is_refused(self, world: World) -> None:
        """A flat line rests on no event."""
        world.subscribe("cus_fee")
        billed = world.bill("cus_fee")

        with pytest.raises(Rejected, match="no usage"):
            trace(world.settings, tenant=TENANT, name=billed[0].invoice, line_number=1)
