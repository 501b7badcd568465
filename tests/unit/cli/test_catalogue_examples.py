"""The catalogues under deploy/catalogues say what the five systems demand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from cli.catalogue_file import check_file
from cli.catalogue_text import SCHEMA_LINE
from domain.aggregation.kinds import Aggregation
from domain.aggregation.measures import measured
from domain.aggregation.window_row import WindowRow
from domain.billing_terms import Cycle, Rounding
from domain.catalogue import Catalogue, parse_catalogue
from domain.catalogue_schema import schema_text
from domain.catalogue_versions import refused_changes
from domain.invoice_terms import InvoiceTerms
from domain.period import Interval
from domain.quantity import nanos_text, parse_nanos
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


JANUARY = billing.period("2025-01-01", "2025-02-01")


def usage_of(**used: str) -> list[WindowRow]:
    """Windows of January by meter; transfer went out."""
    return [
        billing.window(
            meter,
            value=quantity,
            dimensions={"direction": "out"} if meter == "transfer_gb" else {},
        )
        for meter, quantity in used.items()
    ]


def terms_of(catalogue: Catalogue, plan: str, *, seats: int = 1) -> InvoiceTerms:
    """Terms of January on a plan."""
    part = billing.segment(prices=catalogue, billed=JANUARY, plan_code=plan, seats=seats)
    return billing.terms_of(part, prices=catalogue)


def invoice(
    catalogue: Catalogue, plan: str, *rows: WindowRow, **used: str
) -> list[Fraction | int]:
    """The exact lines of a plan, in the order of the invoice."""
    lines = billing.rated(
        terms_of(catalogue, plan), prices=catalogue, rows=[*rows, *usage_of(**used)]
    )
    return [line.amount_exact for line in lines]


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
        assert {"string", "number"} == set(price["allOf"][2]["then"]["properties"]["rate"]["type"])


class TestNames:
    NAMES = (
        ("s0_bem_emergence", "node_update pulse"),
        (
            "s1_stigg_reliability",
            (
                "LLM_token_usage vision_frame_batch optimizer_job simulator_run asset_snapshot "
                "asset_sites asset_site"
            ),
        ),
        ("s2_valueverse", "api_call API_calls storage compute compute_hours custom"),
        (
            "s3_dictamesh",
            "api_call API_calls storage transfer query_processing adapters",
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
        found = counted(self.CATALOGUE, events)
        composite = self.CATALOGUE.composite("credits")
        assert composite is not None
        burned = sum(
            (weight * Fraction(found.get(meter, "0")) for meter, weight in composite.of),
            Fraction(0),
        )
        price = self.CATALOGUE.plan("PRO").price("credit_overage")
        assert price is not None
        return int(burned), int(price.included - burned)

    def test_s1_19_to_s1_22_weights_of_the_four_types(self) -> None:
        """Credits per unit: 1, 5, 500, 1,000."""
        assert CREDITS == {name: self.burned((name, 1))[0] for name in CREDITS}

    def test_x_33_pro_runs_from_its_start_for_a_month(self) -> None:
        """2025-01-01 to 2025-02-01, with the catalogue as it is shipped."""
        books = billing.Books()
        books.send("PublishCatalogue", {"content": self.CATALOGUE.content})
        books.send("CreateCustomer", {"customer": "acme", "currency": "CAD"})
        body = {"subscription": "sub_1", "customer": "acme", "plan": "PRO"}
        answer = books.send("CreateSubscription", {**body, "start": "2025-01-01T00:00:00Z"})
        ((kind, fact),) = billing.bodies(answer)
        document = fact["document"]
        assert isinstance(document, dict)
        period = document["period"]
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
            ("PRO", "1200", "1500000", [9_000, 600, 1_000]),  # X-42
            ("PRO", "1000", "1000000", [9_000, 0, 0]),  # X-43
            ("STARTER", "250", "300000", [4_000, 150, 100]),  # X-44
            ("ENTERPRISE", "3100", "5200000", [18_000, 250, 300]),  # X-45
            ("CUSTOM", "5100", "10500000", [25_000, 200, 500]),  # X-46
        ],
    )
    def test_x_42_to_x_46_invoices(
        self, plan: str, assets: str, used: str, lines: list[int]
    ) -> None:
        """Base, asset uplift, credit overage: credits of one type, and of all four together."""
        assert lines == invoice(self.CATALOGUE, plan, assets=assets, llm_tokens=used)
        mixed = {
            "llm_tokens": str(int(used) - 16_000),
            "vision_frames": "1000",
            "optimizer_jobs": "20",
            "simulator_runs": "1",
        }
        assert lines == invoice(self.CATALOGUE, plan, assets=assets, **mixed)

    def test_s1_23_a_new_type_is_a_meter_and_a_weight(self) -> None:
        """The next version may bring it; from then on two audits burn 2 x 40 credits more."""
        document = json.loads(self.CATALOGUE.content)
        document["version"] += 1
        meter = {"key": "audits", "event_type": "audit", "aggregation": "sum", "group_by": []}
        document["meters"].append({**meter, "unit": "audit"})
        document["composites"][0]["of"].append({"meter": "audits", "weight": "40"})
        after = parse_catalogue(json.dumps(document))
        assert refused_changes(before=self.CATALOGUE, after=after) == ()
        assert counted(after, [("audit", 2)])["audits"] == "2"
        _, _, before_it = invoice(self.CATALOGUE, "PRO", llm_tokens="1000000")
        _, _, with_it = invoice(after, "PRO", llm_tokens="1000000", audits="2")
        assert (before_it, with_it) == (0, Fraction("0.16"))

    def test_s1_37_tax_is_a_computed_line_of_0(self) -> None:
        """A rate of the catalogue, not a missing one."""
        assert [("standard", Decimal(0))] == [
            (tax.category, tax.rate) for tax in self.CATALOGUE.taxes
        ]

    def test_s1_r1_s1_r11_s1_r13_limits_and_flags_of_the_plans(self) -> None:
        """Sites at most, the popular plan, and who can have gain-share."""
        plans = {
            plan.code: (int(plan.limits[0].maximum), plan.is_popular, plan.has_gain_share)
            for plan in self.CATALOGUE.plans
        }
        assert {
            "STARTER": (1, False, False),
            "PRO": (3, True, False),
            "ENTERPRISE": (8, False, True),
            "CUSTOM": (15, False, True),
        } == plans

    def test_s1_r10_the_latest_asset_snapshot_counts(self) -> None:
        assert {"assets": "1200"} == counted(
            self.CATALOGUE, [("asset_snapshot", 1_300), ("asset_snapshots", 1_200)]
        )


class TestS2:
    CATALOGUE = example("s2_valueverse")

    @pytest.mark.parametrize("used", ["0", "9999999"])
    def test_x_55_flat(self, used: str) -> None:
        """Windows of a meter that the plan does not price change nothing."""
        assert [499] == invoice(self.CATALOGUE, "flat", api_calls=used)

    def test_x_56_per_unit(self) -> None:
        assert [1_000] == invoice(self.CATALOGUE, "per_unit", api_calls="500000")

    @pytest.mark.parametrize(
        ("used", "amount"), [("100", "1000"), ("101", "969.60"), ("250", "2400"), ("500", "4500")]
    )
    def test_x_57_x_59_volume(self, used: str, amount: str) -> None:
        assert [Fraction(amount)] == invoice(self.CATALOGUE, "volume", api_calls=used)

    @pytest.mark.parametrize(
        ("used", "amount"), [("101", "1009.60"), ("250", "2440"), ("500", "4690")]
    )
    def test_x_58_x_59_tiered(self, used: str, amount: str) -> None:
        assert [Fraction(amount)] == invoice(self.CATALOGUE, "tiered", api_calls=used)

    def test_x_60_package(self) -> None:
        assert [104] == invoice(self.CATALOGUE, "package", storage_gb="60")

    def test_x_61_hybrid(self) -> None:
        lines = invoice(self.CATALOGUE, "hybrid", storage_gb="1200", api_calls="1500000")
        assert [9_000, 600, 1_000, 10_600] == [*lines, sum(lines)]

    def test_x_67_a_yearly_total_above_decimal_10_2(self) -> None:
        """100 million a year and one cent more than DECIMAL(10,2) holds, to the cent."""
        calls = (100_000_000 - 10_000) * 500 + 5
        lines = invoice(
            self.CATALOGUE, "hybrid", storage_gb="1333.333333", api_calls=str(calls + 1_000_000)
        )
        assert Fraction("99990000.01") == lines[2]
        assert sum(lines) > Fraction("99999999.99")

    def test_samples_of_further_forms(self) -> None:
        """Matrix and block with a minimum, a percentage with bounds, bands."""
        rows = [
            billing.window(
                "compute_hours", value="10", dimensions={"region": "us", "size": "large"}
            ),
            billing.window(
                "compute_hours", value="10", dimensions={"region": "ap", "size": "huge"}
            ),
        ]
        assert [100, 0, 9, 10, 481] == invoice(
            self.CATALOGUE, "committed", *rows, custom_units="1001"
        )
        paid = [
            billing.window("payment_volume", value=value, dimensions={"value_band": band})
            for value, band in (("5", "0"), ("100", "1"), ("20000", "2"))
        ]
        assert [Fraction("294.09")] == invoice(self.CATALOGUE, "payments", *paid)
        assert [150] == invoice(self.CATALOGUE, "banded", api_calls="10001")


class TestS3:
    CATALOGUE = example("s3_dictamesh")

    def test_x_73_50_gb_are_53687091200_bytes(self) -> None:
        """A sender divides by 1024³, exactly: here a byte more still fits nine places."""
        assert 50 * 1024**3 == 53_687_091_200
        quantity = Decimal(53_687_091_200) / 1024**3
        assert {"storage_gb": "50"} == counted(self.CATALOGUE, [("storage", str(quantity))])

    def test_x_74_within_the_allowances_only_the_fee(self) -> None:
        used = {"api_calls": "1000000", "storage_gb": "50", "transfer_gb": "100"}
        assert [99, 0, 0, 0, 0] == invoice(self.CATALOGUE, "starter", **used)

    def test_x_75_x_76_x_77_overage_at_the_high_end(self) -> None:
        used = {"api_calls": "1500000", "storage_gb": "60", "transfer_gb": "110"}
        assert [99, 0, 5, 5, 5] == invoice(self.CATALOGUE, "starter", **used)

    def test_x_75_x_76_x_77_rates_at_the_low_end(self) -> None:
        """The last tiers: 500,000 calls, 10 GB and 10 GB more where the ladders end."""
        used = {"api_calls": "20000000000", "storage_gb": "20000", "transfer_gb": "20000"}
        more = {"api_calls": "20000500000", "storage_gb": "20010", "transfer_gb": "20010"}
        before, after = (invoice(self.CATALOGUE, "starter", **each) for each in (used, more))
        assert [0, 0, Fraction("0.0005"), 1, 1] == [
            late - early for early, late in zip(before, after, strict=True)
        ]

    def test_x_78_lines_of_the_high_end_sum_to_114(self) -> None:
        """Tax is the invoice's part."""
        used = {"api_calls": "1500000", "storage_gb": "60", "transfer_gb": "110"}
        assert 114 == sum(invoice(self.CATALOGUE, "starter", **used))

    def test_x_79_one_call_over_is_a_hundred_thousandth(self) -> None:
        """To 6 decimals, as its lines are rounded (S3-R2, S3-R3)."""
        line = invoice(self.CATALOGUE, "starter", api_calls="1000001")[2]
        assert Fraction("0.000010") == line
        assert 6 == terms_of(self.CATALOGUE, "starter").scale

    @pytest.mark.parametrize(
        ("plan", "lines"), [("starter", [99, 196]), ("enterprise", [2499, 796])]
    )
    def test_x_80_x_81_seats(self, plan: str, lines: list[int]) -> None:
        """Five seats, one of them included."""
        rated = billing.rated(terms_of(self.CATALOGUE, plan, seats=5), prices=self.CATALOGUE)
        assert lines == [line.amount_exact for line in rated[:2]]

    def test_x_88_allowances_are_in_gb_of_1024(self) -> None:
        used = {"storage_gb": "5120", "transfer_gb": "10240"}
        assert [2499, 0, 0, 0, 0] == invoice(self.CATALOGUE, "enterprise", **used)
        half = Fraction("0.50")
        assert half == invoice(self.CATALOGUE, "enterprise", storage_gb="5121")[3]
        assert half == invoice(self.CATALOGUE, "professional", transfer_gb="1025")[4]

    @pytest.mark.parametrize(
        ("plan", "year"), [("starter", 1_188), ("professional", 5_988), ("enterprise", 29_988)]
    )
    def test_x_89_annual_plans_are_twelve_months(self, plan: str, year: int) -> None:
        """Fees, seats, and what even usage of a year costs."""
        monthly, annual = (self.CATALOGUE.plan(code) for code in (plan, f"{plan}_annual"))
        assert (Interval.MONTH, Interval.YEAR) == (monthly.interval, annual.interval)
        used = {"api_calls": 300_000_000, "storage_gb": 20_000, "transfer_gb": 15_000}
        month = invoice(self.CATALOGUE, plan, **{key: str(each) for key, each in used.items()})
        a_year = {
            key: str(each if key == "storage_gb" else 12 * each) for key, each in used.items()
        }
        whole = invoice(self.CATALOGUE, f"{plan}_annual", **a_year)
        assert year == whole[0]
        assert [12 * each for each in month] == whole
        seats = [each.price("seats") for each in (monthly, annual)]
        assert 12 * seats[0].amount == seats[1].amount  # type: ignore[union-attr]

    def test_s3_r11_free_pays_overage_too(self) -> None:
        """10,000 calls beyond the 10,000 of the plan: 10 x 0.01; within them nothing."""
        assert invoice(self.CATALOGUE, "free", api_calls="10000") == [0, 0, 0, 0]
        assert invoice(self.CATALOGUE, "free", api_calls="20000")[1] == Fraction("0.10")

    def test_s3_r26_only_what_goes_out_is_charged(self) -> None:
        rows = [
            billing.window("transfer_gb", value="500", dimensions={"direction": "in"}),
            billing.window("transfer_gb", value="110", dimensions={"direction": "out"}),
        ]
        assert 5 == invoice(self.CATALOGUE, "starter", *rows)[4]

    def test_s3_36_storage_is_not_added_up_by_the_hour(self) -> None:
        assert Aggregation.LATEST is self.CATALOGUE.meter("storage_gb").aggregation

    def test_s3_28_to_s3_31_terms_of_invoices(self) -> None:
        """10 %, INV-, 30 days, USD, lines to 6 decimals."""
        billing_terms = self.CATALOGUE.billing
        assert (Rounding.INVOICE, 30, "USD", "INV-", Decimal(10)) == (
            billing_terms.rounding,
            billing_terms.due_days,
            billing_terms.default_currency,
            billing_terms.sellers[0].prefix,
            self.CATALOGUE.taxes[0].rate,
        )


