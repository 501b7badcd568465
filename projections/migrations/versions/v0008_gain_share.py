"""Baselines, measurements and gain-share runs, and S1's tables and views under S1's names.

Every row is a function of account.facts. A measurement is never changed: another value for its day
is one more row, and the one with the highest offset is in force, so the report of an old run can
be read again with what was in force then (S1-113).

The views (S1-01 … S1-11) show what is projected and hold nothing; they run as whoever asks
(security_invoker), so row level security holds through them. The tenant of S1 is our customer.
Plans are what the catalogue's JSON says of the meters `assets` and `credits` and the limit
`sites`; prices that a customer has differently, free units and parts of a period are the API's
business (/subscriptions/{id}/allowances). Money is in CAD: plans and invoices in another currency
are not shown. usage_events has a row per hour and series, not per event: single events stand on
the log and in its archive, and `invoice trace` opens them.
"""

from __future__ import annotations

from alembic import context, op

from projections.migrations.versions.v0001_spine import TEXT, protect

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES: dict[str, str] = {
    "kpi_baseline": f"""
        tenant {TEXT},
        baseline {TEXT},
        customer {TEXT},
        metric {TEXT},
        baseline_value numeric(36, 18) NOT NULL,
        cost_per_unit numeric(36, 18) NOT NULL,
        multiplier numeric(36, 18) NOT NULL,
        effective_from date NOT NULL,
        recorded_by text NOT NULL,
        recorded_at timestamptz NOT NULL,
        recorded_offset bigint NOT NULL,
        PRIMARY KEY (tenant, baseline),
        FOREIGN KEY (tenant, customer) REFERENCES customer (tenant, customer)
    """,
    "kpi_measurement": f"""
        tenant {TEXT},
        customer {TEXT},
        metric {TEXT},
        measured_on date NOT NULL,
        recorded_offset bigint NOT NULL,
        value numeric(36, 18) NOT NULL,
        recorded_by text NOT NULL,
        recorded_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, customer, metric, measured_on, recorded_offset),
        FOREIGN KEY (tenant, customer) REFERENCES customer (tenant, customer)
    """,
    # item is the id under which the fee waits for its invoice; empty where there is none.
    "gain_share_run": f"""
        tenant {TEXT},
        run {TEXT},
        customer {TEXT},
        period_start date NOT NULL,
        period_end date NOT NULL,
        currency {TEXT},
        share_pct numeric(36, 18) NOT NULL,
        savings_minor bigint NOT NULL CHECK (savings_minor >= 0),
        fee_minor bigint NOT NULL CHECK (fee_minor >= 0),
        status {TEXT},
        report text NOT NULL,
        report_sha256 {TEXT},
        requested_by text NOT NULL,
        requested_at timestamptz NOT NULL,
        requested_offset bigint NOT NULL,
        decided_by text NOT NULL,
        decided_at timestamptz,
        reason text NOT NULL,
        item {TEXT},
        PRIMARY KEY (tenant, run),
        FOREIGN KEY (tenant, customer) REFERENCES customer (tenant, customer)
    """,
}

INDEXES: tuple[str, ...] = (
    "kpi_baseline (tenant, customer, metric, effective_from)",
    "gain_share_run (tenant, requested_at, run)",
    "gain_share_run (tenant, customer, requested_at)",
)

_DIMENSIONS = "coalesce(nullif(sub.document, '')::jsonb -> 'dimensions', '{}')"
_LATEST_VERSION = """
    SELECT DISTINCT ON (tenant) tenant, version, content::jsonb AS content
    FROM catalogue ORDER BY tenant, version DESC
"""


def _price_over(meter: str, field: str) -> str:
    """Return a field of a plan's price over a meter; NULL where the plan has none."""
    return (
        f"(SELECT (price ->> '{field}')::numeric"  # noqa: S608 -- fixed texts only
        " FROM jsonb_array_elements(sold -> 'prices') WITH ORDINALITY AS x (price, place)"
        f" WHERE price ->> 'meter' = '{meter}' ORDER BY place LIMIT 1)"
    )


