"""What the builder reads: one REPEATABLE READ snapshot of books, positions and windows.

A batch of invoices costs three statements, however many they are: what is due with all that its
terms need, the positions, and the windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import psycopg

from domain.books.customer import Customer
from domain.books.invoice_terms_of import invoice_terms
from domain.books.subscription import Subscription
from domain.credit_balance import NO_CREDIT, CreditBalance
from domain.errors import Rejected
from domain.invoice_terms import ITEMS_MAX, InvoiceTerms, Item
from domain.invoice_usage import content_of, parts_of
from domain.period import Interval, Period, from_ms, time_text
from domain.routing import partition_of
from projections.invoicing.rows import OFFSET_MAX, Wanted, read_rows
from projections.published import Published, read_published
from runtime.postgres import connect, database_away
from schemas.topics import ACCOUNT_FACTS, USAGE_FACTS_TOPIC

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from types import TracebackType

    from domain.aggregation.window_row import WindowRow
    from domain.catalogue import Catalogue
    from domain.invoice import InvoiceContent
    from domain.usage.segment_rows import SegmentRow
    from runtime.settings import Settings

BATCH_MAX = 500
"""Invoices of one snapshot: about 10 MB of rows and documents, and a few seconds to read."""
HISTORY_MAX = 6
"""Earlier invoices of a customer that a new one is compared with: half a year of months."""

# Subscription.is_over, of the row o.
_IS_OVER = f"""
    (o.ends_at <= o.period_start OR o.interval = '{Interval.LIFETIME}' AND NOT o.opening_due)
"""
# domain.books.items.waiting: those of nobody, and of a subscription that is over, go on whichever
# invoice of the customer comes next.
_IS_ANYBODYS = f"""
    (i.subscription = '' OR EXISTS (SELECT FROM subscription o WHERE o.tenant = i.tenant
        AND o.subscription = i.subscription AND {_IS_OVER}))
"""
_WAIT_FOR = f"""
    WHERE i.tenant = c.tenant AND i.customer = c.customer AND i.status = 'pending'
        AND (i.subscription = %(this)s OR {_IS_ANYBODYS})
"""
# What a subscription's terms need. Items come in the order in which the log has them: append
# times may go back, offsets never do.
_NEEDS = f"""
    c.document, coalesce(a.promotion_minor, 0),
    coalesce(a.balance_minor - a.promotion_minor, 0),
    ARRAY(
        SELECT i.document FROM invoice_item i {_WAIT_FOR}
        ORDER BY i.added_offset, i.added_index LIMIT {ITEMS_MAX}
    ),
    ARRAY(
        SELECT v.total_minor + v.credit_minor - v.carry_minor FROM invoice v
        WHERE v.tenant = c.tenant AND v.customer = c.customer AND v.kind <> 'items'
            AND v.status <> 'void'
        ORDER BY v.issued_at DESC, v.invoice DESC LIMIT {HISTORY_MAX}
    )
"""  # noqa: S608 -- fixed texts only
_SUBSCRIPTIONS = f"""
    SELECT s.document, {_NEEDS.replace("%(this)s", "s.subscription")},
        (SELECT p.total_minor FROM parked_invoice p WHERE p.tenant = s.tenant
            AND p.subscription = s.subscription AND p.period_index = s.period_index
            AND NOT p.is_open),
        (SELECT count(*) FROM invoice v WHERE v.tenant = s.tenant
            AND v.subscription = s.subscription AND v.period_start = s.period_start)
    FROM subscription s
    JOIN customer c USING (tenant, customer)
    LEFT JOIN account_credit a USING (tenant, customer)
"""  # noqa: S608 -- fixed texts only
_DUE = f"""
    {_SUBSCRIPTIONS}
    WHERE s.next_invoice_at <= %(as_of)s
        AND (%(customer)s = '' OR s.customer = %(customer)s)
        AND (%(month)s = '' OR to_char(s.period_start AT TIME ZONE 'UTC', 'YYYY-MM') = %(month)s)
        AND s.subscription <> ALL(%(without)s)
    ORDER BY s.next_invoice_at, s.subscription LIMIT %(limit)s
"""
_ONE = f"{_SUBSCRIPTIONS} WHERE s.subscription = %(subscription)s"
# Customers whose items no subscription's invoice will take along.
_ITEMS_DUE = f"""
    SELECT NULL, {_NEEDS.replace("%(this)s", "''")}, NULL,
        (SELECT count(*) FROM invoice v WHERE v.tenant = c.tenant
            AND v.customer = c.customer AND v.kind = 'items')
    FROM customer c
    LEFT JOIN account_credit a USING (tenant, customer)
    WHERE (%(customer)s = '' OR c.customer = %(customer)s)
        AND c.customer <> ALL(%(without)s)
        AND EXISTS (SELECT FROM invoice_item i WHERE i.tenant = c.tenant
            AND i.customer = c.customer AND i.status = 'pending' AND {_IS_ANYBODYS}
            AND i.added_at <= %(as_of)s)
        AND (%(is_forced)s OR NOT EXISTS (SELECT FROM subscription o WHERE o.tenant = c.tenant
            AND o.customer = c.customer AND NOT coalesce({_IS_OVER}, false)))
    ORDER BY c.customer LIMIT %(limit)s
