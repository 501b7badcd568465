"""A world for the API: rows as a projector writes them, and books that answer at once."""

import decimal
import functools
import itertools
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal

import psycopg
from fastapi.testclient import TestClient
from psycopg import sql
from psycopg.types.json import Jsonb

from api.app import create_app
from api.backend import backend_on
from domain.billing_terms import Cycle, Fees
from domain.books.customer import Customer
from domain.books.facts import Outcome, fields_of_fact
from domain.books.fold import BooksFold
from domain.books.records import Command, CommandRecord
from domain.books.subscription import Phase, Subscription
from domain.canonical import Json, sha256_hex, to_canonical_json
from domain.period import Interval, Period, from_ms
from projections.account_binding import PROJECTIONS
from projections.books import outcomes
from projections.books.rows import Booking
from runtime import postgres
from runtime.node_events import NodeEvent
from runtime.settings import Settings
from runtime.web.keys import NewApiKey, new_api_key

EXACT = decimal.Context(prec=120, traps=[decimal.Inexact, decimal.InvalidOperation])
"""Adds without losing a digit: a sum of windows has up to 38 of them."""
RECEIVED_AT = datetime(2026, 3, 1, tzinfo=UTC)
CATALOGUE = to_canonical_json(
    {
        "version": 1,
        "meters": [
            {
                "key": "tokens",
                "event_type": "llm",
                "aggregation": "sum",
                "unit": "token",
                "group_by": [],
            }
        ],
        "plans": [
            {
                "code": "starter",
                "name": "Starter",
                "currency": "USD",
                "prices": [{"key": "base", "form": "flat", "amount": "10"}],
            }
        ],
    }
)


def _agreed(subscription: str, *, customer: str) -> Subscription:
    """A subscription of day 31 in its second period."""
    anchor = datetime(2026, 1, 31, tzinfo=UTC)
    phase = Phase(anchor, "starter", Interval.MONTH, catalogue_version=1)
    return Subscription(
        subscription=subscription,
        customer=customer,
        currency="USD",
        anchor=anchor,
        anchor_day=31,
        starts_at=anchor,
        interval=Interval.MONTH,
        cycle=Cycle.ANNIVERSARY,
        fees=Fees.IN_ARREARS,
        trial_ends_at=None,
        period_index=1,
        period=Period(datetime(2026, 2, 28, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC)),
        opening_due=False,
        phases=(phase,),
        ends_at=None,
        discounts=(),
        dimensions=(),
        parked_reason="",
        created_at=RECEIVED_AT,
    )


INVOICE_AMOUNTS = (
    *("subtotal_minor", "discount_minor", "credit_minor", "tax_minor", "carry_minor"),
    *("paid_minor", "credited_minor"),
)


class ReachableLog:
    """A broker that answers."""

    def list_topics(self, *, timeout: int) -> object:
        return {}


class NodeMemory:
    """A log of node events that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[NodeEvent] = []

    async def append(self, event: NodeEvent) -> int:
        self.events.append(event)
        return len(self.events) - 1

    def close(self) -> None:
        """Hold nothing."""


def settings_on(database_url: str, **more: object) -> Settings:
    """Settings of a process on a test's database."""
    return Settings.model_validate(
        {"database_url": database_url, "partitions": 1, "command_timeout_ms": 2_000, **more}
    )


def insert(connection: psycopg.Connection, table: str, **row: object) -> None:
    """Write one row; what is jsonb comes as Jsonb."""
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() * len(row)),
        ),
        list(row.values()),
    )


