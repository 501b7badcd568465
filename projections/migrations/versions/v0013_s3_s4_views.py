"""Views with the names of S3 and S4, for whoever reads SQL (S3-01 to S3-10, S4-01, S4-06, S4-09).

Amounts of money are whole minor units beside their currency; lines and rates are exact decimals in
major units. Statuses of invoices are pending, paid, overdue and cancelled (C-11). S4's quotas,
payment methods and notifications have no view: nothing here knows them yet.
"""

from __future__ import annotations

from alembic import context, op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_NEWEST = """
    SELECT DISTINCT ON (tenant) tenant, version, content::jsonb AS content
    FROM catalogue ORDER BY tenant, version DESC
"""
_INVOICE_STATUS = """
    CASE invoice.status WHEN 'final' THEN 'pending' WHEN 'void' THEN 'cancelled'
        ELSE invoice.status END
"""
# What time has made of the status since the last change, by the tenant's own time.
_SUBSCRIPTION_STATUS = """
    CASE
        WHEN sub.ends_at <= coalesce(clock.now_at, now()) THEN 'cancelled'
        WHEN sub.starts_at > coalesce(clock.now_at, now()) THEN 'scheduled'
        WHEN sub.trial_ends_at > coalesce(clock.now_at, now()) THEN 'trialing'
        WHEN sub.status = 'paused' THEN 'paused'
        ELSE 'active'
    END
"""