def _rate_over(meter: str) -> str:
    return f"{_price_over(meter, 'rate')} / coalesce({_price_over(meter, 'per')}, 1)"


_SITES = """(
    SELECT (item ->> 'maximum')::numeric FROM jsonb_array_elements(sold -> 'limits') AS item
    WHERE item ->> 'key' = 'sites' LIMIT 1
)"""


def _lines(condition: str) -> str:
    """Return what the lines of an invoice come to that a condition takes."""
    return (
        "coalesce((SELECT sum(line.net) FROM invoice_line AS line"  # noqa: S608 -- fixed texts only
        " WHERE line.tenant = invoice.tenant AND line.invoice = invoice.invoice"
        f" AND {condition}), 0)::numeric(18, 2)"
    )


VIEWS: dict[str, str] = {
    # Version → meter → credits of a unit: what the composite `credits` is made of (S1-19 … S1-22).
    "s1_credit_weight": """
        SELECT
            catalogue.tenant,
            catalogue.version,
            part ->> 'meter' AS meter,
            meter ->> 'event_type' AS event_type,
            (part ->> 'weight')::numeric AS weight
        FROM catalogue
        CROSS JOIN LATERAL jsonb_array_elements(
            coalesce(catalogue.content::jsonb -> 'composites', '[]')) AS composite
        CROSS JOIN LATERAL jsonb_array_elements(composite -> 'of') AS part
        JOIN LATERAL jsonb_array_elements(catalogue.content::jsonb -> 'meters') AS meter
            ON meter ->> 'key' = part ->> 'meter'
        WHERE composite ->> 'key' = 'credits'
    """,
    "billing_plans": f"""
        SELECT
            sold ->> 'code' AS code,
            sold ->> 'name' AS name,
            (SELECT coalesce(sum((price ->> 'amount')::numeric), 0)
             FROM jsonb_array_elements(sold -> 'prices') AS price
             WHERE price ->> 'form' = 'flat') AS base_price_cad,
            {_price_over("assets", "included")} AS included_assets,
            {_price_over("credits", "included")} AS included_credits,
            {_rate_over("assets")} AS asset_uplift_cad,
            {_rate_over("credits")} AS overage_per_credit_cad,
            {_SITES} AS max_sites,
            coalesce((sold ->> 'is_popular')::boolean, false) AS is_popular,
            newest.version AS catalogue_version,
            newest.tenant
        FROM ({_LATEST_VERSION}) AS newest
        CROSS JOIN LATERAL jsonb_array_elements(coalesce(newest.content -> 'plans', '[]')) AS sold
        WHERE sold ->> 'currency' = 'CAD'
    """,  # noqa: S608 -- fixed texts only
    # Stripe's ids come with payments; nobody knows them yet.
    "billing_subscriptions": """
        SELECT
            subscription AS id,
            customer AS tenant_id,
            plan AS plan_code,
            status,
            period_start AS current_period_start,
            period_end AS current_period_end,
            NULL::text AS stripe_customer_id,
            NULL::text AS stripe_subscription_id,
            created_at,
            tenant
        FROM subscription
    """,
    # The open period: the one that is invoiced next, so an invoice resets the credits (S1-38).
    "v_subscription_credit_summary": f"""
        SELECT
            sub.subscription AS subscription_id,
            sub.customer AS tenant_id,
            sub.plan AS plan_code,
            sub.period_start,
            sub.period_end,
            figures.included_credits,
            figures.credits_used,
            greatest(figures.included_credits - figures.credits_used, 0) AS remaining_credits,
            greatest(figures.credits_used - figures.included_credits, 0) AS overage_credits,
            CASE
                WHEN figures.credits_used > figures.included_credits THEN 'OVERAGE'
                WHEN figures.credits_used > 0 AND figures.credits_used * 100
                    >= figures.included_credits * figures.warning_percent THEN 'LOW_CREDITS'
            END AS alert,
            sub.tenant
        FROM subscription AS sub
        JOIN catalogue
            ON catalogue.tenant = sub.tenant AND catalogue.version = sub.catalogue_version
        JOIN LATERAL jsonb_array_elements(catalogue.content::jsonb -> 'plans') AS sold
            ON sold ->> 'code' = sub.plan
        CROSS JOIN LATERAL (
            SELECT
                coalesce({_price_over("credits", "included")}, 0) AS included_credits,
                coalesce((catalogue.content::jsonb -> 'billing' ->> 'usage_warning_percent')
                    ::numeric, 80) AS warning_percent,
                coalesce((
                    SELECT sum(w.sum * weight.weight)
                    FROM s1_credit_weight AS weight
                    JOIN usage_series AS s ON s.tenant = weight.tenant
                        AND s.customer = sub.customer AND s.meter = weight.meter
                        AND s.dimensions @> {_DIMENSIONS}
                    JOIN usage_window AS w ON w.tenant = s.tenant AND w.series = s.series
                        AND w.hour >= sub.period_start AND w.hour < sub.period_end
                    WHERE weight.tenant = sub.tenant AND weight.version = sub.catalogue_version
                ), 0) AS credits_used
        ) AS figures
        WHERE {_price_over("credits", "included")} IS NOT NULL
    """,  # noqa: S608 -- fixed texts only
    "v_asset_latest": """
        SELECT DISTINCT ON (s.tenant, s.customer)
            s.customer AS tenant_id,
            w.latest AS asset_count,
            to_timestamp(w.latest_occurred_ms / 1000.0) AS captured_at,
            s.tenant
        FROM usage_series AS s
        JOIN usage_window AS w ON w.tenant = s.tenant AND w.series = s.series
        WHERE s.meter = 'assets'
        ORDER BY s.tenant, s.customer, w.hour DESC
    """,
    "subscription_limits": """
        SELECT
            credits.subscription_id,
            credits.tenant_id,
            credits.included_credits,
            credits.credits_used,
            credits.remaining_credits,
            credits.alert,
            plans.included_assets,
            latest.asset_count,
            plans.max_sites,
            sites.sites,
            coalesce(sites.sites > plans.max_sites, false) AS site_limit_exceeded,
            credits.period_end AS resets_at,
            credits.tenant
        FROM v_subscription_credit_summary AS credits
        LEFT JOIN billing_plans AS plans
            ON plans.tenant = credits.tenant AND plans.code = credits.plan_code
        LEFT JOIN v_asset_latest AS latest
            ON latest.tenant = credits.tenant AND latest.tenant_id = credits.tenant_id
            AND latest.captured_at >= credits.period_start
            AND latest.captured_at < credits.period_end
        LEFT JOIN LATERAL (
            SELECT w.latest AS sites
            FROM usage_series AS s
            JOIN usage_window AS w ON w.tenant = s.tenant AND w.series = s.series
            WHERE s.tenant = credits.tenant AND s.customer = credits.tenant_id
                AND s.meter = 'sites' AND w.hour >= credits.period_start
                AND w.hour < credits.period_end
            ORDER BY w.hour DESC LIMIT 1
        ) AS sites ON true
    """,
    "billing_invoices": f"""
        SELECT
            invoice.invoice AS id,
            invoice.number,
            invoice.subscription AS subscription_id,
            invoice.customer AS tenant_id,
            invoice.period_start,
            invoice.period_end,
            {_lines("line.kind IN ('fee', 'seats', 'add_on')")} AS base_cad,
            {_lines("line.kind = 'usage' AND line.meter = 'assets'")} AS assets_cad,
            {_lines("line.kind = 'usage' AND line.meter <> 'assets'")} AS usage_cad,
            {_lines("line.kind NOT IN ('fee', 'seats', 'add_on', 'usage')")} AS other_cad,
            (invoice.tax_minor::numeric / 100)::numeric(18, 2) AS tax_cad,
            (invoice.total_minor::numeric / 100)::numeric(18, 2) AS total_cad,
            CASE invoice.status WHEN 'final' THEN 'pending' WHEN 'void' THEN 'cancelled'
                ELSE invoice.status END AS status,
            NULL::text AS stripe_hosted_url,
            invoice.issued_at AS created_at,
            invoice.tenant
        FROM invoice
        WHERE invoice.currency = 'CAD'
    """,  # noqa: S608 -- fixed texts only
    "usage_events": f"""
        SELECT
            md5(s.series::text || ' ' || extract(epoch FROM w.hour)::bigint) AS id,
            s.customer AS tenant_id,
            (SELECT sub.subscription FROM subscription AS sub
             WHERE sub.tenant = s.tenant AND sub.customer = s.customer
                AND s.dimensions @> {_DIMENSIONS}
                AND (sub.starts_at IS NULL OR w.hour >= sub.starts_at)
                AND (sub.ends_at IS NULL OR w.hour < sub.ends_at)
             ORDER BY sub.subscription LIMIT 1) AS subscription_id,
            weight.event_type,
            w.sum AS units,
            w.sum * weight.weight AS credits,
            s.dimensions AS meta,
            w.events,
            w.hour AS created_at,
            s.tenant
        FROM usage_series AS s
        JOIN usage_window AS w ON w.tenant = s.tenant AND w.series = s.series
        JOIN ({_LATEST_VERSION}) AS newest ON newest.tenant = s.tenant
        JOIN s1_credit_weight AS weight ON weight.tenant = s.tenant
            AND weight.version = newest.version AND weight.meter = s.meter
    """,  # noqa: S608 -- fixed texts only
    "v_tenant_monthly_usage": """
        SELECT
            tenant_id,
            date_trunc('month', created_at AT TIME ZONE 'UTC')::date AS month,
            sum(credits) AS credits_used,
            sum(events)::bigint AS events,
            tenant
        FROM usage_events
        GROUP BY tenant, tenant_id, date_trunc('month', created_at AT TIME ZONE 'UTC')
    """,
    # The last snapshot of each hour, with the sites that were captured with it.
    "asset_snapshots": """
        SELECT
            md5(s.series::text || ' ' || w.latest_occurred_ms) AS id,
            s.customer AS tenant_id,
            w.latest AS asset_count,
            (SELECT coalesce(jsonb_object_agg(t.dimensions ->> 'site', v.latest), '{}')
             FROM usage_series AS t
             JOIN usage_window AS v ON v.tenant = t.tenant AND v.series = t.series
                AND v.hour = w.hour AND v.latest_occurred_ms = w.latest_occurred_ms
             WHERE t.tenant = s.tenant AND t.customer = s.customer AND t.meter = 'site_assets'
                AND t.dimensions ->> 'site' IS NOT NULL) AS site_breakdown,
            to_timestamp(w.latest_occurred_ms / 1000.0) AS captured_at,
            s.tenant
        FROM usage_series AS s
        JOIN usage_window AS w ON w.tenant = s.tenant AND w.series = s.series
        WHERE s.meter = 'assets'
    """,
    "kpi_baselines": """
        SELECT
            baseline AS id,
            customer AS tenant_id,
            metric,
            baseline_value,
            cost_per_unit,
            multiplier,
            effective_from,
            recorded_at AS created_at,
            tenant
        FROM kpi_baseline
    """,
    "gainshare_runs": """
        SELECT
            run AS id,
            customer AS tenant_id,
            period_start,
            period_end,
            share_pct,
            (savings_minor::numeric / 100)::numeric(18, 2) AS calculated_savings_cad,
            (fee_minor::numeric / 100)::numeric(18, 2) AS fee_cad,
            status,
            report::jsonb -> 'breakdown' AS savings_breakdown,
            requested_at AS created_at,
            decided_at,
            tenant
        FROM gain_share_run
        WHERE currency = 'CAD'
    """,
}
"""View → query, each after those it reads."""


def upgrade() -> None:
    """Make the tables of gain-share."""
    op.execute(f"SET LOCAL search_path = {context.config.attributes['schema']}, public")
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
    for index in INDEXES:
        op.execute(f"CREATE INDEX ON {index}")
    for table in TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO tidegauge_projector")
        op.execute(f"GRANT SELECT ON {table} TO tidegauge_app")
        protect(table)
    for view, query in VIEWS.items():
        op.execute(f"CREATE VIEW {view} WITH (security_invoker = true) AS {query}")
        op.execute(f"GRANT SELECT ON {view} TO tidegauge_app")