class Rows:
    """Writes rows as the projector's role.

    Args:
        settings: Where the database is.
    """

    def __init__(self, settings: Settings) -> None:
        self.connection = postgres.connect(settings, role="projector", autocommit=True)
        self._offsets = itertools.count()

    def api_key(
        self, tenant: str, *, revoked_at: datetime | None = None, scopes: Sequence[str] = ()
    ) -> NewApiKey:
        key = new_api_key()
        insert(
            self.connection,
            "api_key",
            tenant=tenant,
            key_id=key.key_id,
            secret_sha256=key.secret_sha256,
            label="test",
            scopes=list(scopes),
            created_at=RECEIVED_AT,
            revoked_at=revoked_at,
        )
        return key

    def customer(self, tenant: str, customer: str, *, currency: str = "USD") -> None:
        insert(
            self.connection,
            "customer",
            tenant=tenant,
            customer=customer,
            currency=currency,
            created_at=RECEIVED_AT,
            document=Customer(customer, currency, RECEIVED_AT).document,
        )

    def subscription(self, tenant: str, subscription: str, *, customer: str) -> None:
        insert(
            self.connection,
            "subscription",
            tenant=tenant,
            subscription=subscription,
            customer=customer,
            plan="starter",
            currency="USD",
            anchor=datetime(2026, 1, 31, tzinfo=UTC),
            period_index=1,
            period_start=datetime(2026, 2, 28, tzinfo=UTC),
            period_end=datetime(2026, 3, 31, tzinfo=UTC),
            catalogue_version=1,
            created_at=RECEIVED_AT,
            changed_at=RECEIVED_AT,
            document=_agreed(subscription, customer=customer).document,
        )

    def invoice(
        self,
        tenant: str,
        invoice: str,
        *,
        customer: str = "customer-1",
        issued_at: datetime = RECEIVED_AT,
        total_minor: int = 1_000,
        currency: str = "USD",
        content: str = "{}",
    ) -> None:
        insert(
            self.connection,
            "invoice",
            tenant=tenant,
            invoice=invoice,
            number=f"INV-2026-{next(self._offsets):06d}",
            kind="period",
            seller="default",
            status="final",
            subscription="sub_1",
            customer=customer,
            currency=currency,
            scale=2,
            **dict.fromkeys(INVOICE_AMOUNTS, 0),
            total_minor=total_minor,
            open_minor=total_minor,
            period_index=0,
            period_start=datetime(2026, 1, 1, tzinfo=UTC),
            period_end=datetime(2026, 2, 1, tzinfo=UTC),
            issued_at=issued_at,
            due_at=issued_at,
            void_reason="",
            usage_partition=0,
            pinned_offset=0,
            content=content,
            content_sha256="a" * 64,
            finalized_at=RECEIVED_AT,
        )

    def invoice_line(self, tenant: str, invoice: str, line: int, **more: object) -> None:
        row: dict[str, object] = {
            "id": f"fee/{line}",
            "kind": "fee",
            "label": "Base",
            "price": "base",
            "form": "flat",
            "meter": "",
            "unit": "month",
            "quantity": Decimal(1),
            "amount_unrounded": Decimal(10),
            "amount": Decimal("10.00"),
            "net": Decimal("10.00"),
            "discounts": Jsonb([]),
            "tax": "standard",
            "steps": Jsonb([]),
            "is_estimate": False,
            "refers_invoice": "",
            "refers_line": "",
        }
        insert(
            self.connection,
            "invoice_line",
            tenant=tenant,
            invoice=invoice,
            line=line,
            **row | more,
        )

    def item(self, tenant: str, item: str, *, customer: str, label: str) -> None:
        insert(
            self.connection,
            "invoice_item",
            tenant=tenant,
            item=item,
            kind="one_off",
            status="invoiced",
            customer=customer,
            subscription="",
            label=label,
            amount_minor=1_000,
            added_at=RECEIVED_AT,
            added_offset=0,
            added_index=0,
            invoice="inv_1",
            document="{}",
        )

    def payment(self, tenant: str, payment: str, *, invoice: str, customer: str) -> None:
        insert(
            self.connection,
            "payment",
            tenant=tenant,
            payment=payment,
            invoice=invoice,
            customer=customer,
            currency="USD",
            amount_minor=1_000,
            applied_minor=1_000,
            refunded_minor=0,
            method="wire",
            reference="",
            paid_at=RECEIVED_AT,
            recorded_at=RECEIVED_AT,
        )

    def credit_note(self, tenant: str, note: str, *, invoice: str, customer: str) -> None:
        insert(
            self.connection,
            "credit_note",
            tenant=tenant,
            credit_note=note,
            number=f"CN-2026-{next(self._offsets):06d}",
            invoice=invoice,
            customer=customer,
            currency="USD",
            seller="default",
            **dict.fromkeys(("net_minor", "tax_minor", "total_minor"), 0),
            to_receivable_minor=0,
            to_credit_minor=0,
            reason="twice",
            paid_to="account_credit",
            issued_at=RECEIVED_AT,
        )

    def reject(self, tenant: str, *, offset: int, code: str = "bad_value", **more: object) -> None:
        row: dict[str, object] = {
            "topic": "usage.events",
            "partition": 0,
            "event_index": 0,
            "events": 1,
            "customer": "customer-1",
            "reason": "quantity -1 is negative",
            "received_at": RECEIVED_AT,
        }
        insert(
            self.connection, "reject", tenant=tenant, source_offset=offset, code=code, **row | more
        )

    def intake(self, tenant: str, hour: datetime, *, partition: int = 0, **counts: int) -> None:
        names = ("received", "accepted", "duplicates", "conflicts", "rejected")
        insert(
            self.connection,
            "intake_count",
            tenant=tenant,
            partition=partition,
            received_hour=hour,
            **{name: counts.get(name, 0) for name in names},
        )

    def series(
        self,
        tenant: str,
        *,
        customer: str = "customer-1",
        meter: str = "tokens",
        dimensions: Mapping[str, str] | None = None,
    ) -> uuid.UUID:
        series = uuid.uuid4()
        insert(
            self.connection,
            "usage_series",
            tenant=tenant,
            series=series,
            customer=customer,
            meter=meter,
            dimensions=Jsonb(dict(dimensions or {})),
            partition=0,
        )
        return series

    def window(
        self, tenant: str, series: uuid.UUID, hour: datetime, *values: str, **more: object
    ) -> None:
        """Write the window of an hour in which these values were seen, in this order."""
        numbers = [Decimal(value) for value in values]
        offset = next(self._offsets)
        row: dict[str, object] = {
            "events": len(numbers),
            "late": 0,
            "sum": functools.reduce(EXACT.add, numbers),
            "min": min(numbers),
            "max": max(numbers),
            "latest": numbers[-1],
            "latest_occurred_ms": int(hour.timestamp()) * 1000,
            "latest_offset": offset,
            "first_offset": offset,
            "last_offset": offset,
            "key_digest": 1,
        }
        insert(
            self.connection, "usage_window", tenant=tenant, series=series, hour=hour, **row | more
        )

    def sketch(self, tenant: str, series: uuid.UUID, hour: datetime, sketch: bytes) -> None:
        insert(
            self.connection, "usage_sketch", tenant=tenant, series=series, hour=hour, sketch=sketch
        )

    def change(self, tenant: str, subscription: str, *, reason: str) -> None:
        insert(
            self.connection,
            "subscription_change",
            tenant=tenant,
            subscription=subscription,
            source_offset=next(self._offsets),
            fact_index=0,
            kind="created",
            change=Jsonb({"kind": "created", "reason": reason}),
            changed_at=RECEIVED_AT,
        )

    def catalogue(self, tenant: str, *meters: Json, plans: Sequence[Json] = ()) -> None:
        content = to_canonical_json({"version": 1, "meters": meters, "plans": list(plans)})
        insert(
            self.connection,
            "catalogue",
            tenant=tenant,
            version=1,
            content=content,
            content_sha256=sha256_hex(content),
            published_at=datetime.now(UTC),
        )