VIEWS: dict[str, str] = {
    # Names and addresses are sealed; docs/personal-data.md says who may see them.
    "dictamesh_billing_organizations": """
        SELECT customer AS id, currency, seller, created_at, changed_at AS updated_at, tenant
        FROM customer
    """,
    "dictamesh_billing_subscription_plans": f"""
        SELECT
            sold ->> 'code' AS id,
            sold ->> 'name' AS name,
            sold ->> 'currency' AS currency,
            coalesce(sold ->> 'interval', 'month') AS billing_interval,
            (SELECT coalesce(sum((price ->> 'amount')::numeric), 0)
             FROM jsonb_array_elements(sold -> 'prices') AS price
             WHERE price ->> 'form' = 'flat') AS price,
            (SELECT sum((price ->> 'amount')::numeric)
             FROM jsonb_array_elements(sold -> 'prices') AS price
             WHERE price ->> 'form' = 'seats') AS price_per_seat,
            newest.version AS catalogue_version,
            newest.tenant
        FROM ({_NEWEST}) AS newest
        CROSS JOIN LATERAL jsonb_array_elements(coalesce(newest.content -> 'plans', '[]')) AS sold
    """,  # noqa: S608 -- fixed texts only
    "dictamesh_billing_subscriptions": f"""
        SELECT
            sub.subscription AS id,
            sub.customer AS organization_id,
            sub.plan AS plan_id,
            {_SUBSCRIPTION_STATUS} AS status,
            sub.currency,
            sub.period_start AS current_period_start,
            sub.period_end AS current_period_end,
            sub.seats AS quantity,
            sub.created_at,
            sub.tenant
        FROM subscription AS sub
        LEFT JOIN tenant_clock AS clock ON clock.tenant = sub.tenant
    """,  # noqa: S608 -- fixed texts only
    # A row per hour and series; what a meter comes to goes by its aggregation.
    "dictamesh_billing_usage_metrics": """
        SELECT
            md5(s.series::text || ' ' || extract(epoch FROM w.hour)::bigint) AS id,
            s.customer AS organization_id,
            s.meter AS metric_type,
            s.dimensions AS metadata,
            w.sum AS quantity,
            w.latest,
            w.max,
            w.events,
            w.hour AS period_start,
            w.hour + interval '1 hour' AS period_end,
            s.tenant
        FROM usage_series AS s
        JOIN usage_window AS w ON w.tenant = s.tenant AND w.series = s.series
    """,
    "dictamesh_billing_invoices": f"""
        SELECT
            invoice.invoice AS id,
            invoice.number AS invoice_number,
            invoice.customer AS organization_id,
            nullif(invoice.subscription, '') AS subscription_id,
            {_INVOICE_STATUS} AS status,
            invoice.currency,
            invoice.subtotal_minor,
            invoice.discount_minor,
            invoice.credit_minor,
            invoice.tax_minor,
            invoice.total_minor,
            invoice.paid_minor,
            invoice.open_minor AS amount_due_minor,
            invoice.period_start,
            invoice.period_end,
            invoice.issued_at,
            invoice.due_at AS due_date,
            invoice.tenant
        FROM invoice
    """,  # noqa: S608 -- fixed texts only
    "dictamesh_billing_invoice_line_items": """
        SELECT
            line.invoice || ' ' || line.id AS id,
            line.invoice AS invoice_id,
            line.line AS position,
            line.kind AS item_type,
            line.label AS description,
            nullif(line.meter, '') AS metric_type,
            line.quantity,
            line.amount,
            line.net,
            line.tax AS tax_category,
            line.service_start AS period_start,
            line.service_end AS period_end,
            line.tenant
        FROM invoice_line AS line
    """,
    "dictamesh_billing_payments": """
        SELECT
            payment AS id,
            invoice AS invoice_id,
            customer AS organization_id,
            'succeeded' AS status,
            currency,
            amount_minor,
            refunded_minor,
            method AS payment_method,
            reference,
            paid_at,
            recorded_at AS created_at,
            tenant
        FROM payment
    """,
    # Where tiers begin is above the allowance; the last one has no end.
    "dictamesh_billing_pricing_tiers": f"""
        SELECT
            sold ->> 'code' AS plan_id,
            price ->> 'key' AS price_key,
            price ->> 'meter' AS metric_type,
            price ->> 'form' AS mode,
            place AS tier,
            coalesce(lag((tier ->> 'up_to')::numeric) OVER (
                PARTITION BY newest.tenant, sold ->> 'code', price ->> 'key' ORDER BY place
            ), 0) AS from_quantity,
            (tier ->> 'up_to')::numeric AS up_to_quantity,
            (tier ->> 'rate')::numeric AS rate,
            (tier ->> 'amount')::numeric AS amount,
            (tier ->> 'fee')::numeric AS fee,
            coalesce((price ->> 'per')::numeric, 1) AS per_units,
            coalesce((price ->> 'included')::numeric, 0) AS included_quantity,
            newest.tenant
        FROM ({_NEWEST}) AS newest
        CROSS JOIN LATERAL jsonb_array_elements(coalesce(newest.content -> 'plans', '[]')) AS sold
        CROSS JOIN LATERAL jsonb_array_elements(coalesce(sold -> 'prices', '[]')) AS price
        CROSS JOIN LATERAL jsonb_array_elements(price -> 'tiers')
            WITH ORDINALITY AS x (tier, place)
    """,  # noqa: S608 -- fixed texts only
    "dictamesh_billing_credits": """
        SELECT
            customer AS organization_id,
            CASE WHEN balance_minor > 0 THEN 'active' ELSE 'used' END AS status,
            currency,
            balance_minor,
            tenant
        FROM account_credit
    """,
    # One row per command, refused ones too; the log itself is the trail, and says who asked.
    "dictamesh_billing_audit_log": """
        SELECT
            source_offset AS id,
            kind AS action,
            command_id,
            CASE WHEN code = '' THEN 'accepted' ELSE 'refused' END AS outcome,
            code,
            reason,
            repeat AS is_repeat,
            received_at AS created_at,
            tenant
        FROM command_outcome
    """,
    # A row per hour and series, as above; single events stand on the log with all their metadata.
    "usage_logs": """
        SELECT
            md5(s.series::text || ' ' || extract(epoch FROM w.hour)::bigint) AS id,
            s.customer AS tenant_id,
            s.meter AS resource_type,
            w.sum AS quantity,
            s.dimensions AS metadata,
            w.events,
            w.hour AS created_at,
            s.tenant
        FROM usage_series AS s
        JOIN usage_window AS w ON w.tenant = s.tenant AND w.series = s.series
    """,
    "subscriptions": f"""
        SELECT
            sub.subscription AS id,
            sub.customer AS tenant_id,
            sub.plan AS plan_type,
            CASE sub.interval WHEN 'month' THEN 'monthly' WHEN 'quarter' THEN 'quarterly'
                WHEN 'year' THEN 'yearly' ELSE sub.interval END AS billing_cycle,
            {_SUBSCRIPTION_STATUS} AS status,
            sub.trial_ends_at,
            sub.period_start AS current_period_start,
            sub.period_end AS current_period_end,
            sub.ends_at AS cancelled_at,
            sub.created_at,
            sub.tenant
        FROM subscription AS sub
        LEFT JOIN tenant_clock AS clock ON clock.tenant = sub.tenant
    """,  # noqa: S608 -- fixed texts only
    "invoices": f"""
        SELECT
            invoice.invoice AS id,
            invoice.number AS invoice_number,
            invoice.customer AS tenant_id,
            nullif(invoice.subscription, '') AS subscription_id,
            {_INVOICE_STATUS} AS status,
            invoice.currency,
            invoice.total_minor AS amount_minor,
            (SELECT jsonb_agg(jsonb_build_object('description', line.label,
                'quantity', line.quantity::text, 'amount', line.amount::text) ORDER BY line.line)
             FROM invoice_line AS line
             WHERE line.tenant = invoice.tenant AND line.invoice = invoice.invoice) AS line_items,
            NULL::text AS external_id,
            invoice.due_at AS due_date,
            invoice.issued_at AS created_at,
            invoice.tenant
        FROM invoice
    """,  # noqa: S608 -- fixed texts only
}
"""View → query."""


def upgrade() -> None:
    """Make the views; each reader sees the rows of its tenant."""
    op.execute(f"SET LOCAL search_path = {context.config.attributes['schema']}, public")
    for view, query in VIEWS.items():
        op.execute(f"CREATE VIEW {view} WITH (security_invoker = true) AS {query}")
        op.execute(f"GRANT SELECT ON {view} TO tidegauge_app")
