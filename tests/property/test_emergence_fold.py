"""Laws of the emergence fold: order, once, disjoint covers, restoring, and an answer for anything.

The books of the property are a few lines of their own: they take requests and withdrawals in any
order that the real ones could see, and settle late, twice, or never.
"""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.canonical import to_canonical_json
from domain.emergence.facts import Cover, Detected, EmergenceFacts, Ended, TierRow
from domain.emergence.fold import EmergenceFold
from domain.emergence.records import DetectionSettled, NodeRecord, NodeReported, PulseReceived
from domain.usage.records import CataloguePublished, Unreadable
from schemas.emergence_wire import from_wire_emergence_facts, to_wire_emergence_facts
from tests.support.full_catalogue import GOOD

TENANT, PROJECT = "t", "p"
HOUR_MS = 3_600_000
NODES = ("n1", "n2")
FITS = ("0.95", "0.91", "0.5")


def catalogue(*, is_once: bool, is_refunding: bool, cool_down: int = 0) -> dict[str, Any]:
    """Two tiers and their bundle, on two nodes' flags."""
    document: dict[str, Any] = copy.deepcopy(GOOD)
    document["node_fields"] += [{"name": name, "type": "boolean"} for name in ("x", "y")]
    for tier, name in zip(document["tiers"], ("x", "y"), strict=True):
        tier["when"] = name
    for item in (*document["tiers"], *document["bundles"]):
        item.update(once_per_project=is_once, reversal_hours=2, cool_down_hours=cool_down)
    document["pulses"] = [{"field": "roi", "sets": "y", "tiers": ["two"]}]
    document["suspicions"] = []
    document["wallet"] = {
        "currency": "USD",
        "credit_price": "1",
        "refund_on_reversal": is_refunding,
    }
    return document


CATALOGUES = st.builds(
    catalogue, is_once=st.booleans(), is_refunding=st.booleans(), cool_down=st.sampled_from([0, 3])
)


def published(document: dict[str, Any]) -> CataloguePublished:
    return CataloguePublished(TENANT, document["version"], to_canonical_json(document))


@st.composite
def reports(draw: st.DrawFn) -> NodeReported:
    """A report of one of two nodes."""
    fields: dict[str, Any] = {
        "done": True,
        "stage": "ready",
        "x": draw(st.booleans()),
        "y": draw(st.sampled_from([True, False, None])),
    }
    if draw(st.booleans()):
        fields["customer_id"] = draw(st.sampled_from(["c1", "c2"]))
    if draw(st.booleans()):
        fields["node_version"] = draw(st.integers(0, 5))
    text = f'{{"fit": {draw(st.sampled_from(FITS))}, {json.dumps(fields)[1:]}'
    return NodeReported(
        TENANT, PROJECT, draw(st.sampled_from(NODES)), draw(st.integers(0, 20)), text
    )


@st.composite
def pulses(draw: st.DrawFn) -> PulseReceived:
    """A pulse on one of two nodes."""
    data = draw(st.sampled_from(['{"roi": true}', '{"roi": false}', "{}"]))
    return PulseReceived(
        TENANT, PROJECT, draw(st.sampled_from((*NODES, ""))), draw(st.integers(0, 20)), data
    )


