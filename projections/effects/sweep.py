"""The sweep: what a policy may have missed is looked for in the tables, and sent again.

Policies are Faust agents, and a Faust consumer may in rare cases commit past a record that it
never worked on, when a rebalance and a kill -9 meet. A facts record that is left out like that
would be a charge nobody is asked for, a withdrawal the books never hear of, or a tier that waits
for ever.
So the tables are searched for facts without what follows from them:

- an open offer without a charge: RequestCharge; where the books refused it and the project does
  not know, EmergenceSettled "unbilled";
- a detection that ended while its charge is open, or is paid and was reversed: WithdrawCharge;
- a charge that is settled while its project waits for news of it: EmergenceSettled.

An offer that has ended is not asked for: with auto-approval it would be charged after its end.
Suspicions are not searched for: no table has them before the books do, and they move no money.

Order of a look:
1. wait until the tables hold all that the log held at the look before;
2. walk through what was then older than PATIENCE, and ask which commands are answered;
3. send what is missing, once;
4. note how far the log goes now.

By steps 1 and 4 a look sees the answers to all that the look before sent. What is missing even
then cannot be answered; it is told to the operator and not sent again by this process, so that
nothing is repeated without end. Wishes are the same whoever sends them (domain/wishes.py), so a
slow policy, a second machine or a restart leads to repeats, which change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from domain import wishes
from domain.books.records import Command
from domain.codes import Code
from domain.emergence.records import DetectionSettled
from domain.errors import Rejected
from domain.period import to_ms
from projections.position import read_positions
from projections.queries import overlooked
from projections.queries.overlooked import BEGINNING, Cursor, Stretch
from runtime import metrics, postgres
from runtime.commands import CommandSender
from runtime.kafka import new_consumer, partition_ends
from runtime.logs import logger
from runtime.node_events import NodeEventSender, settlement_event
from schemas.topics import ACCOUNT_COMMANDS, ACCOUNT_FACTS, EMERGENCE_FACTS_TOPIC, NODE_EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    import psycopg

    from runtime.settings import Settings

LOOK_MS = 30_000
"""Time between two looks, ms: what was missed once in months may wait for a minute."""
PATIENCE = timedelta(seconds=30)
"""How long a policy has to send by itself: it takes a second, or a restart of its worker."""
ROWS_MAX = 10_000
"""Rows that a walk looks at per look: 26 to 38 ms of the database (measured, warm) every 30 s,
however large a table; a walk through a million rows takes 50 minutes."""
FOUND_MAX = 500
"""Wishes of one walk and look: when a policy stands still they must not flood the books."""
RECENT = timedelta(hours=1)
"""How far back the walks for what has just happened go; they come round with every look, where the
walks through all that ever happened may take long."""
SENT_KEPT_MAX = 50_000
"""Wishes that are remembered as sent, some 10 MB; the oldest are forgotten first."""
STATEMENT_MS_MAX = 10_000
"""Longest time for one query, ms: a sweep must not weigh on a database that is in trouble."""
ACTOR = "sweep"
_SOURCES = {
    EMERGENCE_FACTS_TOPIC.name: NODE_EVENTS.name,
    ACCOUNT_FACTS.name: ACCOUNT_COMMANDS.name,
}
"""Facts topic whose projection is waited for → topic it is about."""

Wish = Command | DetectionSettled
Item = TypeVar("Item", Command, DetectionSettled)


class Mark(NamedTuple):
    """How far the log went.

    Args:
        noted_at: When that was noted, UTC.
        ends: One past the last source offset by facts topic and partition.
    """

    noted_at: datetime
    ends: dict[str, dict[int, int]]


class Missing(NamedTuple):
    """What a walk found in one stretch.

    Args:
        wishes: What is to be sent, in this order.
        next: Where the walk goes on; None when it came to its end.
    """

    wishes: list[Wish]
    next: Cursor | None


@dataclass(slots=True)
class Walk:
    """A search that goes on where it stopped, and begins anew after its end.

    Args:
        search: Finds what is missing in a stretch.
        since: How far back it begins; None for the beginning of all.
        cursor: Where it stands; None before its beginning.
    """

    search: Callable[[psycopg.Connection, Stretch], Missing]
    since: timedelta | None = None
    cursor: Cursor | None = None

    def look(self, connection: psycopg.Connection, *, until: datetime) -> Missing:
        """Search the next stretch; the walk moves when its finds are sent."""
        beginning = BEGINNING if self.since is None else Cursor(until - self.since)
        return self.search(
            connection, Stretch(self.cursor or beginning, until, ROWS_MAX, FOUND_MAX)
        )


class Sweep:
    """Looks for what policies missed; one per process, in the scheduler's thread.

    Args:
        settings: Where broker and database are.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._commands = CommandSender(settings, actor=ACTOR)
        self._events = NodeEventSender(settings)
        self._mark: Mark | None = None
        self._sent: dict[str, bool] = {}
        self._walks = (
            Walk(unasked),
            Walk(unwithdrawn, since=RECENT),
            Walk(unwithdrawn),
            Walk(untold, since=RECENT),
            Walk(untold),
        )

    def look(self, *, now: datetime) -> int:
        """Send what is missing and return how many wishes that were.

        The first look only notes how far the log goes.

        Args:
            now: The present, UTC.

        Raises:
            Retryable: broker_away or database_away; what is missing is found again.
        """
        sent = 0
        if self._mark is not None:
            with postgres.connect(self._settings, role="projector", autocommit=True) as connection:
                limit_queries(connection)
                if not is_reached(connection, self._mark):  # 1.
                    logger().info("sweep.waits", reason="the tables are behind the log")
                    return 0
                until = self._mark.noted_at - PATIENCE
                finds = [walk.look(connection, until=until) for walk in self._walks]  # 2.
            sent = self._send([wish for found in finds for wish in found.wishes])  # 3.
            for walk, found in zip(self._walks, finds, strict=True):
                walk.cursor = found.next
        self._mark = note_mark(self._settings, now=now)  # 4.
        return sent

    def _send(self, missing: Sequence[Wish]) -> int:
        """Send each wish that was not sent before, commands and settlements in their order."""
        fresh = {key_of(wish): wish for wish in missing}
        for key in [key for key in fresh if key in self._sent]:
            del fresh[key]
            if not self._sent[key]:
                logger().error("sweep.unanswered", wish=key)
                self._sent[key] = True
        commands = [wish for wish in fresh.values() if isinstance(wish, Command)]
        settlements = [wish for wish in fresh.values() if isinstance(wish, DetectionSettled)]
        taken: list[Wish] = [
            *deliver(commands, self._commands.send_all),
            *deliver(settlements, self._settle),
        ]
        for wish in taken:
            metrics.SWEEP_SENT.labels(kind_of(wish)).inc()
            # A policy that works leaves nothing to do: somebody should know.
            logger().warning("sweep.sent", kind=kind_of(wish), wish=key_of(wish))
        self._sent |= dict.fromkeys(fresh, False)
        for key in list(self._sent)[: max(0, len(self._sent) - SENT_KEPT_MAX)]:
            del self._sent[key]
        return len(taken)

    def _settle(self, settlements: Sequence[DetectionSettled]) -> None:
        self._events.send_all([settlement_event(settled) for settled in settlements])