"""  # noqa: S608 -- fixed texts only
_WAITING = f"""
    SELECT count(*) FROM customer c JOIN invoice_item i USING (tenant, customer) {_WAIT_FOR}
        AND c.customer = %(customer)s
"""  # noqa: S608 -- fixed texts only
_POSITIONS = "SELECT partition, next_offset FROM position WHERE topic = %s"


@dataclass(frozen=True, slots=True)
class Draft:
    """An invoice to be made: everything but its usage.

    Args:
        terms: What it is made by.
        needs_shared: Whether it draws on items or credit that another invoice of the same
            customer could draw on as well.
        earlier: What the customer's last invoices came to before account credit, newest first,
            minor units.
        released_minor: What somebody has looked at and released, likewise; None for none.
        attempt: Invoices that the period had before; they are void.
        items_left: Items that wait beyond those of the terms: they come with the next one.
    """

    terms: InvoiceTerms
    needs_shared: bool
    earlier: tuple[int, ...]
    released_minor: int | None
    attempt: int
    items_left: int = 0

    @property
    def key(self) -> str:
        """Return the subscription; of items alone the customer."""
        return self.terms.subscription or self.terms.customer

    def left_by(self, content: InvoiceContent) -> int:
        """Return how many items wait once the content is an invoice."""
        return self.items_left + len(self.terms.items) - len(content.terms.items)


class Snapshot:
    """One unchanging view of a tenant's projections; use it as a context manager.

    Args:
        settings: Where the database is.
        tenant: Whose rows are seen; row level security hides the others.
        has_days: Whether days that were added up may be read in place of their windows. A proof
            reads the windows: what bills read would prove itself otherwise.

    Raises:
        Retryable: database_away.
    """

    def __init__(self, settings: Settings, *, tenant: str, has_days: bool = True) -> None:
        self._settings = settings
        self._tenant = tenant
        self._has_days = has_days
        self._connection: psycopg.Connection = connect(settings, role="app")
        self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self._connection.read_only = True
        self._read: Published | None = None

    def __enter__(self) -> Self:
        """Begin: from the first statement on nothing changes any more."""
        try:
            self._connection.execute(
                "SELECT set_config('tidegauge.tenant', %s, true), set_config('jit', 'off', true)",
                (self._tenant,),
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

    @property
    def connection(self) -> psycopg.Connection:
        """Return the connection of the view, for questions of this package."""
        return self._connection

    @property
    def catalogues(self) -> Mapping[int, Catalogue]:
        """Return every catalogue version of the tenant."""
        return self._published.catalogues

    @property
    def _published(self) -> Published:
        if self._read is None:
            self._read = read_published(self._connection)
        return self._read

    def due(
        self,
        *,
        as_of: datetime,
        customer: str = "",
        month: str = "",
        without: Sequence[str] = (),
        limit: int = BATCH_MAX,
    ) -> tuple[Draft, ...]:
        """Return what is due of subscriptions at as_of, the longest due first.

        Args:
            as_of: The moment that counts as now.
            customer: Only this customer; empty for all.
            month: Only periods that start in this month, for example "2026-11"; empty for all.
            without: Subscriptions that are left out.
            limit: How many at most.
        """
        parameters = {
            "as_of": as_of,
            "customer": customer,
            "month": month,
            "without": list(without),
            "limit": limit,
        }
        rows = self._connection.execute(_DUE, parameters).fetchall()
        return tuple(self._draft(row) for row in rows)

    def items_due(
        self,
        *,
        as_of: datetime,
        customer: str = "",
        without: Sequence[str] = (),
        is_forced: bool = False,
        limit: int = BATCH_MAX,
    ) -> tuple[Draft, ...]:
        """Return customers with items that no subscription's invoice will take along.

        Args:
            as_of: Items that were added later wait.
            customer: Only this customer; empty for all.
            without: Customers that are left out.
            is_forced: Bill them although a subscription's invoice is to come.
            limit: How many at most.
        """
        parameters = {
            "as_of": as_of,
            "customer": customer,
            "without": list(without),
            "is_forced": is_forced,
            "limit": limit,
        }
        rows = self._connection.execute(_ITEMS_DUE, parameters).fetchall()
        return tuple(self._draft(row) for row in rows)

    def draft(self, subscription: str) -> Draft | None:
        """Return the next invoice of one subscription, due or not; None when there is none such.

        Raises:
            Rejected: period_not_current, when nothing of it is left to be invoiced.
        """
        row = self._connection.execute(_ONE, {"subscription": subscription}).fetchone()
        return None if row is None else self._draft(row)

    def _draft(self, row: tuple[Any, ...]) -> Draft:
        document, payer, promotion, money, items, earlier, released, attempt = row
        credit, published = CreditBalance(promotion, money), self._published
        terms = invoice_terms(
            subscription=None if document is None else Subscription.from_document(document),
            customer=Customer.from_document(payer),
            items=tuple(Item.from_document(item) for item in items),
            credit=credit,
            catalogues=published.catalogues,
            published_at=published.published_at,
            tenant=self._tenant,
        )
        return Draft(
            terms=terms,
            needs_shared=credit != NO_CREDIT
            or any(item.subscription != terms.subscription for item in terms.items)
            or not terms.subscription,
            earlier=tuple(earlier),
            released_minor=released,
            attempt=attempt,
            items_left=self._items_left(terms),
        )

    def _items_left(self, terms: InvoiceTerms) -> int:
        if len(terms.items) < ITEMS_MAX:
            return 0
        row = self._connection.execute(
            _WAITING, {"this": terms.subscription, "customer": terms.customer}
        ).fetchone()
        return (0 if row is None else int(row[0])) - len(terms.items)

    def positions(self, topic: str) -> tuple[int, ...]:
        """Return the next source offset per partition, as the rows of this view stand."""
        stored: dict[int, int] = dict(self._connection.execute(_POSITIONS, (topic,)).fetchall())
        return tuple(stored.get(number, 0) for number in range(self._settings.partitions))

    def contents(
        self, terms: Sequence[InvoiceTerms], *, is_next: bool = False
    ) -> Iterator[InvoiceContent | Rejected]:
        """Make the contents of a batch one by one, their windows read in one statement.

        Args:
            terms: What they are made by.
            is_next: Whether they are still to be made: items without room wait then.

        Yields:
            In the order of the terms; in the place of a content that cannot be made why not, for
            example amount_limit: the others are made all the same.
        """
        account = partition_of(self._tenant, partitions=self._settings.partitions)
        usage_positions = self.positions(USAGE_FACTS_TOPIC.name)
        account_position = self.positions(ACCOUNT_FACTS.name)[account]
        for each, rows in zip(terms, self.rows(terms), strict=True):
            try:
                yield content_of(
                    terms=each,
                    rows=rows,
                    catalogues=self.catalogues,
                    usage_positions=usage_positions,
                    account_partition=account,
                    account_position=account_position,
                    is_next=is_next,
                )
            except Rejected as refused:
                yield refused

    def next_content(self, terms: InvoiceTerms) -> InvoiceContent:
        """Make the content of one invoice that is still to be made.

        Raises:
            Rejected: what keeps it from being made, for example amount_limit.
        """
        (made,) = self.contents([terms], is_next=True)
        if isinstance(made, Rejected):
            raise made
        return made

    def rows(self, terms: Sequence[InvoiceTerms]) -> list[list[SegmentRow]]:
        """Read the windows of a batch of invoices, merged by part and series."""
        wanted: list[Wanted] = []
        places: list[tuple[int, int]] = []
        for number, each in enumerate(terms):
            for segment, part in enumerate(parts_of(each, catalogues=self.catalogues)):
                places.append((number, segment))
                wanted.append(
                    Wanted(
                        number=len(wanted),
                        customer=each.customer,
                        start=from_ms(part.span.start_ms),
                        end=from_ms(part.span.end_ms),
                        meters=part.meters,
                        sketched=part.sketched,
                        carried=part.carried,
                        extreme=part.extreme,
                    )
                )
        result: list[list[SegmentRow]] = [[] for _ in terms]
        read = read_rows(self._connection, wanted, has_days=self._has_days)
        for place, rows in read.items():
            number, segment = places[place]
            result[number] += [(segment, row) for row in rows]
        return result

    def windows(
        self,
        *,
        customer: str,
        period: Period,
        meters: frozenset[str],
        carried: frozenset[str] = frozenset(),
        before_offset: int = OFFSET_MAX,
    ) -> tuple[WindowRow, ...]:
        """Return a customer's windows hour by hour, and of carried meters the last one before.

        Args:
            customer: Whose windows.
            period: Hours that they lie in.
            meters: Of which meters.
            carried: Those of which each series' last window before the period comes along.
            before_offset: Only windows whose first event lies before this source offset.
        """
        wanted = Wanted(0, customer, period.start, period.end, meters, meters, carried & meters)
        return tuple(read_rows(self._connection, [wanted], before_offset=before_offset)[0])


def start_text(terms: InvoiceTerms) -> str:
    """This function will return the start of a billed period as text; empty for items alone."""
    return "" if terms.period is None else time_text(terms.period.start)
