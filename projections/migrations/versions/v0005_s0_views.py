"""S0's tables as views: customers, emergence_events, billing_transactions.

They show what the books projected and hold nothing. They run as whoever asks (security_invoker),
so row level security of the tables below holds through them. Ids are cut to S0's 36 characters in
one way everywhere, so that the three still join; the full id stands beside them.
"""

from __future__ import annotations

from alembic import context, op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# ISO 4217 currencies whose minor unit is not a hundredth, as of this version; a later migration
# makes the views anew when the list changes.
_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DECIMALS = "CLF UYW"


def _list(codes: str) -> str:
    return ", ".join(f"'{code}'" for code in codes.split())


def _id(column: str) -> str:
    """Return an id in 36 characters: itself, or what its MD5 makes of a longer one."""
    return (
        f"(CASE WHEN length({column}) <= 36 THEN {column} ELSE 'md5:' || md5({column}) END)"
        "::varchar(36)"
    )


def _major(amount: str, currency: str) -> str:
    """Return minor units as S0's decimal (10,2); NULL for an amount that does not fit into it."""
    scaled = (
        f"{amount}::numeric / CASE WHEN {currency} IN ({_list(_NO_DECIMALS)}) THEN 1"
        f" WHEN {currency} IN ({_list(_THREE_DECIMALS)}) THEN 1000"
        f" WHEN {currency} IN ({_list(_FOUR_DECIMALS)}) THEN 10000 ELSE 100 END"
    )
    return f"(CASE WHEN abs({scaled}) < 99999999.995 THEN {scaled} END)::numeric(10, 2)"


# The value as it was judged stands in the evidence as text; decimal (3,2) is S0's own rounding of
# it (S0-R8: rules compare the raw value). NULL where the rules know no fit_score.
_RAW_SCORE = """(
    SELECT min((item.value -> 'values' ->> 'fit_score')::numeric)
    FROM jsonb_array_elements(charge.evidence) AS item (value)
    WHERE item.value -> 'values' ->> 'fit_score' ~ '^[0-9]{1,18}([.][0-9]{1,18})?$'
)"""

VIEWS: dict[str, str] = {
    # email is NULL: personal data has no place in the log, and its vault is not built yet. That no
    # two customers have the same address the books see by its digest.
    "customers": f"""
        SELECT
            {_id("customer.customer")} AS id,
            NULL::varchar(255) AS email,
            least(coalesce(wallet.available, 0), 2147483647)::integer AS credit_balance,
            coalesce({_major("wallet.total_spent_minor", "wallet.currency")}, 0)::numeric(10, 2)
                AS total_spent,
            customer.created_at,
            coalesce(wallet.currency, customer.currency) AS currency,
            customer.email_digest,
            customer.customer AS customer,
            customer.tenant
        FROM customer
        LEFT JOIN wallet
            ON wallet.tenant = customer.tenant AND wallet.customer = customer.customer
    """,  # noqa: S608 -- fixed texts only
    # A detection becomes an event here when the books have taken it up: from then on its customer
    # is known (S0-04). Not approved in time, withdrawn or reversed reads as rejected: nothing was
    # and nothing will be charged. A refund leaves the event as far as it came; its transaction
    # says refunded (S0-R13).
    "emergence_events": f"""
        SELECT
            {_id("charge.charge")} AS id,
            {_id("charge.customer")} AS customer_id,
            left(charge.tier, 50)::varchar(50) AS emergence_type,
            CASE WHEN scored.fit_score < 9.995 THEN scored.fit_score END::numeric(3, 2)
                AS fit_score,
            (CASE
                WHEN charge.delivered_at IS NOT NULL THEN 'delivered'
                WHEN charge.captured_at IS NOT NULL THEN 'billed'
                WHEN charge.status = 'approved' THEN 'approved'
                WHEN charge.status = 'requested' THEN 'emergence_detected'
                ELSE 'rejected'
            END)::varchar(20) AS status,
            charge.requested_at AS created_at,
            scored.fit_score AS fit_score_raw,
            charge.project,
            charge.generation,
            charge.tier,
            charge.customer AS customer,
            charge.tenant
        FROM charge
        CROSS JOIN LATERAL (SELECT {_RAW_SCORE} AS fit_score) AS scored
    """,  # noqa: S608 -- fixed texts only
    # Charges alone: a top-up or an adjustment has no emergence event to name.
    "billing_transactions": f"""
        SELECT
            {_id("wallet_transaction.transaction")} AS id,
            {_id("wallet_transaction.customer")} AS customer_id,
            {_id("wallet_transaction.charge")} AS emergence_event_id,
            least(wallet_transaction.credits, 2147483647)::integer AS credits_charged,
            {_major("wallet_transaction.amount_minor", "wallet_transaction.currency")}
                AS fiat_equivalent,
            left(wallet_transaction.status, 20)::varchar(20) AS status,
            wallet_transaction.recorded_at AS created_at,
            wallet_transaction.currency,
            nullif(wallet_transaction.receipt, '') AS receipt,
            wallet_transaction.tenant
        FROM wallet_transaction
        WHERE wallet_transaction.kind = 'charge'
    """,  # noqa: S608 -- fixed texts only
}


def upgrade() -> None:
    """Make the views, and the index by which revenue is read."""
    op.execute(f"SET LOCAL search_path = {context.config.attributes['schema']}, public")
    for view, query in VIEWS.items():
        op.execute(f"CREATE VIEW {view} WITH (security_invoker = true) AS {query}")
        op.execute(f"GRANT SELECT ON {view} TO tidegauge_app")
    op.execute("CREATE INDEX ON charge (tenant, captured_at) WHERE captured_at IS NOT NULL")