class MemoryBooks:
    """The log, the books fold and its projector in one call: what the API waits for is there.

    Args:
        rows: Where outcomes and their effects are written.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._fold = BooksFold(partition=0, partitions=1)
        self._offsets = itertools.count()
        self.sent: list[str] = []

    def send(
        self,
        *,
        tenant: str,
        command_id: str,
        kind: str,
        body: Mapping[str, Json],
        actor: str = "",
    ) -> int:
        offset = next(self._offsets)
        self.sent.append(command_id)
        command = Command(tenant, command_id, kind, to_canonical_json(body))
        record = CommandRecord(offset, int(RECEIVED_AT.timestamp()) * 1000, command)
        facts = self._fold.step([record], from_offset=offset, to_offset=offset + 1)
        with self._rows.connection.transaction():
            for outcome in facts.outcomes:
                self._write(outcome)
        return offset

    def publish_catalogue(self, tenant: str) -> None:
        self.send(
            tenant=tenant,
            command_id=f"catalogue {tenant}",
            kind="PublishCatalogue",
            body={"content": CATALOGUE},
        )

    def _write(self, outcome: Outcome) -> None:
        """Write what the projector would."""
        connection = self._rows.connection
        outcomes.project_outcome(connection, outcome, partition=0)
        for index, fact in enumerate(outcome.facts):
            booked_at = from_ms(outcome.received_at_ms)
            fields = fields_of_fact(fact)
            booking = Booking(outcome.tenant, fields, booked_at, outcome.offset, index)
            PROJECTIONS[fact.kind](connection, booking)


@contextmanager
def api_client(
    settings: Settings, sender: object, *, nodes: NodeMemory | None = None
) -> Iterator[TestClient]:
    """The application on a test's database and a given log."""
    app = create_app(
        settings,
        make_backend=lambda given: backend_on(
            given,
            sender=sender,  # type: ignore[arg-type]
            log=ReachableLog(),
            nodes=nodes or NodeMemory(),
        ),
    )
    with TestClient(app, raise_server_exceptions=False, client=("127.0.0.1", 50_000)) as client:
        yield client


def bearer(key: NewApiKey) -> dict[str, str]:
    """The header that says who asks."""
    return {"Authorization": f"Bearer {key.key}"}
