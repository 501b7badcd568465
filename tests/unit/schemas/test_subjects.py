"""The fold of schema.registrations: what may never move, and what a log may hold."""

from __future__ import annotations

import dataclasses
import json
from functools import cached_property
from typing import Any

import pytest

from domain.codes import Code
from domain.errors import Rejected
from domain.usage.records import EVENTS_PER_BATCH_MAX, EventBatch, Unreadable
from schemas import avro_parser, subjects, wire_ids
from schemas.codec import Decoder, encode
from schemas.registry import NODE_UPDATED, SCHEMAS, SUPERSEDED, USAGE_BATCH, USAGE_EVENT, Schema
from schemas.subjects import (
    FOREIGN_ID_MIN,
    ID_MARGIN_MS,
    KIND,
    OWN,
    OWN_ID,
    OWN_ID_FIRST,
    PLACES,
    Foreign,
    Place,
    Proposal,
    Registry,
    from_wire_proposal,
    to_wire_proposal,
)
from schemas.topics import NODE_EVENTS, TOPICS, USAGE_EVENTS, Topic
from schemas.usage_wire import from_wire_usage_source
from tests.support.registries import a_field, extended, framed, record
from tests.support.usage_truth import Event, batch_record

AT_MS = 1_700_000_000_000
SUBJECT = "usage.events-value"
SITE = a_field("site", ["null", "string"], default=None)
EXTENDED = extended(USAGE_EVENT.definition, SITE)
FIELDS: dict[str, Any] = {
    "tenant": "acme",
    "source": "",
    "key": bytes(16),
    "fingerprint": bytes(8),
    "id": "i",
    "customer": "c",
    "type": "llm",
    "occurred_at_ms": AT_MS,
    "quantity": 5,
    "scale": 0,
    "dimensions": {"model": "a"},
    "properties": {},
    "backfill": False,
}


def folded(*values: bytes | Proposal | None) -> Registry:
    """The registry after these records; the second is appended a second after the first."""
    registry = Registry()
    for offset, value in enumerate(values):
        wire = to_wire_proposal(value) if isinstance(value, Proposal) else value
        registry.apply(wire, offset=offset, received_at_ms=AT_MS + offset * 1_000)
    return registry


