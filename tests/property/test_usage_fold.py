"""Laws of the usage fold: how a partition is cut, repeated and restarted changes no window."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.usage.facts import UsageFacts
from domain.usage.fold import UsageFold
from domain.usage.records import SourceRecord
from runtime.settings import Settings
from schemas.usage_wire import (
    from_wire_usage_facts,
    from_wire_usage_source,
    to_wire_catalogue,
    to_wire_usage_facts,
)
from streams.usage import UsageBinding
from tests.support.kafka_hash import partition_of
from tests.support.usage_facts import keys_of, rejects_of, totals_of, windows_of
from tests.support.usage_truth import (
    CATALOGUE,
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Event,
    Truth,
    batch_record,
    event_record,
)

START_MS = 1_773_000_000_000
PARTITIONS = 2
CUSTOMERS = ("ann", "bob", "cid", "dee", "eve")
CONTENT = json.dumps(CATALOGUE)


@dataclass(frozen=True)
class Sent:
    """One record on its way to a partition."""

    events: tuple[Event, ...]
    is_batch: bool
    tenant: str
    backfill: bool
    partition: int
    wait_ms: int
    """How long after the record before it the broker takes it."""
    flaw: str

    def value(self) -> bytes | None:
        """Encode it."""
        if self.flaw == "garbage":
            return b"\x00\x00\x00\x00\x01garbage"
        if self.flaw == "no value":
            return None
        changes = {"scale": 10} if self.flaw == "scale" else {}
        if self.is_batch:
            return batch_record(self.events, tenant=self.tenant, backfill=self.backfill, **changes)
        return event_record(self.events[0], tenant=self.tenant, backfill=self.backfill, **changes)


_DIMENSIONS = st.dictionaries(
    st.sampled_from(["model", "region", "trace"]), st.sampled_from(["a", "b"]), max_size=3
)
_TOO_MANY = tuple((f"name-{number}", "x") for number in range(33))
_AGES_MS = st.one_of(
    st.integers(-5 * MINUTE_MS, 5 * HOUR_MS),
    st.sampled_from([-5 * MINUTE_MS - 1, 35 * DAY_MS, 35 * DAY_MS + 1, 36 * DAY_MS]),
)
_AMOUNTS = st.one_of(
    st.tuples(st.integers(0, 50), st.integers(0, 9)),
    st.sampled_from([(10**14 - 1, 0), (10**14, 0), (2**63 - 1, 9), (-1, 0), (0, 0)]),
)


@st.composite
def events(draw: st.DrawFn, key: int) -> Event:
    amount, scale = draw(_AMOUNTS)
    kind = draw(st.sampled_from(["llm", "llm", "call", "disk", "unheard-of"]))
    given_properties = [(), (("ms", "12.5"),), (("ms", "0.000000001"), ("note", "x"))]
    if draw(st.integers(0, 9)) == 0:
        given_properties = [(("ms", "soon"),), (("ms", "-1"),), (("ms", "0.0000000001"),)]
    dimensions = tuple(sorted(draw(_DIMENSIONS).items()))
    return Event(
        key=key,
        customer=draw(st.sampled_from([*CUSTOMERS, *CUSTOMERS, "", "tab\there"])),
        type=kind,
        occurred_ms=START_MS - draw(_AGES_MS),
        quantity=amount,
        scale=scale,
        dimensions=_TOO_MANY if draw(st.integers(0, 30)) == 0 else dimensions,
        properties=draw(st.sampled_from(given_properties)),
        fingerprint=key * 7 % 2**64,
    )


@st.composite
def logs(draw: st.DrawFn) -> list[Sent]:
    """Draw records whose events repeat, conflict, go astray and are malformed."""
    keys = draw(
        st.lists(
            st.one_of(st.integers(0, 3), st.integers(2**128 - 4, 2**128 - 1)),
            min_size=1, max_size=8, unique=True,
        )
    )  # fmt: skip
    pool = [draw(events(key)) for key in keys]
    sent = []
    for _ in range(draw(st.integers(1, 12))):
        is_batch = draw(st.booleans())
        chosen = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=6 if is_batch else 1))
        changed = tuple(
            replace(event, fingerprint=5, quantity=9, scale=0)
            if draw(st.integers(0, 7)) == 0
            else event
            for event in chosen
        )
        if is_batch and any(abs(each.quantity) > 10**9 for each in changed):
            changed = tuple(replace(each, scale=0) for each in changed)  # one scale must fit int64
        tenant = draw(st.sampled_from(["acme", "acme", "acme", "globex", "nobody"]))
        home = partition_of(tenant, changed[0].customer, partitions=PARTITIONS)
        sent.append(
            Sent(
                events=changed,
                is_batch=is_batch,
                tenant=tenant,
                backfill=draw(st.integers(0, 5)) == 0,
                partition=home if draw(st.integers(0, 9)) else 1 - home,
                wait_ms=draw(st.sampled_from([0, 0, 1000, 40 * MINUTE_MS, HOUR_MS])),
                flaw=draw(st.sampled_from([""] * 12 + ["garbage", "no value", "scale"])),
            )
        )
    return sent


def truth_of(log: list[Sent]) -> Truth:
    truth = Truth(partitions=PARTITIONS, tenants=("acme", "globex"))
    for partition, offset, received_ms, sent in placed(log):
        if sent.flaw:
            count = len(sent.events) if sent.flaw == "scale" else 1
            truth.refuse(partition=partition, offset=offset, events=count, code="undecodable")
            continue
        truth.take(
            sent.events,
            tenant=sent.tenant,
            backfill=sent.backfill,
            partition=partition,
            offset=offset,
            received_ms=received_ms,
        )
    return truth


def placed(log: list[Sent]) -> Iterator[tuple[int, int, int, Sent]]:
    """Yield partition, offset, append time and record; the catalogues lie at offsets 0 and 1."""
    now_ms, ends = START_MS, [2] * PARTITIONS
    for sent in log:
        now_ms += sent.wait_ms
        yield sent.partition, ends[sent.partition], now_ms, sent
        ends[sent.partition] += 1


def source_of(log: list[Sent], partition: int) -> list[SourceRecord]:
    catalogues = [
        from_wire_usage_source(
            to_wire_catalogue(tenant=tenant, version=1, content=CONTENT),
            offset=offset,
            received_at_ms=START_MS,
        )
        for offset, tenant in enumerate(("acme", "globex"))
    ]
    return catalogues + [
        from_wire_usage_source(sent.value(), offset=offset, received_at_ms=received_ms)
        for at, offset, received_ms, sent in placed(log)
        if at == partition
    ]


def new_fold(partition: int) -> UsageFold:
    return UsageFold(partition=partition, partitions=PARTITIONS, salt=(3, 4))


def step(fold: UsageFold, records: list[SourceRecord]) -> UsageFacts:
    return fold.step(records, from_offset=records[0].offset, to_offset=records[-1].offset + 1)


def folded(records: list[SourceRecord], sizes: list[int], partition: int) -> list[UsageFacts]:
    """Fold a partition in micro-batches of these sizes, over and over."""
    fold, facts, at, turn = new_fold(partition), [], 0, 0
    while at < len(records):
        size = sizes[turn % len(sizes)]
        facts.append(step(fold, records[at : at + size]))
        at, turn = at + size, turn + 1
    return facts


SIZES = st.lists(st.integers(1, 7), min_size=1, max_size=4)


class TestSplitting:
    @given(log=logs(), sizes=SIZES)
    @settings(max_examples=400)
    def test_any_split_repetition_and_form_gives_the_windows_of_a_plain_count(
        self, log: list[Sent], sizes: list[int]
    ) -> None:
        """Batches or single events, repeated or not, cut anywhere: every figure is the truth's."""
        truth = truth_of(log)
        facts = {
            partition: folded(source_of(log, partition), sizes, partition)
            for partition in range(PARTITIONS)
        }
        every = [each for records in facts.values() for each in records]
        assert truth.windows == windows_of(every)
        assert truth.totals == +totals_of(every)
        assert truth.rejects == rejects_of(facts[0]) + rejects_of(facts[1], partition=1)
        assert sorted(truth.seen) == sorted(keys_of(every))

    @given(log=logs(), sizes=SIZES)
    @settings(max_examples=100)
    def test_nothing_that_arrives_is_left_uncounted(
        self, log: list[Sent], sizes: list[int]
    ) -> None:
        """In every hour of every tenant, received is the sum of the four fates."""
        for facts in folded(source_of(log, 0), sizes, 0):
            for count in facts.counts:
                fates = count.accepted + count.duplicates + count.conflicts + count.rejected
                assert count.received == fates

    @given(log=logs(), order=st.randoms(use_true_random=False))
    @settings(max_examples=50)
    def test_partitions_may_be_folded_in_any_interleaving(
        self, log: list[Sent], order: object
    ) -> None:
        """What one partition does between two records of another changes nothing."""
        folds = [new_fold(partition) for partition in range(PARTITIONS)]
        waiting = [source_of(log, partition) for partition in range(PARTITIONS)]
        facts: list[UsageFacts] = []
        while any(waiting):
            at = order.choice([number for number in range(PARTITIONS) if waiting[number]])  # type: ignore[attr-defined]
            facts.append(step(folds[at], [waiting[at].pop(0)]))
        assert truth_of(log).windows == windows_of(facts)