class Stepper:
    """A fold that is given one record after another."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.fold = EmergenceFold(partition=0, partitions=1)
        self.offset = 0
        self.now_ms = 1_000_000
        self.records: list[NodeRecord] = []
        self.facts: list[EmergenceFacts] = []
        self.take(published(document))

    def take(self, body: Any) -> EmergenceFacts:
        record = NodeRecord(self.offset, self.now_ms, body)
        self.offset += 1
        self.records.append(record)
        facts = self.fold.step([record], from_offset=record.offset, to_offset=self.offset)
        self.facts.append(facts)
        return facts

    @property
    def tiers(self) -> dict[str, TierRow]:
        return {row.code: row for facts in self.facts for row in facts.tiers}


# ── order ───────────────────────────────────────────────────────────────────────────────────────


class TestOrder:
    @given(
        st.lists(st.one_of(reports(), pulses()), min_size=2, max_size=8), st.randoms(), CATALOGUES
    )
    def test_of_arrival_does_not_matter(
        self, events: list[Any], rng: random.Random, document: dict[str, Any]
    ) -> None:
        """After all updates: the same nodes, the same customer, the same tiers reached."""
        # Equal stamps are decided by the offset, which is the order of arrival.
        distinct = list({(_node(event), event.occurred_at_ms): event for event in events}.values())
        times = {event.occurred_at_ms for event in distinct}
        if len(times) < len(distinct):
            distinct = [
                type(event)(event.tenant, event.project, _node(event), 100 + index, event.data)
                for index, event in enumerate(distinct)
            ]
        shuffled = list(distinct)
        rng.shuffle(shuffled)
        assert _final(document, distinct) == _final(document, shuffled)


def _node(event: NodeReported | PulseReceived) -> str:
    return event.node if isinstance(event, NodeReported) else event.target_node


def _final(document: dict[str, Any], events: list[Any]) -> tuple[Any, ...]:
    world = Stepper(document)
    for event in events:
        world.take(event)
    nodes = {
        row.node: (
            row.data,
            row.values,
            {name: stamp.occurred_at_ms for name, stamp in row.pulses.items()},
        )
        for facts in world.facts
        for row in facts.nodes
    }
    customers = [row.customer for facts in world.facts for row in facts.projects]
    reached = {code for code, row in world.tiers.items() if row.is_reached}
    return nodes, customers[-1:], reached


# ── once, whatever the books and the clock do ───────────────────────────────────────────────────


@dataclass
class Books:
    """The least that the real books promise: a cover is charged once until it is given back."""

    is_refunding: bool
    requests: dict[str, tuple[Cover, ...]] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    held: dict[Cover, str] = field(default_factory=dict)
    inbox: list[Detected | Ended] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)

    def read(self) -> None:
        """Take the next wish of the policy."""
        if not self.inbox:
            return
        event = self.inbox.pop(0)
        if isinstance(event, Detected):
            self.requests[event.detection] = event.covers
            self.status[event.detection] = "requested"
        elif self.status.get(event.detection) == "requested":
            self.status[event.detection] = "withdrawn"
        elif (
            self.status.get(event.detection) == "charged"
            and event.how == "reversed"
            and self.is_refunding
        ):
            self.give_back(event.detection)

    def approve(self, detection: str) -> None:
        """Charge a request, unless one of its covers is charged."""
        covers = self.requests[detection]
        if self.status[detection] != "requested" or any(each in self.held for each in covers):
            return
        self.held |= dict.fromkeys(covers, detection)
        self.say(detection, "charged")

    def give_back(self, detection: str) -> None:
        """Refund a charge."""
        if self.status[detection] == "charged":
            self.held = {cover: by for cover, by in self.held.items() if by != detection}
            self.say(detection, "refunded")

    def end(self, detection: str, status: str) -> None:
        """Decline or expire a request, or refuse it."""
        if self.status[detection] == "requested":
            self.say(detection, status)

    def say(self, detection: str, status: str) -> None:
        self.status[detection] = status
        self.said.append((detection, status))


MOVES = st.one_of(
    reports(),
    pulses(),
    st.sampled_from(["read", "settle", "hour", "day", "again"]),
    st.tuples(
        st.sampled_from(["approve", "declined", "expired", "unbilled", "refund"]),
        st.integers(0, 5),
    ),
)


class Play:
    """Fold and books, each hearing of the other late."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.world = Stepper(document)
        self.books = Books(document["wallet"]["refund_on_reversal"])
        self.settled = 0
        self.detected: Counter[tuple[str, int]] = Counter()
        self.falls: Counter[str] = Counter()
        self.reached: set[str] = set()
        self.is_once = document["tiers"][0]["once_per_project"]

    def move(self, move: Any) -> None:
        world, books = self.world, self.books
        if isinstance(move, NodeReported | PulseReceived):
            self._hear(world.take(move))
        elif move == "read":
            books.read()
        elif move == "settle":
            self._settle()
        elif move == "again" and books.said:
            self._tell(books.said[0])  # at least once: an old word comes again
        elif move in ("hour", "day"):
            world.now_ms += HOUR_MS * (1 if move == "hour" else 24)
        elif isinstance(move, tuple) and books.requests:
            detection = list(books.requests)[move[1] % len(books.requests)]
            self._decide(move[0], detection)
        self._judge()

    def _decide(self, kind: str, detection: str) -> None:
        if kind == "approve":
            self.books.approve(detection)
        elif kind == "refund":
            self.books.give_back(detection)
        else:
            self.books.end(detection, kind)

    def finish(self) -> None:
        """Let all news arrive."""
        while self.books.inbox or self.settled < len(self.books.said):
            self.books.read()
            self._settle()
            self._judge()

    def _settle(self) -> None:
        if self.settled < len(self.books.said):
            self._tell(self.books.said[self.settled])
            self.settled += 1

    def _tell(self, word: tuple[str, str]) -> None:
        self._hear(self.world.take(DetectionSettled(TENANT, PROJECT, "", *word, 1)))

    def _hear(self, facts: EmergenceFacts) -> None:
        for event in facts.events:
            if isinstance(event, Detected):
                self.detected[event.code, event.generation] += 1
                assert event.detection not in self.books.requests
            self.books.inbox.append(event)  # type: ignore[arg-type]
        for row in facts.tiers:
            if row.is_reached:
                self.reached.add(row.code)
            elif row.code in self.reached:
                self.reached.discard(row.code)
                self.falls[row.code] += 1
        assert facts.rejects == ()

    def _judge(self) -> None:
        assert all(count == 1 for count in self.detected.values()), "a generation came twice"
        paid = Counter(cover.code for cover in self.books.held)
        assert all(count <= 1 + self.falls[code] for code, count in paid.items()), (
            "what never went away was paid for twice"
        )
        rows = self.world.tiers.values()
        standing = [row for row in rows if row.status in ("detected", "charged")]
        covers = Counter(cover for row in standing for cover in row.covers)
        assert all(count == 1 for count in covers.values()), "two detections stand for one claim"
        asked = Counter(
            cover.code for row in rows if row.status == "detected" for cover in row.covers
        )
        assert all(count == 1 for count in asked.values()), "one tier is asked for twice"
        if self.is_once:
            assert all(count == 1 for count in paid.values()), "a tier was paid for twice"