def deliver(items: Sequence[Item], send: Callable[[Sequence[Item]], object]) -> list[Item]:
    """This function will send items and return those that the broker has.

    One that cannot be sent at all is told and left out: it must not keep the others.

    Args:
        items: What to send, in this order.
        send: Sends all and blocks; Rejected, before anything is sent, when one of them is
            impossible.

    Raises:
        Retryable: broker_away; send again.
    """
    try:
        if items:
            send(items)
    except Rejected as error:
        if len(items) == 1:
            logger().error("sweep.unsendable", wish=key_of(items[0]), reason=error.reason)
            return []
        return [sent for item in items for sent in deliver([item], send)]
    return list(items)


def key_of(wish: Wish) -> str:
    """This function will name a wish: who names the same wishes the same."""
    if isinstance(wish, Command):
        return f"{wish.tenant} {wish.command_id}"
    return f"{wish.tenant} {wish.detection} {wish.status}"


def kind_of(wish: Wish) -> str:
    """This function will say what a wish is, for metrics and logs."""
    return wish.kind if isinstance(wish, Command) else "EmergenceSettled"


# ── 1. and 4.: how far the log goes, and the tables ─────────────────────────────────────────────


def note_mark(settings: Settings, *, now: datetime) -> Mark:
    """This function will note how far the log goes (Retryable, when the broker is away)."""
    reader = new_consumer(settings, group="tidegauge.sweep")
    try:
        return Mark(
            now,
            {
                facts: {
                    number: partition_ends(reader, source, number)[1]
                    for number in range(settings.partitions)
                }
                for facts, source in _SOURCES.items()
            },
        )
    finally:
        reader.close()


