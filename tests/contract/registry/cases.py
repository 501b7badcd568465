"""What any registry of ours answers; both doors inherit these cases."""

from __future__ import annotations

import json
import uuid

import pytest

from schemas.registry import SCHEMAS, SUPERSEDED, USAGE_BATCH, USAGE_EVENT, USAGE_FACTS, Schema
from schemas.subjects import FOREIGN_ID_MIN, full_name
from schemas.topics import TOPICS
from tests.support.registries import (
    USAGE_EVENT_SUBJECT,
    RefusedError,
    RegistryDoor,
    a_field,
    extended,
    record,
)

OWN = (*SCHEMAS, *SUPERSEDED)


def refused(why: str) -> pytest.RaisesExc[RefusedError]:
    return pytest.RaisesExc(RefusedError, match=f"^{why}")


class RegistryCases:
    """A subject of a test's own is one that nobody else has: the log may be shared."""

    @pytest.fixture
    def subject(self) -> str:
        return f"test-{uuid.uuid4().hex}-value"

    # ── our own schemas ──────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("schema", OWN, ids=lambda schema: f"{schema.name}.v{schema.version}")
    def test_our_own_are_there_under_their_fixed_ids(
        self, door: RegistryDoor, schema: Schema
    ) -> None:
        """Whoever reads a frame of ours finds what it means, from the first moment on."""
        assert schema.definition == door.schema(schema.schema_id)

    @pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
    def test_our_own_stand_where_each_naming_strategy_looks(
        self, door: RegistryDoor, schema: Schema
    ) -> None:
        name = full_name(schema)
        of_topics = {f"{topic.name}-{name}" for topic in TOPICS if schema in topic.schemas}
        subjects = {subject for subject, _ in door.places(schema.schema_id)}
        assert of_topics
        assert {*of_topics, name} <= subjects <= set(door.subjects())

    def test_a_topic_of_several_records_has_the_row_form_under_its_value(
        self, door: RegistryDoor
    ) -> None:
        """TopicNameStrategy is the default of foreign producers; UsageEvent is made for them."""
        assert USAGE_EVENT.schema_id == door.version(USAGE_EVENT_SUBJECT, 1).schema_id

    def test_versions_of_ours_have_their_numbers(self, door: RegistryDoor) -> None:
        subject = f"usage.facts-{full_name(USAGE_FACTS)}"
        expected = {
            schema.version: schema.schema_id for schema in OWN if schema.name == "usage_facts"
        }
        found = {number: door.version(subject, number) for number in door.versions(subject)}
        assert expected == {number: version.schema_id for number, version in found.items()}

    @pytest.mark.parametrize("subject", [USAGE_EVENT_SUBJECT, "tidegauge.UsageEvent"])
    def test_one_of_ours_written_otherwise_is_the_same(
        self, door: RegistryDoor, subject: str
    ) -> None:
        """Members in another order, other blanks and other docs do not change a byte."""
        turned = {
            **dict(reversed(USAGE_EVENT.definition.items())),
            "doc": "said otherwise",
            "fields": [
                {**dict(reversed(field.items())), "doc": ""}
                for field in USAGE_EVENT.definition["fields"]
            ],
        }
        assert USAGE_EVENT.schema_id == door.register(subject, json.dumps(turned, indent=3))
        assert USAGE_EVENT.schema_id == door.look_up(subject, json.dumps(turned)).schema_id

    def test_one_of_ours_has_its_id_under_any_subject(
        self, door: RegistryDoor, subject: str
    ) -> None:
        assert USAGE_BATCH.schema_id == door.register(subject, USAGE_BATCH.text)

    def test_fields_in_another_order_are_another_schema(self, door: RegistryDoor) -> None:
        """Their order is the order of the bytes."""
        fields = list(reversed(USAGE_EVENT.definition["fields"]))
        turned = json.dumps({**USAGE_EVENT.definition, "fields": fields})
        assert door.register(USAGE_EVENT_SUBJECT, turned) >= FOREIGN_ID_MIN

    # ── registering ──────────────────────────────────────────────────────────────────────────

    def test_a_new_schema_gets_an_id_beyond_ours_and_keeps_it(
        self, door: RegistryDoor, subject: str
    ) -> None:
        schema = record("Seen", a_field("at", "long"))
        schema_id = door.register(subject, schema)
        assert schema_id >= FOREIGN_ID_MIN
        assert schema_id == door.register(subject, schema)
        assert [1] == door.versions(subject)
        assert json.loads(schema) == door.schema(schema_id)
        assert {(subject, 1)} == door.places(schema_id)
        found = door.look_up(subject, schema)
        assert (subject, 1, schema_id) == (found.subject, found.version, found.schema_id)

    def test_the_same_schema_has_one_id_under_two_subjects(
        self, door: RegistryDoor, subject: str
    ) -> None:
        schema = record(f"Shared{uuid.uuid4().hex}", a_field("at", "long"))
        first, second = door.register(subject, schema), door.register(f"{subject}2", schema)
        assert first == second
        assert {(subject, 1), (f"{subject}2", 1)} == door.places(first)

    def test_versions_are_numbered_and_the_latest_is_the_last(
        self, door: RegistryDoor, subject: str
    ) -> None:
        ids = [
            door.register(
                subject,
                record("Grown", *(a_field(f"f{n}", "int", default=n) for n in range(count))),
            )
            for count in (1, 2, 3)
        ]
        assert len(set(ids)) == 3
        assert [1, 2, 3] == door.versions(subject)
        assert ids == [door.version(subject, number).schema_id for number in (1, 2, 3)]
        assert ids[-1] == door.version(subject).schema_id

    def test_what_is_not_there_is_unknown(self, door: RegistryDoor, subject: str) -> None:
        with refused("unknown"):
            door.versions(subject)
        with refused("unknown"):
            door.version(subject)
        with refused("unknown"):
            door.schema(999)
        with refused("unknown"):
            door.look_up(subject, record("Nobody", a_field("at", "long")))
        with refused("unknown"):
            door.version(USAGE_EVENT_SUBJECT, 99_999)

    # ── compatibility ────────────────────────────────────────────────────────────────────────

    def test_a_field_without_a_default_is_refused(self, door: RegistryDoor, subject: str) -> None:
        """Old records lack it."""
        door.register(subject, record("Row", a_field("a", "long")))
        wanted = record("Row", a_field("a", "long"), a_field("b", "long"))
        assert not door.fits(subject, wanted)
        with refused("incompatible.*b: the field was not written and has no default"):
            door.register(subject, wanted)
        assert [1] == door.versions(subject)

    def test_every_earlier_version_counts_not_only_the_last(
        self, door: RegistryDoor, subject: str
    ) -> None:
        """Transitive: version 3 reads version 2, and version 1 had the field as a text."""
        door.register(subject, record("Row", a_field("a", "long"), a_field("b", "string")))
        door.register(subject, record("Row", a_field("a", "long")))
        wanted = record("Row", a_field("a", "long"), a_field("b", "int", default=0))
        with refused("incompatible.*version 1 is not read by it: b: string"):
            door.register(subject, wanted)

    def test_a_wider_type_is_taken_and_a_narrower_one_is_not(
        self, door: RegistryDoor, subject: str
    ) -> None:
        door.register(subject, record("Row", a_field("a", "int")))
        assert door.fits(subject, record("Row", a_field("a", "long")))
        assert door.fits(subject, record("Row", a_field("a", ["null", "int"])))
        assert not door.fits(subject, record("Row", a_field("a", "string")))
        door.register(subject, record("Row", a_field("a", "long")))
        assert not door.fits(
            subject, record("Row", a_field("a", "int"), a_field("c", "int", default=1))
        )

    # ── our topics ───────────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize(
        "strategy", ["usage.events-value", "usage.events-tidegauge.UsageEvent"]
    )
    def test_a_usage_event_may_have_more_fields(self, door: RegistryDoor, strategy: str) -> None:
        wanted = extended(
            USAGE_EVENT.definition,
            a_field(f"f{uuid.uuid4().hex}", ["null", "string"], default=None),
        )
        schema_id = door.register(strategy, wanted)
        assert schema_id >= FOREIGN_ID_MIN
        assert strategy in {subject for subject, _ in door.places(schema_id)}

    def test_a_usage_event_that_our_readers_could_not_read_is_refused(
        self, door: RegistryDoor
    ) -> None:
        """Backward it is compatible; but the fold needs the field."""
        fields = [item for item in USAGE_EVENT.definition["fields"] if item["name"] != "quantity"]
        wanted = json.dumps({**USAGE_EVENT.definition, "fields": fields})
        assert not door.fits(USAGE_EVENT_SUBJECT, wanted)
        with refused("incompatible.*readers of usage.events.*quantity"):
            door.register(USAGE_EVENT_SUBJECT, wanted)

    def test_another_record_has_no_place_in_our_topic(self, door: RegistryDoor) -> None:
        with refused("incompatible.*tidegauge.Other"):
            door.register(
                USAGE_EVENT_SUBJECT,
                record("Other", a_field("a", "long", default=0), namespace="tidegauge"),
            )
        with refused("closed"):
            door.register("usage.events-mine.Other", record("Other", a_field("a", "long")))
        with refused("closed"):
            door.register("usage.events-key", '"string"')

    @pytest.mark.parametrize("subject", ["usage.facts-value", "tidegauge.BooksFacts"])
    def test_what_only_we_write_nobody_extends(self, door: RegistryDoor, subject: str) -> None:
        newest = door.version(subject).schema
        with refused("closed"):
            door.register(subject, extended(newest, a_field("more", "int", default=0)))

    # ── bad input ────────────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize(
        "schema",
        [
            "",
            "{",
            "nonsense",
            '"nonsense"',
            "[]",
            "[" * 10_000,
            '{"type": "record", "name": "R", "fields": []}',
            '{"type": "record", "name": "R", "fields": [{"name": "r", "type": ["null", "R"]}]}',
            '{"type": "array", "items": "null"}',
            '{"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}',
            '{"type": "record", "name": "R", "fields": [{"name": "n", "type": "null"}]}',
            '{"type": "fixed", "name": "F", "size": 1000000}',
            '{"type":' * 400 + '"int"' + "}" * 400,
            '{"type": "array", "items": ' * 20 + '"int"' + "}" * 20,
            '{"type": "record", "name": "a b", "fields": [{"name": "a", "type": "int"}]}',
            record("R", a_field("a", "int", default="x")),
            record("R", a_field("a", "long")).replace("}]", ', "default": 1e400}]'),
            record("R", a_field("a", "long")).replace("}]", ', "default": NaN}]'),
            record("R", a_field("a", "int")).replace("{", '{"name": "S", ', 1),
            record("R", a_field("a", "int"), aliases=["S"]),
            record("R", a_field("a", "int"), a_field("a", "int")),
            record("R", a_field("a", {"type": "enum", "name": "E", "symbols": []})),
            record("R", a_field("a", ["int", "int"])),
            record("R", a_field("a", [])),
            record("R", a_field("a", ["null"])),
            record("R", a_field("a", "int")).replace("{", '{"n": 1e99999999999999999999, ', 1),
            record("R", a_field("a", [{"type": ["int", "string"]}, "int"])),
            record("R", a_field("a", ["null", {"type": ["null", "int"]}])),
            record(
                "x.R", a_field("a", {"type": "fixed", "name": "F", "namespace": "", "size": 1})
            ),
            record(
                "R",
                a_field("a", {"type": "fixed", "name": "F", "size": 1}),
                a_field("b", {"type": "fixed", "name": "x.F", "size": 3}),
                a_field(
                    "c",
                    {
                        "type": "record",
                        "name": "x.Y",
                        "fields": [
                            a_field(
                                "d",
                                {
                                    "type": "record",
                                    "name": "Z",
                                    "namespace": "",
                                    "fields": [a_field("e", "F")],
                                },
                            )
                        ],
                    },
                ),
            ),
            record("Long", *(a_field(f"f{'x' * 80}{n}", "int") for n in range(500))),
        ],
        ids=lambda text: text[:60],
    )
    def test_hostile_and_broken_schemas_are_refused(
        self, door: RegistryDoor, subject: str, schema: str
    ) -> None:
        with refused("invalid"):
            door.register(subject, schema)

    def test_names_that_unfold_without_end_are_refused(
        self, door: RegistryDoor, subject: str
    ) -> None:
        """Ten lines of text, ten billion types."""
        inner: object = {"type": "record", "name": "R0", "fields": [a_field("x", "int")]}
        for level in range(1, 6):
            fields = [a_field("f0", inner)]
            fields += [a_field(f"f{n}", f"R{level - 1}") for n in range(1, 100)]
            inner = {"type": "record", "name": f"R{level}", "fields": fields}
        with refused("invalid.*unfolds"):
            door.register(subject, json.dumps(inner))

    @pytest.mark.parametrize("subject", ["a b", "ä", "x" * 250, "a:b", "%00"])
    def test_odd_subjects_are_refused(self, door: RegistryDoor, subject: str) -> None:
        with refused("invalid"):
            door.register(subject, '"string"')
