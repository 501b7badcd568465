"""S3 through the real pipeline, and the tables of S3 and S4 under their names."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cli.catalogue_file import read_catalogue_file
from domain.canonical import from_json
from domain.period import add_months
from projections.invoicing.outcomes import await_projected
from projections.migrations.versions.v0013_s3_s4_views import VIEWS
from runtime.postgres import connect
from tests.support.pipeline_world import START, TENANT, Event, World, running_world

CATALOGUE = Path(__file__).parents[3] / "deploy" / "catalogues" / "s3_dictamesh.yaml"
MONTH_END = add_months(START, months=1)


@pytest.fixture(scope="module")
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with running_world(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
        catalogue=from_json(read_catalogue_file(CATALOGUE)),
        name="test_s3_tables",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def invoice(world: World) -> str:
    """Bill Starter's month with overage of all three, pay it, and grant a credit."""
    world.subscribe("org", plan="starter")
    call, out = (("method", "POST"), ("path", "/graphql")), (("direction", "out"),)
    world.send_usage(
        "org",
        [
            Event("calls", "api_call", "1500000", dimensions=call),
            Event("storage", "storage", "60"),
            Event("out", "transfer", "110", dimensions=out),
        ],
    )
    (billed,) = world.bill("org", as_of=MONTH_END + timedelta(days=1))
    assert billed.code == ""
    world.act(
        "RecordPayment",
        payment="pay_1",
        invoice=billed.invoice,
        amount_minor=12_540,
        currency="USD",
        method="wire",
    )
    world.act(
        "GrantAccountCredit",
        credit="crd_1",
        customer="org",
        amount_minor=2_000,
        currency="USD",
        reason="goodwill",
    )
    await_projected(world.settings, tenant=TENANT)
    return billed.invoice


def test_x_78_starter_with_overage_at_the_high_end(world: World, invoice: str) -> None:
    """99 + 5 + 5 + 5 = 114.00, and 10 % tax: 125.40. From events to the paid invoice."""
    lines = world.rows(
        "SELECT description, metric_type, quantity, amount FROM"
        " dictamesh_billing_invoice_line_items WHERE invoice_id = %s AND amount > 0"
        " ORDER BY position",
        invoice,
    )
    assert lines == [
        ("Plan fee", None, 1, Decimal(99)),
        ("API calls", "api_calls", 1_500_000, Decimal(5)),
        ("Storage", "storage_gb", 60, Decimal(5)),
        ("Transfer out", "transfer_gb", 110, Decimal(5)),
    ]
    heads = world.rows(
        "SELECT left(invoice_number, 4), organization_id, subscription_id, status, currency,"
        " subtotal_minor, tax_minor, total_minor, amount_due_minor, due_date - issued_at"
        " FROM dictamesh_billing_invoices WHERE id = %s",
        invoice,
    )
    assert heads == [
        ("INV-", "org", "sub_org", "paid", "USD", 11_400, 1_140, 12_540, 0, timedelta(days=30))
    ]


@pytest.mark.usefixtures("invoice")
class TestTables:
    """Views of v0013."""

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("SELECT id, currency FROM dictamesh_billing_organizations", [("org", "USD")]),
            (
                (
                    "SELECT id, price, price_per_seat, billing_interval FROM"
                    " dictamesh_billing_subscription_plans WHERE billing_interval = 'month'"
                    " ORDER BY price"
                ),
                [
                    ("free", 0, None, "month"),
                    ("starter", 99, 49, "month"),
                    ("professional", 499, 99, "month"),
                    ("enterprise", 2499, 199, "month"),
                ],
            ),
            (
                (
                    "SELECT id, organization_id, plan_id, status, quantity, current_period_start,"
                    " current_period_end FROM dictamesh_billing_subscriptions"
                ),
                [
                    (
                        *("sub_org", "org", "starter", "active", 1),
                        *(MONTH_END, add_months(START, months=2)),
                    )
                ],
            ),
            (
                (
                    "SELECT organization_id, metric_type, quantity, metadata ->> 'path',"
                    " period_start, period_end FROM dictamesh_billing_usage_metrics"
                    " WHERE metric_type = 'api_calls'"
                ),
                [("org", "api_calls", 1_500_000, "/graphql", START, START + timedelta(hours=1))],
            ),
            (
                (
                    "SELECT organization_id, status, currency, amount_minor, payment_method"
                    " FROM dictamesh_billing_payments"
                ),
                [("org", "succeeded", "USD", 12_540, "wire")],
            ),
            (
                (
                    "SELECT from_quantity, up_to_quantity, rate, amount, fee, per_units,"
                    " included_quantity, mode"
                    " FROM dictamesh_billing_pricing_tiers"
                    " WHERE plan_id = 'starter' AND price_key = 'storage' ORDER BY tier"
                ),
                [
                    (0, 1024, Decimal("0.50"), None, None, 1, 50, "graduated"),
                    (1024, 10240, Decimal("0.25"), None, None, 1, 50, "graduated"),
                    (10240, None, Decimal("0.10"), None, None, 1, 50, "graduated"),
                ],
            ),
            (
                (
                    "SELECT organization_id, status, currency, balance_minor"
                    " FROM dictamesh_billing_credits"
                ),
                [("org", "active", "USD", 2_000)],
            ),
            (
                "SELECT action, outcome FROM dictamesh_billing_audit_log ORDER BY id",
                [
                    (action, "accepted")
                    for action in (
                        *("PublishCatalogue", "CreateCustomer", "CreateSubscription"),
                        *("FinalizeInvoice", "RecordPayment", "GrantAccountCredit"),
                    )
                ],
            ),
        ],
    )
    def test_s3_01_to_s3_10_stand_under_their_names(
        self, world: World, query: str, found: list[tuple[Any, ...]]
    ) -> None:
        """And hold what S3 says they do."""
        assert world.rows(query) == found

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            (
                (
                    "SELECT tenant_id, resource_type, quantity, metadata ->> 'direction',"
                    " created_at"
                    " FROM usage_logs WHERE resource_type = 'transfer_gb'"
                ),
                [("org", "transfer_gb", 110, "out", START)],
            ),
            (
                "SELECT tenant_id, plan_type, billing_cycle, status FROM subscriptions",
                [("org", "starter", "monthly", "active")],
            ),
            (
                (
                    "SELECT tenant_id, status, amount_minor, line_items -> 0 ->> 'description'"
                    " FROM invoices"
                ),
                [("org", "paid", 12_540, "Plan fee")],
            ),
        ],
    )
    def test_s4_01_s4_06_s4_09_stand_under_their_names(
        self, world: World, query: str, found: list[tuple[Any, ...]]
    ) -> None:
        """Usage log, subscriptions and invoices."""
        assert world.rows(query) == found

    @pytest.mark.parametrize("view", sorted(VIEWS))
    def test_s4_88_show_a_foreign_tenant_nothing(self, world: World, view: str) -> None:
        """Row level security holds through every view, and the tenant itself sees rows."""
        assert world.rows(f"SELECT count(*) FROM {view}") != [(0,)]
        with connect(world.settings, role="app") as connection:
            connection.execute("SELECT set_config('tidegauge.tenant', 'another', true)")
            seen = connection.execute(f"SELECT count(*) FROM {view}".encode())
            assert seen.fetchall() == [(0,)]
