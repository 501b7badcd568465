"""Where a dead letter may go back to, what it is called, and what a terminal is spared."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.dead import hex_lines, shown, told
from domain import routing
from domain.books.records import Command
from domain.codes import Code
from domain.emergence.records import DetectionSettled
from domain.errors import Rejected
from domain.period import from_ms
from producers.dead_letters.letters import Letter, Name, Wanted, name_of
from producers.dead_letters.replay import body_of, replay, target_of
from runtime.settings import Settings
from schemas.command_wire import to_wire_command
from schemas.node_wire import (
    NodeReport,
    to_wire_emergence_settled,
    to_wire_node_updated,
    to_wire_pulse_received,
)
from schemas.usage_wire import to_wire_catalogue
from tests.support.kafka_hash import partition_of
from tests.support.usage_truth import Event, batch_record, event_record

PARTITIONS = 4
HOME = partition_of("acme", "ann", partitions=PARTITIONS)
AWAY = (HOME + 1) % PARTITIONS
LETTER = Letter(
    name=Name("usage.events", AWAY, 7), code=Code.MISROUTED, reason="", tenant="acme",
    at_ms=1_000, place=(AWAY, 0), key=b"acme", value=event_record(Event(1)), whole_bytes=0,
    whole_sha256="", headers=(),
)  # fmt: skip


def other_customer() -> str:
    names = (f"customer-{number}" for number in range(99))
    return next(
        each for each in names if partition_of("acme", each, partitions=PARTITIONS) == AWAY
    )


class TestTheTarget:
    def test_of_an_event_is_where_its_customer_lives(self) -> None:
        assert HOME == target_of(LETTER, partitions=PARTITIONS)

    @pytest.mark.parametrize("value", [b"garbage", b"", None])
    def test_of_what_cannot_be_read_is_where_it_came_from(self, value: bytes | None) -> None:
        letter = replace(LETTER, value=value, code=Code.UNDECODABLE)
        assert AWAY == target_of(letter, partitions=PARTITIONS)

    def test_of_a_command_is_where_its_tenant_lives(self) -> None:
        command = Command("acme", "cmd_1", "CreateCustomer", "{}")
        value = to_wire_command(command=command, actor="a", issued_at_ms=0)
        letter = replace(LETTER, name=Name("account.commands", 0, 1), value=value)
        assert routing.partition_of("acme", partitions=4) == target_of(letter, partitions=4)

    def test_of_a_node_event_is_where_its_project_lives(self) -> None:
        report = NodeReport("acme", "tower", "d", 1, "node-update", "{}")
        settled = DetectionSettled("acme", "tower", "", "emg_1", "charged", 1)
        home = partition_of("acme", "tower", partitions=PARTITIONS)
        for value in (
            to_wire_node_updated(report, node="n"),
            to_wire_pulse_received(report, pulse="", target_node="n"),
            to_wire_emergence_settled(settled),
        ):
            away = Name("node.events", (home + 1) % PARTITIONS, 1)
            letter = replace(LETTER, name=away, value=value)
            assert home == target_of(letter, partitions=PARTITIONS)
            assert "tower" in next(iter(told(body_of(letter))))

    @pytest.mark.parametrize(
        ("code", "outcome"), [(Code.MISROUTED, "refused"), (Code.UNKNOWN_TYPE, "stays")]
    )
    def test_of_a_batch_of_several_partitions(self, code: Code, outcome: str) -> None:
        """It was misrouted in part: only where it came from are the others counted."""
        value = batch_record([Event(1), Event(2, customer=other_customer())])
        letter = replace(LETTER, value=value, code=code)
        if outcome == "refused":
            with pytest.raises(Rejected, match="letter_split"):
                target_of(letter, partitions=PARTITIONS)
        else:
            assert AWAY == target_of(letter, partitions=PARTITIONS)

    @pytest.mark.parametrize(
        ("letter", "code"),
        [
            (replace(LETTER, whole_bytes=6_000_000), "letter_cut"),
            (replace(LETTER, value=b"x" * 2_000_000), "oversized"),
            (
                replace(LETTER, value=to_wire_catalogue(tenant="a", version=1, content="{}")),
                "letter_control",
            ),
        ],
        ids=["cut", "large", "catalogue"],
    )
    def test_is_none(self, letter: Letter, code: str) -> None:
        with pytest.raises(Rejected, match=code):
            target_of(letter, partitions=PARTITIONS)


class TestADryRun:
    def test_counts_a_record_once_for_all_its_letters(self) -> None:
        letters = [LETTER, replace(LETTER, code=Code.BAD_VALUE), replace(LETTER, whole_bytes=1)]
        result = replay(Settings(partitions=PARTITIONS), letters, producer=None)
        assert (1, 1, 2, []) == (result.sent, result.events, result.copies, result.refused)

    def test_tells_what_is_refused(self) -> None:
        letters = [replace(LETTER, whole_bytes=1)]
        result = replay(Settings(partitions=PARTITIONS), letters, producer=None)
        assert [Code.LETTER_CUT] == [code for _, code, _ in result.refused]


@pytest.mark.parametrize(
    "text",
    ["", "usage.events", "usage.events/1", "usage.events/1/-1", "usage.facts/0/0",
     "usage.events/1/²", "usage.events/1/2/3", "usage.events//1", f"usage.events/1/{'9' * 40}"],
)  # fmt: skip
def test_what_names_no_letter_is_refused(text: str) -> None:
    with pytest.raises(Rejected, match="letter_unknown"):
        name_of(text)


@given(st.integers(0, 1_000), st.integers(0, 2**62))
def test_a_name_is_read_as_it_is_written(partition: int, offset: int) -> None:
    name = Name("account.commands", partition, offset)
    assert name == name_of(name.text)


@pytest.mark.parametrize(
    ("wanted", "is_meant"),
    [
        (Wanted(), True),
        (Wanted(code="misrouted", tenant="acme"), True),
        (Wanted(code="bad_value"), False),
        (Wanted(tenant="other"), False),
        (Wanted(names=frozenset({LETTER.name})), True),
        (Wanted(names=frozenset({LETTER.name._replace(offset=8)})), False),
        (Wanted(since=from_ms(1_000), until=from_ms(1_001)), True),
        (Wanted(since=from_ms(1_001)), False),
        (Wanted(until=from_ms(1_000)), False),
    ],
    ids=str,
)
def test_a_filter_means(wanted: Wanted, is_meant: bool) -> None:
    assert is_meant == wanted.has(LETTER)


@given(st.text())
def test_nothing_that_is_shown_moves_the_cursor(text: str) -> None:
    assert shown(text).isprintable()


def test_bytes_are_shown_in_lines_of_sixteen() -> None:
    first, second = hex_lines(b"\x00Az\x7f" * 5)
    assert first.startswith("00000000  00 41 7a 7f 00")
    assert first.endswith(".Az..Az..Az..Az.")
    assert ("00000010", ".Az.") == (second[:8], second[-4:])