def limit_queries(connection: psycopg.Connection) -> None:
    """This function will keep a look's cost by its rows, whatever the size of the tables.

    To join 10,000 rows the planner would read a table of 600,000 whole (measured: 65 ms, and more
    with every charge; 33 ms by index, and no more).
    """
    connection.execute(f"SET statement_timeout = {STATEMENT_MS_MAX}")
    connection.execute("SET enable_seqscan = off")


def is_reached(connection: psycopg.Connection, mark: Mark) -> bool:
    """This function will say whether the tables hold all that the log held at a mark."""
    return all(
        position.next_offset >= ends[number]
        for topic, ends in mark.ends.items()
        for number, position in read_positions(
            connection, topic=topic, partitions=ends.keys()
        ).items()
    )


# ── 2.: what is missing ─────────────────────────────────────────────────────────────────────────


def unasked(connection: psycopg.Connection, stretch: Stretch) -> Missing:
    """This function will find requests the books have not, and refusals the fold has not."""
    found = overlooked.unasked_offers(connection, stretch)
    requests = [wishes.request(event) for event in found.rows]
    answers = overlooked.first_answers(connection, [id_of(command) for command in requests])
    missing: list[Wish] = []
    for command in requests:
        answer = answers.get(id_of(command))
        if answer is None:
            missing.append(command)
        elif answer.received_at <= stretch.until:
            # A refusal that says nothing of the detection leaves nothing to be told.
            missing += wishes.settlements_of_answer(
                answer.facts, tenant=command.tenant, received_at_ms=to_ms(answer.received_at)
            )
    return Missing(missing, found.next)


def unwithdrawn(connection: psycopg.Connection, stretch: Stretch) -> Missing:
    """This function will find withdrawals that the books have not, or had before the request."""
    found = overlooked.unwithdrawn_endings(connection, stretch)
    pairs = [(wishes.withdrawal(ended), wishes.late_withdrawal(ended)) for ended in found.rows]
    ids = [id_of(command) for pair in pairs for command in pair]
    answers = overlooked.first_answers(connection, ids)
    missing: list[Wish] = []
    for command, late in pairs:
        answer = answers.get(id_of(command))
        if answer is None:
            missing.append(command)
        elif answer.code == Code.CHARGE_UNKNOWN and id_of(late) not in answers:
            missing.append(late)
    return Missing(missing, found.next)


def untold(connection: psycopg.Connection, stretch: Stretch) -> Missing:
    """This function will find settlements that the emergence fold has not."""
    found = overlooked.untold_charges(connection, stretch)
    return Missing(
        [settled for charge in found.rows for settled in wishes.settlements_of_charge(charge)],
        found.next,
    )


def id_of(command: Command) -> tuple[str, str]:
    """This function will return what an answer is found by."""
    return command.tenant, command.command_id