class Known:
    """Looks ids up in one registry, and counts how often."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.asked: list[int] = []

    def find(self, topic: Topic, schema_id: int, *, received_at_ms: int) -> Foreign | None:
        self.asked.append(schema_id)
        return self.registry.foreign(topic, schema_id, received_at_ms=received_at_ms)


class TestIds:
    def test_come_from_the_place_in_the_log(self) -> None:
        """What became of other proposals does not move them, so rules may change some day."""
        refused = Proposal(SUBJECT, record("Other", a_field("a", "int")))
        registry = folded(refused, b"garbage", Proposal(SUBJECT, EXTENDED), refused)
        assert [FOREIGN_ID_MIN + 2] == [
            version.schema_id for version in registry.versions(SUBJECT) if version.own is None
        ]

    def test_of_ours_stay_below_those_of_others(self) -> None:
        assert max(OWN) < FOREIGN_ID_MIN
        assert OWN_ID_FIRST <= OWN_ID

    def test_are_the_first_ones_when_a_proposal_comes_twice(self) -> None:
        """Two servers at once: the log holds both proposals, and the second changes nothing."""
        twice = folded(Proposal(SUBJECT, EXTENDED), Proposal(SUBJECT, EXTENDED))
        assert [USAGE_EVENT.schema_id, FOREIGN_ID_MIN] == [
            version.schema_id for version in twice.versions(SUBJECT)
        ]
        assert AT_MS == twice.versions(SUBJECT)[1].since_ms


class TestLog:
    @pytest.mark.parametrize(
        "value",
        [
            None,
            b"",
            b"\xff",
            b"null",
            b"[]",
            b"{}",
            b"1.5",
            b"[" * 50_000,
            json.dumps({"kind": "Another", "own_id": 9, "rules": 1, "schema": "", "subject": ""}),
            json.dumps({"kind": KIND, "own_id": "9", "rules": 1, "schema": "", "subject": ""}),
            json.dumps({"kind": KIND, "own_id": 9, "rules": 1, "schema": "{", "subject": "s"}),
            json.dumps({"kind": KIND, "own_id": 9, "rules": 1, "schema": '"int"', "subject": ""}),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_may_hold_anything(self, value: bytes | str | None) -> None:
        """Whoever can write to the topic must not be able to stop its readers."""
        raw = value.encode() if isinstance(value, str) else value
        registry = folded(raw, Proposal("mine", '"int"'))
        assert [FOREIGN_ID_MIN + 1] == [each.schema_id for each in registry.versions("mine")]

    @pytest.mark.parametrize("own_id", [-5, 0, 1, 10**9])
    def test_may_claim_any_release(self, own_id: int) -> None:
        """A proposal that denies our schemas is judged by them all the same."""
        fields = [field for field in USAGE_EVENT.definition["fields"] if field["name"] != "key"]
        unreadable = json.dumps({**USAGE_EVENT.definition, "fields": fields})
        registry = folded(
            Proposal(SUBJECT, unreadable, own_id), Proposal(SUBJECT, EXTENDED, own_id)
        )
        assert [USAGE_EVENT.schema_id, FOREIGN_ID_MIN + 1] == [
            version.schema_id for version in registry.versions(SUBJECT)
        ]

    def test_says_a_proposal_as_it_was(self) -> None:
        proposal = Proposal(SUBJECT, EXTENDED)
        assert proposal == from_wire_proposal(to_wire_proposal(proposal))


class TestForeign:
    def test_counts_for_records_that_came_after_it(self) -> None:
        """By more than clocks may differ: then a replay decides as the fold did."""
        registry = folded(Proposal(SUBJECT, EXTENDED))
        find = registry.foreign
        since_ms = AT_MS + ID_MARGIN_MS
        assert find(USAGE_EVENTS, FOREIGN_ID_MIN, received_at_ms=since_ms - 1) is None
        assert find(USAGE_EVENTS, FOREIGN_ID_MIN, received_at_ms=since_ms) is not None

    def test_counts_in_the_topic_of_its_subject_only(self) -> None:
        registry = folded(Proposal(SUBJECT, EXTENDED), Proposal("elsewhere", '"int"'))
        late = AT_MS + 60_000
        assert registry.foreign(NODE_EVENTS, FOREIGN_ID_MIN, received_at_ms=late) is None
        assert registry.foreign(USAGE_EVENTS, FOREIGN_ID_MIN + 1, received_at_ms=late) is None
        nodes = folded(
            Proposal("node.events-value", extended(NODE_UPDATED.definition, SITE)),
        )
        assert nodes.foreign(NODE_EVENTS, FOREIGN_ID_MIN, received_at_ms=late) is not None
        assert nodes.foreign(USAGE_EVENTS, FOREIGN_ID_MIN, received_at_ms=late) is None

    def test_counts_from_when_it_stood_under_the_topics_subject(self) -> None:
        """An id may be old, and new in a topic."""
        registry = folded(Proposal("elsewhere", EXTENDED), None, None, Proposal(SUBJECT, EXTENDED))
        ids = {version.schema_id for version in registry.versions("elsewhere")}
        assert ids == {version.schema_id for version in registry.versions(SUBJECT)[1:]}
        early, late = AT_MS + 2_000, AT_MS + 3_000 + ID_MARGIN_MS
        assert registry.foreign(USAGE_EVENTS, FOREIGN_ID_MIN, received_at_ms=early) is None
        assert registry.foreign(USAGE_EVENTS, FOREIGN_ID_MIN, received_at_ms=late) is not None


class TestRecords:
    def test_with_more_fields_are_read_as_ours(self) -> None:
        known = Known(folded(Proposal(SUBJECT, EXTENDED)))
        value = framed(FOREIGN_ID_MIN, EXTENDED, FIELDS | {"site": "here"})
        schema, fields = Decoder(USAGE_EVENTS).decode(
            value, received_at_ms=AT_MS + 60_000, foreign=known
        )
        assert schema is USAGE_EVENT
        assert FIELDS == fields

    def test_with_wider_or_narrower_numbers_are_read_as_ours(self) -> None:
        """An int where we have a long is what some generators make."""
        definition = json.loads(EXTENDED)
        for field in definition["fields"]:
            if field["name"] == "scale":
                field["type"] = {"type": "int", "logicalType": "date"}
        text = json.dumps(definition)
        known = Known(folded(Proposal(SUBJECT, text)))
        value = framed(FOREIGN_ID_MIN, text, FIELDS | {"site": None})
        _, fields = Decoder(USAGE_EVENTS).decode(
            value, received_at_ms=AT_MS + 60_000, foreign=known
        )
        assert FIELDS == fields
        assert type(fields["scale"]) is int

    def test_of_ours_cost_no_look_up(self) -> None:
        """The hot path knows nothing of the registry."""
        known = Known(Registry())
        Decoder(USAGE_EVENTS).decode(encode(USAGE_EVENT, FIELDS), foreign=known)
        assert [] == known.asked

    @pytest.mark.parametrize("events", [3, EVENTS_PER_BATCH_MAX, EVENTS_PER_BATCH_MAX + 1])
    def test_may_be_batches_and_are_bounded_as_ours(self, events: int) -> None:
        text = extended(USAGE_BATCH.definition, a_field("note", "string", default=""))
        known = Known(folded(Proposal("tidegauge.UsageBatch", text)))
        batch = batch_record([Event(key=number) for number in range(events)])
        value = batch[:1] + FOREIGN_ID_MIN.to_bytes(4, "big") + batch[5:] + b"\x08note"
        body = from_wire_usage_source(
            value, offset=0, received_at_ms=AT_MS + 60_000, foreign=known
        ).body
        if events <= EVENTS_PER_BATCH_MAX:
            assert isinstance(body, EventBatch)
            assert events == len(body.occurred_at_ms)
        else:
            assert isinstance(body, Unreadable)


@dataclasses.dataclass(frozen=True)
class LaterSchema(Schema):
    """A UsageEvent as a later release of ours might have it."""

    @cached_property
    def definition(self) -> dict[str, Any]:  # type: ignore[explicit-override]  # typing has it from 3.12 on
        later = json.loads(
            extended(USAGE_EVENT.definition, a_field("region", "string", default="none"))
        )
        return dict(later)


LATER = LaterSchema("usage_event", OWN_ID + 1, 2)


class TestLaterRelease:
    @pytest.fixture(autouse=True)
    def _release(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(subjects, "OWN", {**OWN, LATER.schema_id: LATER})
        monkeypatch.setattr(subjects, "OWN_ID", LATER.schema_id)
        topic = dataclasses.replace(USAGE_EVENTS, foreign=(LATER, USAGE_BATCH))
        later = {
            subject: Place(topic, LATER)
            for subject, place in PLACES.items()
            if place.schema is USAGE_EVENT
        }
        monkeypatch.setattr(subjects, "PLACES", {**PLACES, **later})
        numbers = {**wire_ids.BUILT_IN, LATER.schema_id: LATER.schema_id}
        monkeypatch.setattr(wire_ids, "_in_force", [numbers])
        monkeypatch.setattr(
            subjects,
            "_TYPES",
            {**subjects._TYPES, LATER.schema_id: (LATER.text, avro_parser.parse(LATER.text))},
        )

    def test_takes_the_version_after_those_of_others(self) -> None:
        """A version that somebody has written down keeps its number."""
        registry = folded(Proposal(SUBJECT, EXTENDED, OWN_ID))
        expected = [USAGE_EVENT.schema_id, FOREIGN_ID_MIN, LATER.schema_id]
        assert expected == [version.schema_id for version in registry.versions(SUBJECT)]
        assert [1, 2, 3] == [version.number for version in registry.versions(SUBJECT)]

    def test_keeps_that_place_when_more_come(self) -> None:
        more = extended(json.loads(EXTENDED), a_field("region", "string", default=""))
        registry = folded(
            Proposal(SUBJECT, EXTENDED, OWN_ID), Proposal(SUBJECT, more, LATER.schema_id)
        )
        expected = [USAGE_EVENT.schema_id, FOREIGN_ID_MIN, LATER.schema_id, FOREIGN_ID_MIN + 1]
        assert expected == [version.schema_id for version in registry.versions(SUBJECT)]

    def test_reads_what_used_its_new_name_before(self) -> None:
        """Somebody had a region of their own, a number; ours is a text and comes later."""
        text = extended(USAGE_EVENT.definition, a_field("region", "int", default=0))
        known = Known(folded(Proposal(SUBJECT, text, OWN_ID)))
        topic = dataclasses.replace(USAGE_EVENTS, schemas=(USAGE_BATCH, LATER))
        value = framed(FOREIGN_ID_MIN, text, FIELDS | {"region": 7})
        schema, fields = Decoder(topic).decode(value, received_at_ms=AT_MS + 60_000, foreign=known)
        assert schema is LATER
        assert FIELDS | {"region": "none"} == fields


class TestLimits:
    def test_of_versions(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(subjects, "VERSIONS_MAX", 2)
        proposals = [
            Proposal("s", record("R", *(a_field(f"f{n}", "int", default=0) for n in range(count))))
            for count in (1, 2, 3)
        ]
        registry = folded(*proposals)
        assert [1, 2] == [version.number for version in registry.versions("s")]
        with pytest.raises(Rejected) as refused:
            registry.decide(proposals[2])
        assert Code.SCHEMA_LIMIT == refused.value.code

    def test_of_subjects_do_not_touch_those_that_are_there(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(subjects, "SUBJECTS_MAX", 1)
        registry = folded(Proposal("s", '"int"'), Proposal("t", '"int"'), Proposal("s", '"long"'))
        assert [] == registry.versions("t")
        assert 2 == len(registry.versions("s"))
        assert registry.decide(Proposal(SUBJECT, EXTENDED)) is None

    def test_of_all_texts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(subjects, "TEXTS_BYTES_MAX", 10)
        registry = folded(Proposal("s", '"int"'), Proposal("t", '"int"'), Proposal("u", '"int"'))
        assert [1, 1, 0] == [len(registry.versions(name)) for name in "stu"]


class TestOwn:
    @pytest.mark.parametrize(
        "schema", [*SCHEMAS, *SUPERSEDED], ids=lambda schema: f"{schema.name}.v{schema.version}"
    )
    def test_schemas_fit_our_own_bounds(self, schema: Schema) -> None:
        """What we ask of strangers we keep ourselves, with room to grow."""
        assert len(schema.text) < avro_parser.SCHEMA_BYTES_MAX // 2
        avro_parser.parse(schema.text)

    def test_topics_say_who_may_extend_what(self) -> None:
        """Only what a topic takes at all, and never what a fold writes."""
        facts = {topic.facts for topic in TOPICS if topic.facts}
        for topic in TOPICS:
            assert set(topic.foreign) <= set(topic.schemas)
            assert not (topic.foreign and topic.name in facts)
