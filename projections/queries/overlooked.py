"""What a policy seems to have missed: facts in the tables without what should have followed.

Each query is one page of a walk through an index by time, over all tenants: it looks at so many
rows, however few of them are overlooked, and says where the next page begins. A page of 10,000
costs 26 to 38 ms by index (measured with 600,000 rows in each table, all warm).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, LiteralString, NamedTuple, TypeVar

from psycopg.rows import dict_row

from domain.books.facts import Fact
from domain.canonical import to_canonical_json
from domain.emergence.facts import Cover, Detected, Evidence, ProjectKey
from domain.period import to_ms
from domain.wishes import SettledCharge, Withdrawal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    import psycopg

Row = TypeVar("Row")


class Cursor(NamedTuple):
    """Where a walk stands: the next row is the first one after this.

    Args:
        at: Time of the last row, UTC.
        tenant: Its tenant.
        subject: Its detection or charge.
    """

    at: datetime
    tenant: str = ""
    subject: str = ""


BEGINNING = Cursor(datetime.min.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Stretch:
    """How far one look goes.

    Args:
        after: Where it begins.
        until: Newest time to look at, UTC: what is newer may still come by itself.
        rows_max: Rows to look at, at most.
        found_max: Rows to return, at most.
    """

    after: Cursor
    until: datetime
    rows_max: int
    found_max: int


@dataclass(frozen=True, slots=True)
class Found(Generic[Row]):
    """What one look found.

    Args:
        rows: What is overlooked, oldest first.
        next: Where the next look begins; None when this one came to the end.
    """

    rows: tuple[Row, ...]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The first answer to a command.

    Args:
        code: Empty when accepted, else the stable reject code.
        received_at: When the command was received, UTC.
        facts: What changed, or what the refusal left on record.
    """

    code: str
    received_at: datetime
    facts: tuple[Fact, ...]


_OFFERS = """
    SELECT detected_at AS at, tenant, detection AS subject FROM emergence_tier
    WHERE status = 'detected' AND detected_at <= %(until)s
        AND (detected_at, tenant, detection) > (%(at)s, %(tenant)s, %(subject)s)
    ORDER BY detected_at, tenant, detection LIMIT %(rows_max)s
"""
_UNASKED: LiteralString = f"""
    WITH page AS (
        SELECT p.*, row_number() OVER (ORDER BY at, tenant, subject) AS number FROM ({_OFFERS}) p
    )
    SELECT page.at, page.subject, page.number, c.charge IS NULL AS is_overlooked, d.*
    FROM page
    LEFT JOIN charge c ON c.tenant = page.tenant AND c.charge = page.subject
    JOIN emergence_detection d ON d.tenant = page.tenant AND d.detection = page.subject
    WHERE c.charge IS NULL OR page.number = %(rows_max)s
    ORDER BY page.number LIMIT %(found_max)s
"""  # noqa: S608 -- fixed texts only, here and below
_ENDINGS = """
    SELECT ended_at AS at, tenant, detection AS subject, ended_how, ended_by, ended_reason
    FROM emergence_detection
    WHERE ended_at IS NOT NULL AND ended_at <= %(until)s
        AND (ended_at, tenant, detection) > (%(at)s, %(tenant)s, %(subject)s)
    ORDER BY ended_at, tenant, detection LIMIT %(rows_max)s
"""
# A superseded detection that was paid stays paid: the money moved, and the fold takes it so.
_IS_IN_NEED = """
    coalesce(c.status IN ('requested', 'approved')
        OR (c.status IN ('captured', 'delivered') AND page.ended_how = 'reversed'), false)
"""
_UNWITHDRAWN: LiteralString = f"""
    WITH page AS (
        SELECT p.*, row_number() OVER (ORDER BY at, tenant, subject) AS number FROM ({_ENDINGS}) p
    )
    SELECT page.*, {_IS_IN_NEED} AS is_overlooked
    FROM page LEFT JOIN charge c ON c.tenant = page.tenant AND c.charge = page.subject
    WHERE {_IS_IN_NEED} OR page.number = %(rows_max)s
    ORDER BY page.number LIMIT %(found_max)s
"""  # noqa: S608
_SETTLED = """
    SELECT coalesce(ended_at, captured_at) AS at, tenant, charge AS subject, project, lone_node,
        tier, status, captured_at, ended_at
    FROM charge
    WHERE status IN ('captured', 'delivered', 'declined', 'expired', 'refunded')
        AND coalesce(ended_at, captured_at) <= %(until)s
        AND (coalesce(ended_at, captured_at), tenant, charge)
            > (%(at)s, %(tenant)s, %(subject)s)
    ORDER BY coalesce(ended_at, captured_at), tenant, charge LIMIT %(rows_max)s
"""
# As the fold takes settlements (emergence/judging.py): news of the newest detection, the refund of
# a charge it knows of, or news of an earlier detection that it still looks for.
_IS_WAITED_FOR = """
    coalesce(
        (t.detection = page.subject
            AND (t.settled = '' OR (t.settled = 'charged' AND page.status = 'refunded')))
        OR EXISTS (
            SELECT FROM jsonb_array_elements(t.earlier) AS e WHERE e ->> 0 = page.subject
        ), false)
"""
_UNTOLD: LiteralString = f"""
    WITH page AS (
        SELECT p.*, row_number() OVER (ORDER BY at, tenant, subject) AS number FROM ({_SETTLED}) p
    )
    SELECT page.*, {_IS_WAITED_FOR} AS is_overlooked,
        t.detection = page.subject AND t.settled = 'charged' AS is_charge_told
    FROM page LEFT JOIN emergence_tier t
        ON (t.tenant, t.project, t.lone_node, t.code)
            = (page.tenant, page.project, page.lone_node, page.tier)
    WHERE {_IS_WAITED_FOR} OR page.number = %(rows_max)s
    ORDER BY page.number LIMIT %(found_max)s
"""  # noqa: S608
_ANSWERS = """
    SELECT DISTINCT ON (tenant, command_id) tenant, command_id, code, received_at, facts
    FROM command_outcome
    JOIN unnest(%s::text[], %s::text[]) AS asked (tenant, command_id) USING (tenant, command_id)
    ORDER BY tenant, command_id, source_offset
"""
WALKS: tuple[LiteralString, ...] = (_UNASKED, _UNWITHDRAWN, _UNTOLD)


