"""S0's tables as views: fields, types, statuses, and whose rows they show (S0-01 to S0-04)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest

from runtime import postgres
from runtime.settings import Settings
from tests.support.api_world import Rows
from tests.support.emergence_rows import BLUEPRINT, EmergenceRows

TYPES = """
    SELECT a.attname::text, format_type(a.atttypid, a.atttypmod)
    FROM pg_attribute a WHERE a.attrelid = %s::regclass AND a.attnum > 0
"""
AT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def acme(settings: Settings) -> Iterator[EmergenceRows]:
    rows = Rows(settings)
    yield EmergenceRows(rows, "acme")
    rows.connection.close()


@pytest.fixture
def app(settings: Settings) -> Iterator[psycopg.Connection]:
    with postgres.connect(settings, role="app", autocommit=True) as connection:
        connection.execute("SELECT set_config('tidegauge.tenant', 'acme', false)")
        yield connection


def _event(app: psycopg.Connection) -> tuple[object, ...] | None:
    return app.execute("SELECT id, fit_score, status FROM emergence_events").fetchone()


class TestFields:
    """The tables of S0's section 3, name by name and type by type."""

    @pytest.mark.parametrize(
        ("view", "types"),
        [
            (
                "customers",
                {
                    "id": "character varying(36)",
                    "email": "character varying(255)",
                    "credit_balance": "integer",
                    "total_spent": "numeric(10,2)",
                },
            ),
            (
                "emergence_events",
                {
                    "id": "character varying(36)",
                    "customer_id": "character varying(36)",
                    "emergence_type": "character varying(50)",
                    "fit_score": "numeric(3,2)",
                    "status": "character varying(20)",
                },
            ),
            (
                "billing_transactions",
                {
                    "id": "character varying(36)",
                    "customer_id": "character varying(36)",
                    "emergence_event_id": "character varying(36)",
                    "credits_charged": "integer",
                    "fiat_equivalent": "numeric(10,2)",
                    "status": "character varying(20)",
                },
            ),
        ],
    )
    def test_have_s0s_types(
        self, owner: psycopg.Connection, view: str, types: dict[str, str]
    ) -> None:
        found: dict[str, str] = dict(owner.execute(TYPES, (view,)).fetchall())
        assert types == {name: found[name] for name in types}


class TestCustomers:
    def test_show_what_can_be_spent_and_what_was(
        self, acme: EmergenceRows, app: psycopg.Connection
    ) -> None:
        """S0-01, S0-R12; the e-mail waits for the vault of personal data."""
        acme.customer("new")
        acme.customer("spender", available=20, held=30, spent_minor=75_000)
        rows = app.execute(
            "SELECT id, email, credit_balance, total_spent FROM customers ORDER BY id"
        ).fetchall()
        assert [
            ("new", None, 100, Decimal("0.00")),
            ("spender", None, 20, Decimal("750.00")),
        ] == rows

    @pytest.mark.parametrize(
        ("currency", "minor", "shown"),
        [("JPY", 1_499, "1499.00"), ("BHD", 1_499, "1.50"), ("PHP", 10**13, "0.00")],
    )
    def test_show_every_currency_in_major_units_and_never_fail(
        self, acme: EmergenceRows, app: psycopg.Connection, currency: str, minor: int, shown: str
    ) -> None:
        """An amount that S0's type cannot hold must not take the whole view away."""
        acme.customer("c", currency=currency, spent_minor=minor)
        assert (Decimal(shown),) == app.execute("SELECT total_spent FROM customers").fetchone()


class TestEvents:
    @pytest.mark.parametrize(
        ("status", "shown"),
        [
            ("requested", "emergence_detected"),
            ("approved", "approved"),
            ("captured", "billed"),
            ("delivered", "delivered"),
            ("refunded", "billed"),
            ("declined", "rejected"),
            ("expired", "rejected"),
            ("withdrawn", "rejected"),
        ],
    )
    def test_go_through_s0s_statuses(
        self, acme: EmergenceRows, app: psycopg.Connection, status: str, shown: str
    ) -> None:
        """S0-R13."""
        acme.customer("c")
        charge = acme.charge("c", status=status)
        assert (charge, Decimal("0.95"), shown) == _event(app)

    @pytest.mark.parametrize(
        ("values", "score", "raw"),
        [
            ([{"fit_score": "0.899"}], "0.90", "0.899"),
            ([{"fit_score": "0.97"}, {"fit_score": "0.91"}], "0.91", "0.91"),
            ([{"solved": "true"}], None, None),
            ([{"fit_score": "9.996"}], None, "9.996"),
            ([{"fit_score": "much"}], None, None),
        ],
    )
    def test_show_the_weakest_score_of_their_evidence(
        self,
        acme: EmergenceRows,
        app: psycopg.Connection,
        values: list[dict[str, str]],
        score: str | None,
        raw: str | None,
    ) -> None:
        """S0-R8: rounded for show here, raw beside it; other rules know no score."""
        acme.customer("c")
        acme.charge("c", evidence=[{"tier": "t", "values": item} for item in values])
        found = app.execute("SELECT fit_score, fit_score_raw FROM emergence_events").fetchone()
        assert tuple(None if text is None else Decimal(text) for text in (score, raw)) == found


class TestTransactions:
    def test_lead_back_to_event_and_customer(
        self, acme: EmergenceRows, app: psycopg.Connection
    ) -> None:
        """S0-04, with an id longer than S0's 36 characters, too."""
        customer = "customer of a very long name indeed " * 3
        acme.customer(customer)
        charge = acme.charge(customer, BLUEPRINT, status="captured", at=AT)
        acme.transaction(customer, "charge", charge=charge)
        acme.transaction(customer, "top_up", credits_=100, amount_minor=100_000)
        found = app.execute(
            "SELECT c.customer, e.emergence_type, t.credits_charged, t.fiat_equivalent, t.status"
            " FROM billing_transactions t"
            " JOIN emergence_events e ON e.id = t.emergence_event_id"
            " JOIN customers c ON c.id = t.customer_id AND c.id = e.customer_id"
        ).fetchall()
        assert [(customer, "blueprint_package", 50, Decimal("500.00"), "completed")] == found

    def test_that_name_an_unknown_event_or_customer_cannot_be_stored(
        self, acme: EmergenceRows
    ) -> None:
        """S0-04."""
        acme.customer("c")
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            acme.transaction("c", "charge", charge="emg_nobody")
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            acme.charge("nobody")


class TestTenants:
    def test_see_their_own_rows_alone(
        self, acme: EmergenceRows, app: psycopg.Connection, settings: Settings
    ) -> None:
        """Row level security holds through the views."""
        acme.customer("mine")
        acme.transaction("mine", "charge", charge=acme.charge("mine"))
        for view in ("customers", "emergence_events", "billing_transactions"):
            count = f"SELECT count(*) FROM {view}".encode()
            assert (1,) == app.execute(count).fetchone()
            with postgres.connect(settings, role="app", autocommit=True) as stranger:
                assert (0,) == stranger.execute(count).fetchone()
                stranger.execute("SELECT set_config('tidegauge.tenant', 'other', false)")
                assert (0,) == stranger.execute(count).fetchone()