class TestOnce:
    @settings(max_examples=max(1_000, settings().max_examples))
    @given(st.lists(MOVES, max_size=40), CATALOGUES)
    def test_nothing_is_detected_or_charged_twice(
        self, moves: list[Any], document: dict[str, Any]
    ) -> None:
        """Whatever is reported, approved, taken back and told late or twice."""
        play = Play(document)
        for move in moves:
            play.move(move)
        play.finish()

    @given(st.lists(MOVES, max_size=30), CATALOGUES)
    def test_nothing_is_lost_for_good(self, moves: list[Any], document: dict[str, Any]) -> None:
        """After everything, work that goes away and comes again is offered, unless it is paid."""
        play = Play(document)
        for move in moves:
            play.move(move)
        play.finish()
        for detection in list(play.books.requests):
            play.books.end(detection, "expired")
        play.finish()
        play.world.now_ms += 1_000 * HOUR_MS
        for number, has_both in enumerate((False, True, True)):
            for node in NODES:
                data = {"fit": "0.95", "x": has_both, "y": has_both, "customer_id": "c"}
                data["node_version"] = 10 + number
                report = NodeReported(TENANT, PROJECT, node, 10_000 + number, json.dumps(data))
                play.move(report)
            play.world.now_ms += 1_000 * HOUR_MS
        play.finish()
        rows = play.world.tiers
        waiting = {
            cover.code
            for row in rows.values()
            if row.status in ("detected", "charged")
            for cover in row.covers
            if rows[cover.code].claim == cover.claim or row.status == "detected"
        }
        assert {"one", "two"} <= waiting

    @given(st.lists(MOVES, max_size=30), CATALOGUES)
    def test_what_stays_charged_is_what_the_books_hold(
        self, moves: list[Any], document: dict[str, Any]
    ) -> None:
        """Once all news has arrived, both sides agree on every claim of now."""
        play = Play(document)
        for move in moves:
            play.move(move)
        play.finish()
        rows = play.world.tiers
        for cover in play.books.held:
            if rows[cover.code].claim == cover.claim:
                charged = {
                    each for row in rows.values() if row.status == "charged" for each in row.covers
                }
                assert cover in charged