class TestRestoring:
    @given(log=logs(), sizes=SIZES, after=st.integers(0, 8), compact=st.booleans())
    @settings(max_examples=200)
    def test_a_restored_fold_goes_on_as_if_it_had_never_stopped(
        self, log: list[Sent], sizes: list[int], after: int, compact: bool
    ) -> None:
        """From the facts' wire bytes, whole or as a checkpoint keeps them."""
        binding = UsageBinding(Settings(partitions=PARTITIONS))
        records = source_of(log, 0)
        expected = folded(records, sizes, 0)
        fold = new_fold(0)
        for facts in expected[:after]:
            wire = binding.compact(facts) if compact else binding.to_wire(facts)
            fold.restore(from_wire_usage_facts(wire))
        for facts in expected[after:]:
            again = step(fold, records[facts.from_offset : facts.to_offset])
            assert to_wire_usage_facts(facts, writer="") == to_wire_usage_facts(again, writer="")

    @given(log=logs(), sizes=SIZES)
    @settings(max_examples=50)
    def test_facts_come_back_from_their_bytes(self, log: list[Sent], sizes: list[int]) -> None:
        """Writing what was read gives the same bytes."""
        for facts in folded(source_of(log, 0), sizes, 0):
            wire = to_wire_usage_facts(facts, writer="w")
            assert wire == to_wire_usage_facts(from_wire_usage_facts(wire), writer="w")


