"""Days added up beside the windows: an invoice reads the same with them and without."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count, pairwise
from zlib import crc32

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from domain.aggregation.measure import Span
from domain.aggregation.window_row import WindowRow
from domain.codes import Code
from domain.errors import Retryable
from domain.period import from_ms
from domain.usage.fold import UsageFold
from domain.usage.segment_rows import Part, segment_rows, usage_digest
from projections import migrate as migration
from projections import usage_days
from projections.dump import dump_hash
from projections.flush import Database
from projections.invoicing.rows import Wanted, read_rows
from projections.rebuild import rebuild
from projections.span import Intake
from projections.usage_binding import UsageBinding
from projections.usage_days import last_day_over, make_day, roll_up
from runtime.postgres import connect
from runtime.settings import Settings
from schemas.usage_wire import from_wire_usage_source, to_wire_catalogue, to_wire_usage_facts
from tests.support.amending import amendment_record
from tests.support.api_world import Rows
from tests.support.tables import rows
from tests.support.usage_log import NOW_MS, UsageLog
from tests.support.usage_truth import DAY_MS, HOUR_MS, Event, batch_record

TENANT = "acme"
FIRST_DAY = 20_520
BEGIN_MS = (FIRST_DAY + 3) * DAY_MS
STEPS = 50
METERS = {"tokens": "sum", "peak": "max", "low": "min", "last": "latest"}
CATALOGUE = {
    "version": 1,
    "meters": [
        {
            "key": key,
            "event_type": "llm" if key == "tokens" else "call",
            "aggregation": aggregation,
            "unit": "unit",
            "group_by": ["model"],
        }
        for key, aggregation in METERS.items()
    ],
    "plans": [],
}
EXTREME = frozenset(METERS) - {"tokens"}
TABLES = (
    "position, usage_series, usage_window, usage_day, usage_day_made, late_usage, intake_count,"
    " reject, event_amendment"
)


def day_of(number: int) -> date:
    return date(1970, 1, 1) + timedelta(days=number)


class Pipeline:
    """Fold and projector, one record at a time, and the tables they fill.

    Args:
        settings: Where the tables are, of one partition.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        with connect(settings, role="owner", autocommit=True) as connection:
            connection.execute(f"TRUNCATE {TABLES}".encode())
        self._fold = UsageFold(partition=0, partitions=1)
        self._binding = UsageBinding()
        self._database = Database(settings, self._binding)
        self.end = 0
        self.received: dict[int, tuple[Event, int, int]] = {}
        self.take(
            to_wire_catalogue(tenant=TENANT, version=1, content=json.dumps(CATALOGUE)),
            received_ms=BEGIN_MS,
        )

    def close(self) -> None:
        self._database.close()

    def take(self, value: bytes, *, received_ms: int) -> None:
        """Append one record, fold it and project it."""
        record = from_wire_usage_source(value, offset=self.end, received_at_ms=received_ms)
        facts = self._fold.step([record], from_offset=self.end, to_offset=self.end + 1)
        intake = Intake(self._binding, partition=0, position=self._database.place((0,))[0])
        intake.take(to_wire_usage_facts(facts, writer="test"), facts_offset=self.end)
        span = intake.drain()
        assert span is not None
        assert not self._database.flush({0: span}).stale
        self.end += 1

    def use(self, *events: Event, received_ms: int) -> None:
        """Append events in one record."""
        for event in events:
            self.received[event.key] = event, self.end, received_ms
        self.take(batch_record(events), received_ms=received_ms)

    def amend(self, key: int, replacement: Event | None, *, received_ms: int) -> None:
        """Append an amendment of an event that came."""
        event, offset, then_ms = self.received[key]
        value = amendment_record(
            event,
            replacement=replacement,
            received_ms=then_ms,
            offset=offset,
            catalogue=CATALOGUE,
        )
        self.take(value, received_ms=received_ms)

    def make(self, day: int) -> int:
        """Add up a day."""
        with connect(self._settings, role="projector", autocommit=True) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            return make_day(connection, tenant=TENANT, day=day_of(day), ends=[self.end])

    def read(self, wanted: list[Wanted], has_days: bool = True) -> dict[int, list[WindowRow]]:
        """Read as the builder does."""
        with connect(self._settings, role="app") as connection:
            connection.execute("SELECT set_config('tidegauge.tenant', %s, true)", (TENANT,))
            return read_rows(connection, wanted, has_days=has_days)

    def read_sum(self, customer: str, first_ms: int, end_ms: int, has_days: bool = True) -> int:
        """Return all tokens of some time, in whole units."""
        wanted = wanted_of(0, customer, first_ms // HOUR_MS, end_ms // HOUR_MS)
        found = self.read([wanted], has_days=has_days)[0]
        return sum(row.sum_nanos for row in found if row.meter == "tokens") // 10**9


@pytest.fixture
def one(settings: Settings) -> Settings:
    """Settings of one partition."""
    return settings.model_copy(update={"partitions": 1})


@pytest.fixture
def pipeline(one: Settings) -> Iterator[Pipeline]:
    made = Pipeline(one)
    yield made
    made.close()


def wanted_of(number: int, customer: str, first: int, end: int) -> Wanted:
    """What an invoice wants of hours [first, end)."""
    meters = frozenset(METERS)
    return Wanted(
        number,
        customer,
        from_ms(first * HOUR_MS),
        from_ms(end * HOUR_MS),
        meters,
        carried=frozenset({"last"}),
        extreme=EXTREME,
    )


def use(key: int, occurred_ms: int, quantity: int = 1, **more: str) -> Event:
    """One event; its fingerprint is its payload's, as the SDK makes it."""
    event = Event(
        key=key,
        customer=more.get("customer", "ann"),
        type=more.get("type", "llm"),
        occurred_ms=occurred_ms,
        quantity=quantity,
        dimensions=(("model", more.get("model", "a")),),
    )
    return replace(event, fingerprint=crc32(repr(replace(event, key=0)).encode()))


def play(pipeline: Pipeline, draw: random.Random) -> None:
    """Let usage, amendments and adding up happen for days; only days that are over are made."""
    now_ms = BEGIN_MS
    keys = count(1)
    for _ in range(STEPS):
        now_ms += draw.choice((0, 1, 2, 5)) * HOUR_MS
        kind = draw.choices(("use", "make", "void", "replace"), (6, 4, 1, 1))[0]
        if kind == "make":
            pipeline.make(now_ms // DAY_MS - 1 - draw.choice((0, 0, 1, 2)))
        elif kind == "use" or not pipeline.received:
            events = [drawn(draw, next(keys), now_ms) for _ in range(5)]
            pipeline.use(*events, received_ms=now_ms)
        else:
            chosen = draw.choice(sorted(pipeline.received))
            other = drawn(draw, 0, now_ms)
            other = replace(other, customer=pipeline.received[chosen][0].customer)
            replacement = other if kind == "replace" else None
            pipeline.amend(chosen, replacement, received_ms=now_ms)


def drawn(draw: random.Random, key: int, now_ms: int) -> Event:
    """An event of the last hours, seldom of days ago."""
    return use(
        key,
        now_ms - draw.choice((0, 1, 2, 3, 5, 8, 8, 30)) * HOUR_MS,
        draw.choice((0, 1, 7, 10**14 - 1)),
        customer=draw.choice(("ann", "ann", "bob")),
        type=draw.choice(("llm", "call")),
        model=draw.choice("aab"),
    )


class TestReading:
    @examples(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(seed=st.integers(0, 2**32))
    def test_is_the_same_with_days_and_without(self, one: Settings, seed: int) -> None:
        """Late usage, amendments, days made at any time, parts cut at any hour: one digest."""
        draw = random.Random(seed)
        pipeline = Pipeline(one)
        try:
            play(pipeline, draw)
            begin = BEGIN_MS // HOUR_MS
            cuts = [begin - 50, *sorted(draw.sample(range(begin, begin + 150), 2)), begin + 300]
            spans = list(pairwise(cuts))
            for customer in ("ann", "bob"):
                wanted = [wanted_of(n, customer, *span) for n, span in enumerate(spans)]
                found = pipeline.read(wanted)
                alone = pipeline.read(wanted, has_days=False)
                assert digest_of(alone) == digest_of(found)
                assert sorted_rows(alone) == sorted_rows(found)
                assert sorted_rows(found) == oracle(pipeline, customer, spans)
        finally:
            pipeline.close()

    def test_takes_a_day_that_is_made(self, pipeline: Pipeline, owner: psycopg.Connection) -> None:
        """Seen by a day that somebody falsified: windows are asked for what lies around it."""
        day_ms = BEGIN_MS - DAY_MS
        for key, at_ms in enumerate((day_ms - HOUR_MS, day_ms, day_ms + DAY_MS), start=1):
            pipeline.use(use(key, at_ms, 10**key), received_ms=at_ms + 1)
        assert pipeline.make(day_ms // DAY_MS) == 1
        owner.execute("UPDATE usage_day SET sum = sum + 5")

        whole = (day_ms - DAY_MS, day_ms + 2 * DAY_MS)
        assert pipeline.read_sum("ann", *whole) == 1_115
        assert pipeline.read_sum("ann", day_ms, day_ms + DAY_MS) == 105
        assert pipeline.read_sum("ann", day_ms + HOUR_MS, day_ms + DAY_MS) == 0
        assert pipeline.read_sum("ann", day_ms, day_ms + 23 * HOUR_MS) == 100
        assert pipeline.read_sum("ann", *whole, has_days=False) == 1_110

    def test_leaves_a_day_that_late_usage_touched(
        self, pipeline: Pipeline, owner: psycopg.Connection
    ) -> None:
        """One customer's day is read from its windows again, the other's still is not."""
        day_ms = BEGIN_MS - DAY_MS
        whole = (day_ms, day_ms + DAY_MS)
        pipeline.use(use(1, day_ms, 10, customer="ann"), received_ms=day_ms)
        pipeline.use(use(2, day_ms, 20, customer="bob"), received_ms=day_ms)
        pipeline.use(use(3, day_ms, 30, customer="ann"), received_ms=BEGIN_MS)
        pipeline.make(day_ms // DAY_MS)
        owner.execute("UPDATE usage_day SET sum = sum + 5")
        assert pipeline.read_sum("ann", *whole) == 45  # late, and in the day

        pipeline.use(use(4, day_ms, 40, customer="ann"), received_ms=BEGIN_MS)

        assert pipeline.read_sum("ann", *whole) == 80
        assert pipeline.read_sum("bob", *whole) == 25

    def test_leaves_a_day_that_an_amendment_touched(self, pipeline: Pipeline) -> None:
        """What is voided after the day was made is not billed."""
        day_ms = BEGIN_MS - DAY_MS
        pipeline.use(use(1, day_ms, 10), received_ms=day_ms)
        pipeline.use(use(2, day_ms, 3), received_ms=day_ms)
        pipeline.make(day_ms // DAY_MS)

        pipeline.amend(1, None, received_ms=BEGIN_MS + HOUR_MS)

        assert pipeline.read_sum("ann", day_ms, day_ms + DAY_MS) == 3


def sorted_rows(found: dict[int, list[WindowRow]]) -> list[tuple[int, list[WindowRow]]]:
    return [
        (number, sorted(each, key=lambda row: (row.meter, row.dimensions, row.hour)))
        for number, each in sorted(found.items())
    ]


def digest_of(found: dict[int, list[WindowRow]]) -> str:
    return usage_digest((number, row) for number, each in found.items() for row in each)


def oracle(
    pipeline: Pipeline, customer: str, spans: list[tuple[int, int]]
) -> list[tuple[int, list[WindowRow]]]:
    """The same from single hours, by the domain."""
    meters = frozenset(METERS)
    every = Wanted(0, customer, from_ms(0), from_ms(BEGIN_MS + 9_000 * HOUR_MS), meters, meters)
    windows = pipeline.read([every])[0]
    parts = [
        Part(
            span=Span(first * HOUR_MS, end * HOUR_MS),
            meters=meters,
            sketched=frozenset(),
            carried=frozenset({"last"}),
            extreme=EXTREME,
        )
        for first, end in spans
    ]
    found: dict[int, list[WindowRow]] = {number: [] for number in range(len(spans))}
    for number, row in segment_rows(windows, parts=parts):
        is_whole = row.meter in EXTREME
        found[number].append(row if is_whole else without_extremes(row))
    return sorted_rows(found)


def without_extremes(row: WindowRow) -> WindowRow:
    """Return a row as it comes of a meter that needs none of them."""
    return replace(
        row, min_nanos=0, max_nanos=0, latest_nanos=0, latest_occurred_ms=0, latest_offset=0
    )


class TestMaking:
    def test_waits_for_what_the_log_held(self, pipeline: Pipeline, one: Settings) -> None:
        """A window that is still to come would be missing for good."""
        day = FIRST_DAY + 2
        pipeline.end += 1
        with pytest.raises(Retryable) as caught:
            pipeline.make(day)
        assert caught.value.code == Code.NOT_READY
        assert rows(one, "SELECT count(*) FROM usage_day_made") == [(0,)]

    def test_is_done_once_by_many(self, pipeline: Pipeline, one: Settings) -> None:
        """One writes, the others find it done."""
        day_ms = BEGIN_MS - DAY_MS
        pipeline.use(use(1, day_ms, 10), received_ms=day_ms)
        made: list[int] = []
        threads = [
            threading.Thread(target=lambda: made.append(pipeline.make(day_ms // DAY_MS)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(made) == [0, 0, 0, 1]
        assert pipeline.make(day_ms // DAY_MS) == 0
        assert rows(one, "SELECT sum FROM usage_day") == [(10,)]

    def test_leaves_nothing_when_it_breaks_off(
        self, pipeline: Pipeline, one: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The day is made the next time."""
        day_ms = BEGIN_MS - DAY_MS
        pipeline.use(use(1, day_ms, 10), received_ms=day_ms)
        with monkeypatch.context() as patch:
            patch.setattr(usage_days, "_ADD_UP", usage_days._ADD_UP + " AND 1 / 0 = 1")
            with pytest.raises(psycopg.errors.DivisionByZero):
                pipeline.make(day_ms // DAY_MS)
        assert rows(one, "SELECT count(*) FROM usage_day_made") == [(0,)]
        assert pipeline.make(day_ms // DAY_MS) == 1


def subscribe(settings: Settings) -> None:
    """Give the tenant a subscription: only days of such tenants are made."""
    tables = Rows(settings)
    tables.subscription("acme", "sub", customer="ann")
    tables.connection.close()


class TestRollUp:
    def test_makes_each_day_once_and_is_no_projection(
        self, piped_settings: Settings, owner: psycopg.Connection
    ) -> None:
        """Its tables are in no dump; a rebuild empties them and gives the same hash."""
        log = UsageLog(partitions=piped_settings.partitions)
        log.grow(records=2)
        log.send(piped_settings)
        rebuild(piped_settings)
        before = dump_hash(piped_settings)
        subscribe(piped_settings)
        last = datetime.fromtimestamp(NOW_MS / 1000, tz=UTC).date()
        first = last - timedelta(days=1)

        made = list(roll_up(piped_settings, first=first, through=last))

        assert [each.day for each in made] == [first, last]
        assert {each.tenant for each in made} == {"acme"}
        assert sum(each.series for each in made) > 0
        assert list(roll_up(piped_settings, first=first, through=last)) == []
        counted = (
            "SELECT (SELECT sum(events) FROM usage_day),"
            " (SELECT sum(events) FROM usage_window WHERE tenant = 'acme')"
        )
        ((in_days, in_windows),) = rows(piped_settings, counted)
        assert in_days == in_windows
        owner.execute("DELETE FROM subscription")
        assert dump_hash(piped_settings) == before
        rebuild(piped_settings)
        assert rows(piped_settings, "SELECT count(*) FROM usage_day_made") == [(0,)]
        assert rows(piped_settings, "SELECT count(*) FROM usage_day") == [(0,)]
        assert dump_hash(piped_settings) == before

    def test_makes_no_day_that_is_not_over(self, piped_settings: Settings) -> None:
        """However far it is asked to go."""
        subscribe(piped_settings)
        tomorrow = datetime.now(UTC).date() + timedelta(days=1)
        last = last_day_over()
        made = list(roll_up(piped_settings, first=last, through=tomorrow))
        assert {each.day for each in made} <= {last, last + timedelta(days=1)}  # midnight passed
        assert last_day_over() < datetime.now(UTC).date()

    def test_comes_with_the_schema(self, one: Settings) -> None:
        """Migrating an older database leaves both tables empty, and reading goes on."""
        migration.migrate(one)
        assert rows(one, "SELECT count(*) FROM usage_day") == [(0,)]