class TestS4:
    def test_x_96_usage_without_a_quantity_counts_1(self) -> None:
        """`logUsage(tenant, message)` as the gateway takes it (S4-17)."""
        body = {"tenant_id": "ann", "resource_type": "message"}
        sent = to_candidate(body, tenant="acme", idempotency_key="")  # type: ignore[arg-type]
        assert {"messages": "1"} == counted(
            example("s4_chatbot_billing"), [(str(sent.type_), str(sent.quantity))]
        )

    def test_s4_r20_pays_in_brl(self) -> None:
        """Boleto and PIX are Brazilian."""
        catalogue = example("s4_chatbot_billing")
        assert {plan.currency for plan in catalogue.plans} == {"BRL"}
        assert catalogue.billing.default_currency == "BRL"

    def test_s4_06_s4_07_plan_types_and_cycles(self) -> None:
        """Five types, four cycles, a trial; S4 makes no invoices by itself (C-10)."""
        catalogue = example("s4_chatbot_billing")
        codes = {plan.code for plan in catalogue.plans}
        assert {"free", "starter", "professional", "enterprise", "custom"} <= codes
        assert set(Interval) == {plan.interval for plan in catalogue.plans}
        assert [14] == sorted({plan.trial_days for plan in catalogue.plans if plan.trial_days})
        assert not catalogue.billing.auto_invoice
        assert Cycle.CALENDAR is catalogue.billing.cycle
