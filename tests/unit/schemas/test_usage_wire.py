"""Wire values of usage records that the laws in tests/property do not reach."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from domain.codes import Code
from domain.errors import Rejected
from domain.usage.facts import UsageFacts
from domain.usage.fold import UsageFold
from domain.usage.records import CataloguePublished, Unreadable
from schemas.codec import Decoder, encode
from schemas.command_wire import from_wire_books_facts, from_wire_command
from schemas.registry import CATALOG_PUBLISHED, SUPERSEDED
from schemas.topics import USAGE_FACTS_TOPIC
from schemas.usage_wire import (
    from_wire_usage_facts,
    from_wire_usage_source,
    to_wire_catalogue,
    to_wire_usage_facts,
)
from tests.support.usage_truth import CATALOGUE, Event, batch_record


@pytest.fixture
def facts() -> UsageFacts:
    values = [
        to_wire_catalogue(tenant="acme", version=1, content=json.dumps(CATALOGUE)),
        batch_record([Event(1), Event(2**128 - 1, quantity=5), Event(3, quantity=-1)]),
    ]
    records = [
        from_wire_usage_source(value, offset=offset, received_at_ms=3_600_000)
        for offset, value in enumerate(values)
    ]
    return UsageFold(partition=0, partitions=1).step(records, from_offset=0, to_offset=2)


class TestFacts:
    def test_come_back_whole(self, facts: UsageFacts) -> None:
        """Spans, counts, rejects and catalogues as values; the writer is for people only."""
        found = from_wire_usage_facts(to_wire_usage_facts(facts, writer="w"))
        for name in ("from_offset", "to_offset", "received_high_ms", "counts", "rejects",
                     "catalogues"):  # fmt: skip
            assert getattr(facts, name) == getattr(found, name)

    def test_of_the_first_version_are_read_with_all_their_sets_admitted(
        self, facts: UsageFacts
    ) -> None:
        """Written before there were sketches and limits; the log keeps them for ever."""
        old = next(schema for schema in SUPERSEDED if schema.name == "usage_facts")
        assert old.version == 1
        _, fields = Decoder(USAGE_FACTS_TOPIC).decode(to_wire_usage_facts(facts, writer="w"))
        found = from_wire_usage_facts(encode(old, fields))
        assert found.windows.columns.keys() == facts.windows.columns.keys()
        assert found.sketches.states == ()
        assert list(range(len(facts.series))) == found.series.admitted.tolist()
        UsageFold(partition=0, partitions=1).restore(found)

    @pytest.mark.parametrize(
        ("table", "column"),
        [("accepted", "hour"), ("series", "owner"), ("windows", "late"), ("windows", "series")],
    )
    def test_of_columns_that_differ_in_length_are_refused(
        self, facts: UsageFacts, table: str, column: str
    ) -> None:
        """Corruption must be seen where it is read, not where it is added up."""
        columns: Any = getattr(facts, table)
        shorter = replace(columns, **{column: getattr(columns, column)[:-1]})
        changed: Any = {table: shorter}
        torn = to_wire_usage_facts(replace(facts, **changed), writer="w")
        with pytest.raises(Rejected, match="undecodable"):
            from_wire_usage_facts(torn)

    def test_with_an_index_that_points_to_nothing_are_refused(self, facts: UsageFacts) -> None:
        """An owner that is not in the record would be somebody else's bill."""
        beyond = replace(facts.accepted, owner=facts.accepted.owner + 1)
        with pytest.raises(Rejected, match="points to nothing"):
            from_wire_usage_facts(to_wire_usage_facts(replace(facts, accepted=beyond), writer=""))

    @pytest.mark.parametrize("value", [None, b"", b"garbage", b"\0\0\0\0\5"])
    def test_that_are_none_are_refused(self, value: bytes | None) -> None:
        """A facts topic holds nothing else."""
        with pytest.raises(Rejected):
            from_wire_usage_facts(value)
        with pytest.raises(Rejected):
            from_wire_books_facts(value)


class TestCatalogue:
    def test_must_fit_its_hash(self) -> None:
        """A torn document is no document."""
        fields = {"tenant": "t", "version": 1, "content": "{}", "content_sha256": bytes(32)}
        record = from_wire_usage_source(
            encode(CATALOG_PUBLISHED, fields), offset=0, received_at_ms=0
        )
        assert isinstance(record.body, Unreadable)
        assert Code.UNDECODABLE == record.body.code

    def test_arrives_as_it_was_published(self) -> None:
        """Tenant, version and text."""
        content = '{"é":1}'
        value = to_wire_catalogue(tenant="t", version=3, content=content)
        assert sha256(content.encode()).digest() in value
        record = from_wire_usage_source(value, offset=0, received_at_ms=0)
        assert CataloguePublished("t", 3, content) == record.body


class TestTenantOfAKey:
    @pytest.mark.parametrize(
        ("tenant", "key"),
        [("acme", b"acme"), ("", None), ("", b""), ("", b"\xff\xfe"), ("", b"nul\0"),
         ("", b"x" * 201)],
    )  # fmt: skip
    def test_names_who_sent_an_unreadable_record(self, tenant: str, key: bytes | None) -> None:
        """The record key is the tenant; one that is no clean text names nobody."""
        usage = from_wire_usage_source(b"garbage", offset=0, received_at_ms=0, key=key).body
        command = from_wire_command(b"garbage", offset=0, received_at_ms=0, key=key).body
        assert isinstance(usage, Unreadable)
        assert isinstance(command, Unreadable)
        assert [tenant, tenant] == [usage.tenant, command.tenant]
