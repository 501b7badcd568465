"""The catalogues under deploy/catalogues say what the five systems demand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest

from cli.catalogue_file import check_file
from cli.catalogue_text import SCHEMA_LINE
from domain.aggregation.kinds import Aggregation
from domain.aggregation.measure import Measured
from domain.aggregation.measures import measured
from domain.catalogue import Catalogue
from domain.catalogue_schema import schema_text
from domain.quantity import NANOS_PER_UNIT, nanos_text, parse_nanos
from domain.rating import rate
from domain.usage.customer_windows import CustomerWindows
from domain.usage.fold import UsageFold
from domain.usage.records import SourceRecord
from producers.gateway.plain_usage import to_candidate
from schemas.usage_wire import from_wire_usage_source, to_wire_catalogue
from tests.support import billing, checkout
from tests.support.usage_truth import Event, batch_record

FOLDER = checkout.ROOT / "deploy" / "catalogues"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))
NOW_MS = 1_773_000_000_000
CREDITS = {
    "LLM_token_usage": 1,
    "vision_frame_batch": 5,
    "optimizer_job": 500,
    "simulator_run": 1_000,
}
"""S1-19 … S1-22: credits per unit."""


def example(name: str) -> Catalogue:
    """One of the catalogues."""
    checked = check_file(FOLDER / f"{name}.yaml")
    assert checked.catalogue is not None, checked.lines()
    return checked.catalogue


def counted(catalogue: Catalogue, events: Iterable[tuple[str, str | int]]) -> dict[str, str]:
    """The billed quantity of each meter after events of (type, quantity), as the fold counts."""
    fold = UsageFold(partition=0, partitions=1)
    sent = [
        Event(
            key=number,
            type=name,
            quantity=parse_nanos(str(quantity)),
            scale=9,
            occurred_ms=NOW_MS + number,
        )
        for number, (name, quantity) in enumerate(events)
    ]
    published = to_wire_catalogue(
        tenant="acme", version=catalogue.version, content=catalogue.content
    )
    records: list[SourceRecord] = [
        from_wire_usage_source(value, offset=offset, received_at_ms=NOW_MS + 1_000)
        for offset, value in enumerate((published, *(batch_record([event]) for event in sent)))
    ]
    facts = fold.step(records, from_offset=0, to_offset=len(records))
    assert () == facts.rejects
    windows = CustomerWindows(tenant="acme", customer="ann")
    windows.add(facts)
    hour = NOW_MS // 3_600_000
    span = billing.hours(hour, hour + 1)
    rows = windows.rows(span, carried=())
    found = {}
    for key in dict.fromkeys(row.meter for row in rows):
        mine = [row for row in rows if row.meter == key]
        quantity = measured(catalogue.meter(key).measure, windows=mine, span=span)
        found[key] = nanos_text(quantity.nanos)
    return found


def invoice(catalogue: Catalogue, plan: str, **usage: str) -> list[int]:
    """The lines of a plan in minor units."""
    measures = {key: Measured(int(Decimal(text) * NANOS_PER_UNIT)) for key, text in usage.items()}
    lines = rate(usage=measures, plan=catalogue.plan(plan), catalogue=catalogue)
    return [line.amount_minor for line in lines]


class TestEveryExample:
    @pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
    def test_is_right_and_names_its_schema(self, path: Path) -> None:
        """`tidegauge catalogue check` passes, and an editor finds the schema beside it."""
        assert [] == check_file(path).lines()
        assert SCHEMA_LINE == path.read_text(encoding="utf-8").splitlines()[0]

    def test_is_there_for_each_of_the_five_systems(self) -> None:
        """S0 to S4."""
        assert {"s0", "s1", "s2", "s3", "s4"} <= {path.stem.partition("_")[0] for path in EXAMPLES}

    def test_has_the_schema_of_this_version(self) -> None:
        """Next: tidegauge catalogue schema > deploy/catalogues/catalogue.schema.json"""
        assert schema_text() == (FOLDER / "catalogue.schema.json").read_text(encoding="utf-8")

    def test_schema_is_for_documents_that_are_typed(self) -> None:
        """A rate without quotes is no mistake: `check` reads its text."""
        schema = json.loads(schema_text())
        price = schema["properties"]["plans"]["items"]["properties"]["prices"]["items"]
        assert {"string", "number"} == set(price["allOf"][1]["then"]["properties"]["rate"]["type"])


class TestNames:
    NAMES = (
        ("s0_bem_emergence", "node_update pulse"),
        (
            "s1_stigg_reliability",
            (
                "LLM_token_usage vision_frame_batch optimizer_job simulator_run credits_burned "
                "asset_snapshot"
            ),
        ),
        ("s2_valueverse", "api_call API_calls storage compute compute_hours custom"),
        (
            "s3_dictamesh",
            "api_call API_calls storage transfer transfer_out query_processing seats adapters",
        ),
        (
            "s4_chatbot_billing",
            (
                "message completion file_upload storage vector_query tool_call embedding messages "
                "completions file_uploads vector_queries tool_calls embeddings"
            ),
        ),
    )

    @pytest.mark.parametrize(("name", "types"), NAMES, ids=[name for name, _ in NAMES])
    def test_c_20_all_usage_types_resolve(self, name: str, types: str) -> None:
        """Each name that the system uses feeds a meter (S1-24, S2-13, S3-35 … S3-38, S4-R5)."""
        catalogue = example(name)
        for each in types.split():
            spelled = each.replace("API_", "API ")
            assert catalogue.meters_of(spelled), spelled

    def test_s1_24_are_taken_exactly_as_written(self) -> None:
        """An unknown one feeds nothing."""
        assert () == example("s1_stigg_reliability").meters_of("LLM_TOKEN_USAGE")

    def test_s4_02_plural_and_singular_are_one_type(self) -> None:
        """Seven resource types, not fourteen."""
        catalogue = example("s4_chatbot_billing")
        assert {"tool_calls": "3"} == counted(catalogue, [("tool_call", 1), ("tool_calls", 2)])


class TestS1:
    CATALOGUE = example("s1_stigg_reliability")

    def burned(self, *events: tuple[str, int]) -> tuple[int, int]:
        """Credits burned and left of PRO after operations of (type, units)."""
        sent: list[tuple[str, str | int]] = []
        for name, units in events:
            sent += [(name, units), ("credits_burned", units * CREDITS[name])]
        burned = int(counted(self.CATALOGUE, sent)["credits"])
        price = next(
            price for price in self.CATALOGUE.plan("PRO").prices if price.meter == "credits"
        )
        return burned, int(price.included) - burned  # type: ignore[attr-defined]

    def test_x_33_pro_runs_from_its_start_for_a_month(self) -> None:
        """2025-01-01 to 2025-02-01, with the catalogue as it is shipped."""
        books = billing.Books()
        books.send("PublishCatalogue", {"content": self.CATALOGUE.content})
        books.send("CreateCustomer", {"customer": "acme", "currency": "CAD"})
        body = {"subscription": "sub_1", "customer": "acme", "plan": "PRO"}
        answer = books.send("CreateSubscription", {**body, "start": "2025-01-01T00:00:00Z"})
        ((kind, fact),) = billing.bodies(answer)
        period = fact["period"]
        assert isinstance(period, dict)
        assert ("SubscriptionCreated", "2025-01-01T00:00:00Z", "2025-02-01T00:00:00Z") == (
            kind,
            period["start"],
            period["end"],
        )

    def test_x_34_12_units_of_tokens_burn_12_credits(self) -> None:
        assert (12, 999_988) == self.burned(("LLM_token_usage", 12))

    def test_x_35_then_a_frame_batch_burns_5(self) -> None:
        assert (17, 999_983) == self.burned(("LLM_token_usage", 12), ("vision_frame_batch", 1))

    def test_x_36_then_an_optimizer_job_burns_500(self) -> None:
        before = (("LLM_token_usage", 12), ("vision_frame_batch", 1))
        assert (517, 999_483) == self.burned(*before, ("optimizer_job", 1))

    def test_x_37_then_a_simulator_run_burns_1000(self) -> None:
        before = (("LLM_token_usage", 12), ("vision_frame_batch", 1), ("optimizer_job", 1))
        assert (1_517, 998_483) == self.burned(*before, ("simulator_run", 1))

    @pytest.mark.parametrize(
        ("tokens", "units"),
        [(0, "0"), (1, "1"), (1_000, "1"), (1_001, "2"), (11_001, "12"), (12_000, "12")],
    )
    def test_x_38_tokens_are_counted_in_started_thousands(self, tokens: int, units: str) -> None:
        """As the gateway sends them: the meter counts units (S1-29)."""
        body = {"tenant_id": "ann", "event_type": "LLM_token_usage", "tokens": tokens}
        sent = to_candidate(body, tenant="acme", idempotency_key="")  # type: ignore[arg-type]
        assert {"llm_tokens": units} == counted(
            self.CATALOGUE, [(str(sent.type_), str(sent.quantity))]
        )

    def test_x_39_250_frames_are_3_units_and_15_credits(self) -> None:
        body = {"tenant_id": "ann", "event_type": "vision_frame_batch", "frames": 250}
        sent = to_candidate(body, tenant="acme", idempotency_key="")  # type: ignore[arg-type]
        assert {"vision_frames": "3"} == counted(
            self.CATALOGUE, [(str(sent.type_), str(sent.quantity))]
        )
        assert 15 == self.burned(("vision_frame_batch", 3))[0]

    @pytest.mark.parametrize(
        ("plan", "assets", "used", "lines"),
        [
            ("PRO", "1200", "1500000", [900_000, 60_000, 100_000]),
            ("PRO", "1000", "1000000", [900_000, 0, 0]),
            ("STARTER", "250", "300000", [400_000, 15_000, 10_000]),
            ("ENTERPRISE", "3100", "5200000", [1_800_000, 25_000, 30_000]),
            ("CUSTOM", "5100", "10500000", [2_500_000, 20_000, 50_000]),
        ],
    )
    def test_x_42_to_x_46_invoices(
        self, plan: str, assets: str, used: str, lines: list[int]
    ) -> None:
        """Base, asset uplift, credit overage, in cents."""
        assert lines == invoice(self.CATALOGUE, plan, assets=assets, credits=used)

    def test_s1_r10_the_latest_asset_snapshot_counts(self) -> None:
        assert {"assets": "1200"} == counted(
            self.CATALOGUE, [("asset_snapshot", 1_300), ("asset_snapshots", 1_200)]
        )


class TestS2:
    CATALOGUE = example("s2_valueverse")

    def test_x_55_flat(self) -> None:
        assert [49_900] == invoice(self.CATALOGUE, "flat", api_calls="9999999")

    def test_x_56_per_unit(self) -> None:
        assert [100_000] == invoice(self.CATALOGUE, "per_unit", api_calls="500000")

    @pytest.mark.parametrize(
        ("used", "cents"), [("101", 100_960), ("250", 244_000), ("500", 469_000)]
    )
    def test_x_58_x_59_tiered(self, used: str, cents: int) -> None:
        assert [cents] == invoice(self.CATALOGUE, "tiered", api_calls=used)

    def test_x_61_hybrid(self) -> None:
        lines = invoice(self.CATALOGUE, "hybrid", storage_gb="1200", api_calls="1500000")
        assert ([900_000, 60_000, 100_000], 1_060_000) == (lines, sum(lines))


class TestS3:
    CATALOGUE = example("s3_dictamesh")

    def test_x_73_50_gb_are_53687091200_bytes(self) -> None:
        """A sender divides by 1024³, exactly: here a byte more still fits nine places."""
        assert 50 * 1024**3 == 53_687_091_200
        quantity = Decimal(53_687_091_200) / 1024**3
        assert {"storage_gb": "50"} == counted(self.CATALOGUE, [("storage", str(quantity))])

    def test_x_74_within_the_allowances_only_the_fee(self) -> None:
        used = {"api_calls": "1000000", "storage_gb": "50", "transfer_out_gb": "100"}
        assert [9_900, 0, 0, 0] == invoice(self.CATALOGUE, "starter", **used)

    def test_x_75_x_76_x_77_overage_at_the_high_end(self) -> None:
        used = {"api_calls": "1500000", "storage_gb": "60", "transfer_out_gb": "110"}
        assert [9_900, 500, 500, 500] == invoice(self.CATALOGUE, "starter", **used)

    def test_x_88_allowances_are_in_gb_of_1024(self) -> None:
        used = {"api_calls": "0", "storage_gb": "5120", "transfer_out_gb": "10240"}
        assert [249_900, 0, 0, 0] == invoice(self.CATALOGUE, "enterprise", **used)
        assert 50 == invoice(self.CATALOGUE, "enterprise", storage_gb="5121")[2]
        assert 50 == invoice(self.CATALOGUE, "professional", transfer_out_gb="1025")[3]

    def test_s3_r26_only_what_goes_out_is_charged(self) -> None:
        plan = self.CATALOGUE.plan("starter")
        assert "transfer_gb" not in {price.meter for price in plan.prices}

    def test_s3_36_storage_is_not_added_up_by_the_hour(self) -> None:
        assert Aggregation.LATEST is self.CATALOGUE.meter("storage_gb").aggregation


class TestS4:
    def test_x_96_usage_without_a_quantity_counts_1(self) -> None:
        """`logUsage(tenant, message)` as the gateway takes it (S4-17)."""
        body = {"tenant_id": "ann", "resource_type": "message"}
        sent = to_candidate(body, tenant="acme", idempotency_key="")  # type: ignore[arg-type]
        assert {"messages": "1"} == counted(
            example("s4_chatbot_billing"), [(str(sent.type_), str(sent.quantity))]
        )
