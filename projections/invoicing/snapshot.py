"""What the builder reads: one REPEATABLE READ snapshot of positions, subscriptions and windows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import psycopg

from domain.aggregation.window_row import WindowRow
from domain.catalogue import Catalogue, carried_meters, parse_catalogue
from domain.invoice import InvoiceContent, build_invoice
from domain.period import Period
from domain.quantity import decimal_nanos
from domain.routing import partition_of
from runtime.postgres import connect, database_away
from schemas.topics import ACCOUNT_FACTS, USAGE_FACTS_TOPIC

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import TracebackType

    from runtime.settings import Settings

_DUE = """
    SELECT subscription, customer, plan, period_start, period_end, catalogue_version
    FROM subscription
    WHERE period_end <= %(as_of)s AND (%(customer)s = '' OR customer = %(customer)s)
    ORDER BY subscription
"""
_POSITIONS = "SELECT partition, next_offset FROM position WHERE topic = %s"
_CATALOGUE = "SELECT content FROM catalogue WHERE version = %s"
_COLUMNS = """
    s.meter, s.dimensions, extract(epoch FROM w.hour)::bigint / 3600,
    w.events, w.sum, w.min, w.max, w.latest, w.latest_occurred_ms, w.latest_offset,
    w.first_offset, w.last_offset, w.key_digest, w.late, coalesce(k.sketch, ''::bytea)
"""
_WINDOWS = f"""
    SELECT {_COLUMNS}
    FROM usage_series s JOIN usage_window w USING (tenant, series)
    LEFT JOIN usage_sketch k USING (tenant, series, hour)
    WHERE s.customer = %(customer)s AND w.hour >= %(start)s AND w.hour < %(end)s
        AND w.first_offset < %(before)s
    UNION ALL
    SELECT {_COLUMNS}
    FROM usage_series s CROSS JOIN LATERAL (
        SELECT * FROM usage_window v
        WHERE v.tenant = s.tenant AND v.series = s.series AND v.hour < %(start)s
            AND v.first_offset < %(before)s
        ORDER BY v.hour DESC LIMIT 1
    ) w LEFT JOIN usage_sketch k
        ON k.tenant = w.tenant AND k.series = w.series AND k.hour = w.hour
    WHERE s.customer = %(customer)s AND s.meter = ANY(%(carried)s)
"""  # noqa: S608 -- fixed texts only

OFFSET_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Due:
    """A subscription whose current period is over.

    Args:
        subscription: Its id.
        customer: Who pays.
        plan: Plan code.
        period: The period to bill.
        catalogue_version: Version it is rated with.
    """

    subscription: str
    customer: str
    plan: str
    period: Period
    catalogue_version: int


class Snapshot:
    """One unchanging view of a tenant's projections; use it as a context manager.

    Args:
        settings: Where the database is.
        tenant: Whose rows are seen; row level security hides the others.

    Raises:
        Retryable: database_away.
    """

    def __init__(self, settings: Settings, *, tenant: str) -> None:
        self._settings = settings
        self._tenant = tenant
        self._connection: psycopg.Connection = connect(settings, role="app")
        self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self._connection.read_only = True
        self._catalogues: dict[int, Catalogue] = {}

    def __enter__(self) -> Self:
        """Begin: from the first statement on nothing changes any more."""
        try:
            self._connection.execute(
                "SELECT set_config('tidegauge.tenant', %s, true)", (self._tenant,)
            )
        except psycopg.OperationalError as error:
            raise database_away(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the view."""
        self._connection.close()

    def due(self, *, as_of: datetime, customer: str = "") -> tuple[Due, ...]:
        """Return the subscriptions to bill at as_of, of one customer or of all."""
        rows = self._connection.execute(_DUE, {"as_of": as_of, "customer": customer}).fetchall()
        return tuple(
            Due(
                subscription=subscription,
                customer=payer,
                plan=plan,
                period=Period(start, end),
                catalogue_version=version,
            )
            for subscription, payer, plan, start, end, version in rows
        )

    def positions(self, topic: str) -> tuple[int, ...]:
        """Return the next source offset per partition, as the rows of this view stand."""
        stored: dict[int, int] = dict(self._connection.execute(_POSITIONS, (topic,)).fetchall())
        return tuple(stored.get(number, 0) for number in range(self._settings.partitions))

    def catalogue(self, version: int) -> Catalogue:
        """Return a catalogue version of the tenant."""
        if version not in self._catalogues:
            row = self._connection.execute(_CATALOGUE, (version,)).fetchone()
            content = row[0] if row else ""
            self._catalogues[version] = parse_catalogue(content)
        return self._catalogues[version]

    def windows(
        self,
        *,
        customer: str,
        period: Period,
        carried: Collection[str],
        before_offset: int = OFFSET_MAX,
    ) -> Iterator[WindowRow]:
        """Yield a customer's windows of a period, and of carried meters the last one before it.

        Args:
            customer: Whose windows.
            period: Hours that they lie in.
            carried: Meters of which each series' last window before the period comes along.
            before_offset: Only windows whose first event lies before this source offset.
        """
        parameters = {
            "customer": customer,
            "start": period.start,
            "end": period.end,
            "carried": list(carried),
            "before": before_offset,
        }
        for row in self._connection.execute(_WINDOWS, parameters):
            yield from_row_window(row)

    def invoice(self, due: Due) -> InvoiceContent:
        """Make the content of the invoice that is due."""
        catalogue = self.catalogue(due.catalogue_version)
        account = partition_of(self._tenant, partitions=self._settings.partitions)
        return build_invoice(
            tenant=self._tenant,
            subscription=due.subscription,
            customer=due.customer,
            plan=due.plan,
            catalogue=catalogue,
            period=due.period,
            rows=self.windows(
                customer=due.customer,
                period=due.period,
                carried=carried_meters(catalogue.meters),
            ),
            usage_positions=self.positions(USAGE_FACTS_TOPIC.name),
            account_partition=account,
            account_position=self.positions(ACCOUNT_FACTS.name)[account],
        )


def from_row_window(row: tuple[Any, ...]) -> WindowRow:
    """This function will read a window from its SQL row, exactly."""
    return WindowRow(
        meter=row[0],
        dimensions=tuple(sorted(row[1].items())),
        hour=row[2],
        events=row[3],
        sum_nanos=decimal_nanos(row[4]),
        min_nanos=decimal_nanos(row[5]),
        max_nanos=decimal_nanos(row[6]),
        latest_nanos=decimal_nanos(row[7]),
        latest_occurred_ms=row[8],
        latest_offset=row[9],
        first_offset=row[10],
        last_offset=row[11],
        key_digest=int(row[12]),
        late=row[13],
        sketch=row[14],
    )