def unasked_offers(connection: psycopg.Connection, stretch: Stretch) -> Found[Detected]:
    """This function will return open offers that the books have no charge for.

    Args:
        connection: Connection of the role projector, which sees every tenant.
        stretch: How far to look; the time is that of the detection.
    """
    return _found(_rows(connection, _UNASKED, stretch), stretch, _detected)


def unwithdrawn_endings(connection: psycopg.Connection, stretch: Stretch) -> Found[Withdrawal]:
    """This function will return ended detections whose charge is open, or paid and reversed.

    Whether a paid one is given back is for the books to say, and they may have said it.

    Args:
        connection: Connection of the role projector, which sees every tenant.
        stretch: How far to look; the time is that of the ending.
    """
    return _found(_rows(connection, _UNWITHDRAWN, stretch), stretch, _ended)


def untold_charges(connection: psycopg.Connection, stretch: Stretch) -> Found[SettledCharge]:
    """This function will return charges whose project waits to hear what became of them.

    Args:
        connection: Connection of the role projector, which sees every tenant.
        stretch: How far to look; the time is that of the capture, decline, expiry or refund.
    """
    return _found(_rows(connection, _UNTOLD, stretch), stretch, _settled)


def first_answers(
    connection: psycopg.Connection, ids: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Answer]:
    """This function will return the first answers to commands, by (tenant, command id).

    Args:
        connection: Connection of the role projector, which sees every tenant.
        ids: (tenant, command id) of the commands; those without an answer are left out.
    """
    tenants, commands = [tenant for tenant, _ in ids], [command for _, command in ids]
    rows = connection.execute(_ANSWERS, (tenants, commands)).fetchall() if ids else []
    return {
        (tenant, command_id): Answer(
            code,
            received_at,
            tuple(Fact(fact["kind"], to_canonical_json(fact["body"])) for fact in facts),
        )
        for tenant, command_id, code, received_at, facts in rows
    }


def _rows(
    connection: psycopg.Connection, query: LiteralString, stretch: Stretch
) -> list[dict[str, Any]]:
    cursor = connection.cursor(row_factory=dict_row)
    return cursor.execute(query, parameters_of(stretch)).fetchall()


def parameters_of(stretch: Stretch) -> dict[str, object]:
    """This function will write a stretch as the parameters of the queries in WALKS."""
    return {
        **stretch.after._asdict(),
        "until": stretch.until,
        "rows_max": stretch.rows_max,
        "found_max": stretch.found_max,
    }


def _found(
    rows: Sequence[dict[str, Any]], stretch: Stretch, from_row: Callable[[dict[str, Any]], Row]
) -> Found[Row]:
    """Read a page's rows; its last one is there even when nothing is overlooked in it."""
    last = rows[-1] if rows else None
    is_cut = last is not None and (
        len(rows) == stretch.found_max or last["number"] == stretch.rows_max
    )
    return Found(
        rows=tuple(from_row(row) for row in rows if row["is_overlooked"]),
        next=Cursor(last["at"], last["tenant"], last["subject"]) if last and is_cut else None,
    )


def _detected(row: dict[str, Any]) -> Detected:
    return Detected(
        offset=row["source_offset"],
        detection=row["detection"],
        key=ProjectKey(row["tenant"], row["project"], row["lone_node"]),
        customer=row["customer"],
        code=row["code"],
        name=row["name"],
        generation=row["generation"],
        covers=tuple(Cover(*cover) for cover in row["covers"]),
        credits=row["credits"],
        price_minor=row["price_minor"],
        currency=row["currency"],
        delivers=tuple(row["delivers"]),
        evidence=tuple(Evidence(**each) for each in row["evidence"]),
        rule_version=row["rule_version"],
        rule_sha256=row["rule_sha256"],
        partition=row["partition"],
        detected_at_ms=to_ms(row["detected_at"]),
    )


def _ended(row: dict[str, Any]) -> Withdrawal:
    return Withdrawal(
        row["tenant"], row["subject"], row["ended_how"], row["ended_by"], row["ended_reason"]
    )


def _settled(row: dict[str, Any]) -> SettledCharge:
    return SettledCharge(
        key=ProjectKey(row["tenant"], row["project"], row["lone_node"]),
        charge=row["subject"],
        status=row["status"],
        captured_at_ms=_ms(row["captured_at"]),
        ended_at_ms=_ms(row["ended_at"]),
        is_charge_told=bool(row["is_charge_told"]),
    )


def _ms(moment: datetime | None) -> int:
    return 0 if moment is None else to_ms(moment)