# ── restoring ───────────────────────────────────────────────────────────────────────────────────


class TestRestoring:
    @given(st.lists(MOVES, max_size=25), CATALOGUES, st.randoms())
    def test_equals_stepping_however_it_was_cut(
        self, moves: list[Any], document: dict[str, Any], rng: random.Random
    ) -> None:
        """Cut anew into micro-batches, through the wire, restored in the middle: the same rows."""
        play = Play(document)
        for move in moves:
            play.move(move)
        records = play.world.records
        fold = EmergenceFold(partition=0, partitions=1)
        found: list[EmergenceFacts] = []
        place = 0
        while place < len(records):
            size = rng.randint(1, 4)
            batch = records[place : place + size]
            facts = fold.step(batch, from_offset=place, to_offset=place + len(batch))
            facts = from_wire_emergence_facts(to_wire_emergence_facts(facts, writer="w"))
            found.append(facts)
            place += len(batch)
            if rng.random() < 0.5:
                fold = EmergenceFold(partition=0, partitions=1)
                for each in found:
                    fold.restore(each)
        assert _table(found) == _table(play.world.facts)


def _table(facts: list[EmergenceFacts]) -> tuple[Any, ...]:
    events = [event for each in facts for event in each.events]
    nodes = {(row.key, row.node): row for each in facts for row in each.nodes}
    tiers = {(row.key, row.code): row for each in facts for row in each.tiers}
    projects = {row.key: row for each in facts for row in each.projects}
    activity: Counter[tuple[str, int]] = Counter()
    for each in facts:
        for count in each.activity:
            activity[count.customer, 0] += count.updates
            activity[count.customer, 1] += count.pulses
    return events, nodes, tiers, projects, activity


# ── anything ────────────────────────────────────────────────────────────────────────────────────

JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["fit", "x", "y", "roi", "node_data", "customer_id", "node_version", "z"]
            ),
            inner,
        )
    ),
)
TEXTS = st.one_of(JSONS.map(json.dumps), st.text(max_size=20), st.just("{" * 20_000))
NAMES = st.one_of(st.sampled_from(["", "n1", "p"]), st.text(max_size=3))
TIMES = st.integers(-(2**63), 2**63 - 1)
ANYTHING = st.one_of(
    st.builds(NodeReported, NAMES, NAMES, NAMES, TIMES, TEXTS),
    st.builds(PulseReceived, NAMES, NAMES, NAMES, TIMES, TEXTS),
    st.builds(DetectionSettled, NAMES, NAMES, NAMES, NAMES, NAMES, TIMES),
    st.builds(CataloguePublished, NAMES, st.integers(), TEXTS),
    st.builds(Unreadable, st.sampled_from(["undecodable"]), NAMES, NAMES),
)


class TestAnything:
    @given(st.lists(ANYTHING, max_size=5), CATALOGUES)
    def test_has_an_answer(self, bodies: list[Any], document: dict[str, Any]) -> None:
        """No record makes the fold raise, and one that is refused changes nothing."""
        world = Stepper(document)
        for body in bodies:
            facts = world.take(body)
            assert len(facts.rejects) <= 1
            if facts.rejects:
                assert (facts.events, facts.nodes, facts.tiers, facts.projects) == ((), (), (), ())