class TestForgetting:
    """Keys are forgotten late enough that no event which is in time is ever counted twice."""

    @given(
        ahead_ms=st.integers(0, 5 * MINUTE_MS),
        minute=st.integers(0, 59),
        sooner_ms=st.one_of(st.integers(0, 10 * MINUTE_MS), st.integers(-HOUR_MS, DAY_MS)),
        splits=st.lists(st.booleans(), min_size=3, max_size=3),
    )
    @settings(max_examples=300)
    def test_a_repeat_within_the_horizon_is_never_counted(
        self, ahead_ms: int, minute: int, sooner_ms: int, splits: list[bool]
    ) -> None:
        """However far ahead of its receipt the event lay, and wherever micro-batches end."""
        received_ms = START_MS // HOUR_MS * HOUR_MS + minute * MINUTE_MS
        again_ms = ahead_ms + 35 * DAY_MS - sooner_ms  # in time when it is not below zero
        event = Event(key=1, occurred_ms=received_ms + ahead_ms)
        records = [
            from_wire_usage_source(value, offset=offset, received_at_ms=at)
            for offset, (value, at) in enumerate(
                [
                    (to_wire_catalogue(tenant="acme", version=1, content=CONTENT), received_ms),
                    (event_record(event), received_ms),
                    (event_record(event), received_ms + again_ms),
                    (event_record(replace(event, key=2)), received_ms + again_ms + HOUR_MS),
                ]
            )
        ]
        fold = UsageFold(partition=0, partitions=1)
        facts, pending = [], []
        for record, ends in zip(records, [*splits, True], strict=True):
            pending.append(record)
            if ends:
                facts.append(step(fold, pending))
                pending = []
        accepted = [key for _, _, key in keys_of(facts)]
        assert accepted.count(1) == 1

    @given(log=logs(), sizes=SIZES)
    @settings(max_examples=100)
    def test_any_split_remembers_keys_by_the_same_hour(
        self, log: list[Sent], sizes: list[int]
    ) -> None:
        """The arrival hour of a key is that of its record, not of its micro-batch."""
        records = source_of(log, 0)
        one_by_one, together = (
            [hour for each in folded(records, cut, 0) for hour in each.accepted.hour.tolist()]
            for cut in ([1], sizes)
        )
        assert one_by_one == together
