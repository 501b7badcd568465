"""Every reject code at its boundary, catalogues in band, and input that must not end the fold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from domain.codes import Code
from domain.usage.facts import UsageFacts
from domain.usage.fold import UsageFold
from domain.usage.records import EVENTS_PER_BATCH_MAX
from schemas.usage_wire import from_wire_usage_source, to_wire_catalogue, to_wire_usage_facts
from tests.support.kafka_hash import partition_of
from tests.support.usage_facts import keys_of, rejects_of, totals_of, windows_of
from tests.support.usage_truth import (
    CATALOGUE,
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NANO,
    Event,
    batch_record,
    event_record,
)

NOW_MS = 1_773_000_000_000
GOOD = Event(key=1, customer="ann", type="llm", occurred_ms=NOW_MS)


def catalogue(version: int = 1, *, meters: list[dict[str, Any]] | None = None) -> bytes:
    document = {**CATALOGUE, "version": version}
    if meters is not None:
        document["meters"] = meters
    return to_wire_catalogue(tenant="acme", version=version, content=json.dumps(document))


def meter(key: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "event_type": "llm", "aggregation": "sum", "unit": "u", **more}


class Log:
    """One partition and its fold; every record is a micro-batch of its own."""

    def __init__(self, *records: bytes | None, partitions: int = 1, partition: int = 0) -> None:
        self.fold = UsageFold(partition=partition, partitions=partitions)
        self.facts: list[UsageFacts] = []
        for record in records:
            self.take(record)

    def take(self, value: bytes | None, *, received_ms: int = NOW_MS) -> UsageFacts:
        offset = len(self.facts)
        record = from_wire_usage_source(value, offset=offset, received_at_ms=received_ms)
        facts = self.fold.step([record], from_offset=offset, to_offset=offset + 1)
        assert to_wire_usage_facts(facts, writer="w"), "what was decided can always be written"
        self.facts.append(facts)
        return facts

    def codes(self) -> list[str]:
        return [code for _, _, _, code in rejects_of(self.facts).elements()]


def code_of(event: Event, *, backfill: bool = False) -> str:
    """The code of an event, which must be the same in both forms; empty when it is counted."""
    found = set()
    for record in (
        batch_record([event], backfill=backfill),
        event_record(event, backfill=backfill),
    ):
        log = Log(catalogue(), record)
        assert 1 == totals_of(log.facts)["received"]
        found.add("".join(log.codes()))
    assert len(found) == 1, "the two forms of an event disagree"
    return found.pop()


class TestRejectCodes:
    @pytest.mark.parametrize(
        ("code", "age_ms"),
        [
            ("", 35 * DAY_MS - 1),
            ("", 35 * DAY_MS),
            ("too_late", 35 * DAY_MS + 1),
            ("", -5 * MINUTE_MS + 1),
            ("", -5 * MINUTE_MS),
            ("future", -5 * MINUTE_MS - 1),
        ],
    )
    def test_time(self, code: str, age_ms: int) -> None:
        """35 days back and 5 minutes ahead are the last moments that are taken."""
        assert code == code_of(replace(GOOD, occurred_ms=NOW_MS - age_ms))

    def test_the_right_to_backfill_opens_the_past_only(self) -> None:
        """Older than the horizon is taken then; the future stays closed."""
        old = replace(GOOD, occurred_ms=NOW_MS - 400 * DAY_MS)
        ahead = replace(GOOD, occurred_ms=NOW_MS + DAY_MS)
        assert ("", "future") == (code_of(old, backfill=True), code_of(ahead, backfill=True))

    @pytest.mark.parametrize(
        ("code", "change"),
        [
            ("", {"quantity": 0}),
            ("bad_value", {"quantity": -1}),
            ("bad_value", {"quantity": -(2**63)}),
            ("", {"quantity": 10**14 - 1}),
            ("bad_value", {"quantity": 10**14}),
            ("", {"quantity": 10**15 - 1, "scale": 1}),
            ("bad_value", {"quantity": 10**15, "scale": 1}),
            ("", {"quantity": 2**63 - 1, "scale": 9}),
            ("bad_value", {"quantity": 2**63 - 1, "scale": 4}),
            ("bad_value", {"customer": ""}),
            ("", {"customer": "x" * 200}),
            ("bad_value", {"customer": "x" * 201}),
            ("bad_value", {"customer": "nul\0"}),
            ("bad_value", {"customer": "line\nbreak"}),
            ("bad_value", {"customer": "del\x7f"}),
            ("", {"customer": "ünïcödé 漢字 🚰"}),
            ("bad_value", {"type": ""}),
            ("bad_value", {"type": "t" * 201}),
            ("unknown_type", {"type": "unheard-of"}),
            ("unknown_type", {"type": "t" * 200}),
            ("", {"dimensions": tuple((f"d{n}", "x") for n in range(32))}),
            ("bad_value", {"dimensions": tuple((f"d{n}", "x") for n in range(33))}),
            ("", {"dimensions": (("n" * 64, "v" * 256),)}),
            ("bad_value", {"dimensions": (("n" * 65, "v"),)}),
            ("bad_value", {"dimensions": (("n", "v" * 257),)}),
            ("bad_value", {"dimensions": (("n", ""),)}),
            ("bad_value", {"dimensions": (("", "v"),)}),
            ("bad_value", {"dimensions": (("n", "v\0"),)}),
            ("bad_value", {"occurred_ms": -1}),
            ("bad_value", {"occurred_ms": -(2**63)}),
            ("too_late", {"occurred_ms": 0}),
            ("future", {"occurred_ms": 253_402_300_799_999}),
            ("bad_value", {"occurred_ms": 253_402_300_800_000}),
            ("bad_value", {"occurred_ms": 2**63 - 1}),
        ],
    )
    def test_values(self, code: str, change: dict[str, Any]) -> None:
        """The last good and the first bad of every field."""
        assert code == code_of(replace(GOOD, **change))

    @pytest.mark.parametrize(
        ("code", "text"),
        [
            ("", "0"),
            ("", "12.500000000"),
            ("", "12.5000000000"),
            ("", "99999999999999.999999999"),
            ("bad_value", "100000000000000"),
            ("bad_value", "0.0000000001"),
            ("bad_value", ""),
            ("bad_value", "-1"),
            ("bad_value", "+1"),
            ("bad_value", "1e3"),
            ("bad_value", "NaN"),
            ("bad_value", "1,5"),
            ("bad_value", " 1"),
            ("bad_value", "١"),
            ("bad_value", "9" * 100_000),
        ],
    )
    def test_property_that_a_meter_reads(self, code: str, text: str) -> None:
        """Plain decimal text of at most nine places below 10^14, or the event is refused."""
        call = replace(GOOD, type="call", properties=(("ms", text),))
        assert code == code_of(call)

    def test_missing_property(self) -> None:
        """An event without what a meter needs is no event for its other meters either."""
        log = Log(catalogue(), event_record(replace(GOOD, type="call")))
        assert (["bad_value"], {}) == (log.codes(), windows_of(log.facts))

    def test_misrouted(self) -> None:
        """A customer of another partition is refused, whoever sent it here."""
        home = partition_of("acme", "ann", partitions=7)
        log = Log(catalogue(), batch_record([GOOD]), partitions=7, partition=(home + 1) % 7)
        assert ["misrouted"] == log.codes()

    def test_unknown_tenant(self) -> None:
        """Without a catalogue no type is known."""
        log = Log(catalogue(), event_record(GOOD, tenant="nobody"))
        assert ["unknown_type"] == log.codes()

    def test_one_reject_for_all_events_of_a_record_and_code(self) -> None:
        """It names the first one and says how many; conflicts stand alone."""
        bad = [replace(GOOD, key=number, quantity=-1) for number in range(3)]
        twice = [GOOD, replace(GOOD, fingerprint=2), replace(GOOD, fingerprint=3)]
        log = Log(catalogue(), batch_record([*twice, *bad]))
        expected = {
            (0, 1, 3, "bad_value"): 3,
            (0, 1, 1, "conflict"): 1,
            (0, 1, 2, "conflict"): 1,
        }
        assert expected == rejects_of(log.facts)

    def test_a_reject_tells_its_code_place_customer_and_reason(self) -> None:
        """As the table of rejects shows it to people."""
        log = Log(catalogue(), batch_record([replace(GOOD, type="unheard-of")]))
        reject = log.facts[-1].rejects[0]
        expected = (1, 0, 1, "acme", "ann", Code.UNKNOWN_TYPE, NOW_MS)
        assert expected == (
            reject.offset, reject.index, reject.events, reject.tenant, reject.customer,
            reject.code, reject.received_at_ms,
        )  # fmt: skip
        assert "'unheard-of'" in reject.reason


class TestConflicts:
    def test_counts_the_first_and_flags_every_other_payload(self) -> None:
        """Same key, other fingerprint: never silently first- or last-wins."""
        log = Log(catalogue(), event_record(GOOD), event_record(replace(GOOD, fingerprint=2)))
        assert (1, 1) == (totals_of(log.facts)["accepted"], totals_of(log.facts)["conflicts"])

    def test_leaves_the_counted_payload_in_place(self) -> None:
        """After a conflict the first payload is still a duplicate, the other still a conflict."""
        log = Log(catalogue())
        for fingerprint in (1, 2, 1, 2):
            log.take(event_record(replace(GOOD, fingerprint=fingerprint)))
        expected = {"received": 4, "accepted": 1, "duplicates": 1, "conflicts": 2}
        assert expected == +totals_of(log.facts)

    def test_knows_a_key_by_its_customer_and_tenant(self) -> None:
        """The same key of another customer is another event."""
        log = Log(catalogue(), batch_record([GOOD, replace(GOOD, customer="bob")]))
        assert [("acme", "ann", 1), ("acme", "bob", 1)] == keys_of(log.facts)

    def test_takes_a_refused_key_when_it_comes_back_mended(self) -> None:
        """What was not counted is not remembered."""
        log = Log(catalogue(), event_record(replace(GOOD, quantity=-1)), event_record(GOOD))
        assert 1 == totals_of(log.facts)["accepted"]


class TestCatalogues:
    def test_applies_from_its_offset_on(self) -> None:
        """The same event type before and after, inside one micro-batch."""
        values = [
            event_record(replace(GOOD, key=1)),
            catalogue(1, meters=[meter("one")]),
            event_record(replace(GOOD, key=2)),
            catalogue(2, meters=[meter("two"), meter("three")]),
            event_record(replace(GOOD, key=3)),
        ]
        records = [
            from_wire_usage_source(value, offset=offset, received_at_ms=NOW_MS)
            for offset, value in enumerate(values)
        ]
        fold = UsageFold(partition=0, partitions=1)
        facts = fold.step(records, from_offset=0, to_offset=5)
        windows = windows_of([facts])
        assert {"one": 2, "two": 3, "three": 3} == {
            key[2]: window.digest for key, window in windows.items()
        }
        assert {(0, 0, 0, "unknown_type"): 1} == rejects_of([facts])
        assert [(1, 1), (2, 3)] == [(item.version, item.offset) for item in facts.catalogues]

    def test_the_same_version_again_changes_nothing(self) -> None:
        """Publishing is safe to repeat."""
        log = Log(catalogue(1), catalogue(1), event_record(GOOD))
        assert ([], ()) == (log.codes(), log.facts[1].catalogues)
        assert 1 == totals_of(log.facts)["accepted"]

    def test_an_older_version_is_refused(self) -> None:
        """A replay of an old publication does not turn back."""
        log = Log(catalogue(2), catalogue(1, meters=[]), event_record(GOOD))
        assert [Code.CATALOGUE_VERSION_OLD] == [each.code for each in log.facts[1].rejects]
        assert 1 == totals_of(log.facts)["accepted"]

    def test_a_version_with_another_content_is_refused(self) -> None:
        """A version names one content for good."""
        log = Log(catalogue(1), catalogue(1, meters=[]), event_record(GOOD))
        assert [Code.CATALOGUE_VERSION_TAKEN] == [each.code for each in log.facts[1].rejects]
        assert 1 == totals_of(log.facts)["accepted"]

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "nonsense",
            "[]",
            '{"version":1}{}',
            '{"version":1.5,"meters":[],"plans":[]}',
            '{"version":1,"version":1,"meters":[],"plans":[]}',
            '{"version":1,"meters":[],"plans":[],"\\ud800":1}',
            '{"version":1,"meters":[],"plans":[],"nul\\u0000":1}',
            '{"version":1,"meters":[{"key":"\\udfff"}],"plans":[]}',
            '{"version":' + "9" * 5_000 + ',"meters":[],"plans":[]}',
            "[" * 100_000,
            '{"version":2,"meters":[],"plans":[]}',
        ],
    )
    def test_a_bad_document_is_refused_and_the_fold_goes_on(self, content: str) -> None:
        """Whatever the text: a reject with a reason that a database can hold."""
        bad = to_wire_catalogue(tenant="acme", version=1, content=content)
        log = Log(catalogue(1), bad, event_record(GOOD))
        reject = log.facts[1].rejects[0]
        assert (Code.CATALOGUE_INVALID, 0) == (reject.code, reject.events)
        assert len(reject.reason) <= 300
        assert reject.reason.encode().isascii() or reject.reason.isprintable()
        assert "\0" not in reject.reason
        assert 1 == totals_of(log.facts)["accepted"]

    def test_in_force_are_told_for_a_checkpoint(self) -> None:
        """The newest of each tenant."""
        log = Log(catalogue(1), catalogue(3))
        assert [("acme", 3)] == [(item.tenant, item.version) for item in log.fold.catalogues]


class TestMeters:
    def test_one_event_feeds_every_meter_of_its_type(self) -> None:
        """Each splits it by its own dimensions and leaves absent ones out."""
        event = replace(GOOD, dimensions=(("model", "a"), ("trace", "t")), quantity=15, scale=1)
        hour = NOW_MS // HOUR_MS
        found = windows_of(Log(catalogue(), batch_record([event])).facts)
        assert {
            ("acme", "ann", "tokens", (("model", "a"),), hour): 15 * NANO // 10,
            ("acme", "ann", "tokens_total", (), hour): 15 * NANO // 10,
        } == {key: window.sum for key, window in found.items()}

    def test_values_come_from_the_quantity_or_a_property(self) -> None:
        """Two meters of one type may read different values of the same event."""
        event = replace(GOOD, type="call", quantity=3, properties=(("ms", "12.5"),))
        found = windows_of(Log(catalogue(), batch_record([event])).facts)
        assert {"latency": 12_500_000_000, "calls": 3 * NANO} == {
            key[2]: window.sum for key, window in found.items()
        }

    def test_the_order_of_dimensions_makes_no_other_series(self) -> None:
        """Maps have no order."""
        one = event_record(GOOD, dimensions={"model": "a", "region": "b"})
        other = event_record(replace(GOOD, key=2), dimensions={"region": "b", "model": "a"})
        found = windows_of(Log(catalogue(), one, other).facts)
        assert [2, 2] == [window.events for window in found.values()]


class TestMalformedBatches:
    @pytest.mark.parametrize(
        "change",
        [
            {"customer": [0]},
            {"type": [1, 1, 1]},
            {"dimension_set": []},
            {"quantity": [1]},
            {"keys": bytes(31)},
            {"fingerprints": bytes(17)},
            {"customer": [0, 2]},
            {"type": [0, -1]},
            {"dimension_set": [0, 1]},
            {"scale": 10},
            {"scale": -1},
            {"scale": 2**31 - 1},
            {"tenant": ""},
            {"tenant": "nul\0"},
            {"tenant": "t" * 201},
        ],
    )
    def test_is_refused_whole_with_all_its_events(self, change: dict[str, Any]) -> None:
        """Nobody can say which of its events are meant."""
        log = Log(catalogue(), batch_record([GOOD, replace(GOOD, key=2)], **change))
        reject = log.facts[-1].rejects[0]
        assert (Code.UNDECODABLE, -1, 2) == (reject.code, reject.index, reject.events)

    def test_holds_at_most_so_many_events(self) -> None:
        """5,000 are taken, one more is refused."""
        many = [replace(GOOD, key=number) for number in range(EVENTS_PER_BATCH_MAX + 1)]
        log = Log(catalogue(), batch_record(many[:-1]), batch_record(many))
        assert (EVENTS_PER_BATCH_MAX, 5_001, ["undecodable"]) == (
            totals_of(log.facts)["accepted"], totals_of(log.facts)["received"], log.codes(),
        )  # fmt: skip

    def test_an_empty_one_counts_as_one_event(self) -> None:
        """Something arrived and was refused: it must show."""
        log = Log(catalogue(), batch_record([]))
        assert (1, ["undecodable"]) == (totals_of(log.facts)["received"], log.codes())

    def test_a_single_event_with_an_impossible_scale_spoils_no_neighbour(self) -> None:
        """Neighbours are folded together; a bad one is refused alone."""
        values = [event_record(replace(GOOD, key=number)) for number in range(3)]
        values[1] = event_record(replace(GOOD, key=1), scale=10)
        records = [
            from_wire_usage_source(value, offset=offset, received_at_ms=NOW_MS)
            for offset, value in enumerate([catalogue(), *values])
        ]
        facts = UsageFold(partition=0, partitions=1).step(records, from_offset=0, to_offset=4)
        assert {(0, 2, -1, "undecodable"): 1} == rejects_of([facts])
        assert 2 == totals_of([facts])["accepted"]


class TestHostileText:
    @pytest.mark.parametrize(
        "text", ["\0", "\0" * 200, "x" * 900_000, "\x1f", "\u2028", "🚰" * 90]
    )
    @pytest.mark.parametrize("name", ["customer", "type", "dimensions", "properties", "tenant"])
    def test_is_counted_or_refused_and_never_raises(self, name: str, text: str) -> None:
        """NUL and a megabyte of text in every place of an event."""
        change: dict[str, Any] = {name: text}
        if name in {"dimensions", "properties"}:
            change = {name: {text: text[:100_000]}}
        value = event_record(GOOD, **change)
        log = Log(catalogue(), value, event_record(replace(GOOD, key=2)))
        assert (2, 0) == (totals_of(log.facts)["received"], totals_of(log.facts)["conflicts"])
        for reject in log.facts[1].rejects:
            assert "\0" not in reject.customer + reject.tenant + reject.reason

    def test_junk_leaves_nothing_behind(self) -> None:
        """Unknown tenants, types and their customers take no memory of the fold."""
        log = Log(catalogue())
        for number in range(50):
            log.take(event_record(GOOD, tenant=f"nobody-{number}"))
            log.take(event_record(GOOD, type=f"unheard-of-{number}", customer=f"c-{number}"))
        fold = log.fold
        assert (0, 1, 0, 0) == (
            len(fold._owners), len(fold._plans), len(fold._plans["acme"]), fold.keys_held,
        )  # fmt: skip


class TestReceivedHigh:
    def test_never_falls(self) -> None:
        """A broker clock that goes back does not take the fold with it."""
        log = Log(catalogue())
        log.take(event_record(GOOD), received_ms=NOW_MS + 10)
        log.take(event_record(replace(GOOD, key=2)), received_ms=NOW_MS + 5)
        assert [NOW_MS, NOW_MS + 10, NOW_MS + 10] == [each.received_high_ms for each in log.facts]
