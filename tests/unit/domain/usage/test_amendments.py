"""Amendments of events: what they take away, what they refuse, and that they count once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from domain.usage.amendments import marker_key, replacement_key
from domain.usage.facts import UsageFacts
from domain.usage.fold import UsageFold
from schemas.usage_wire import (
    from_wire_usage_facts,
    from_wire_usage_source,
    to_wire_catalogue,
    to_wire_usage_facts,
)
from tests.support.amending import amendment_record
from tests.support.usage_facts import keys_of, rejects_of, totals_of, windows_of
from tests.support.usage_truth import (
    CATALOGUE,
    DAY_MS,
    HOUR_MS,
    Event,
    WindowKey,
    batch_record,
    event_record,
)

NOW_MS = 1_773_000_000_000
ANN = Event(
    key=2**127 + 5, customer="ann", type="llm", occurred_ms=NOW_MS, quantity=125, scale=1,
    dimensions=(("model", "a"), ("region", "x")), fingerprint=77,
)  # fmt: skip
OTHER = replace(ANN, key=9, quantity=3, fingerprint=78)
LESS = replace(ANN, key=0, quantity=100, fingerprint=79)
AGGREGATIONS = ("min", "max", "latest", "unique", "time_weighted", "percentile")


def catalogue(version: int = 1, **changes: Any) -> dict[str, Any]:
    return {**CATALOGUE, "version": version, **changes}


def published(document: dict[str, Any]) -> bytes:
    return to_wire_catalogue(
        tenant="acme", version=document["version"], content=json.dumps(document)
    )


class Log:
    """One partition; each record is a micro-batch of its own, or all are one."""

    def __init__(self, *records: bytes, is_one_step: bool = False) -> None:
        self.fold = UsageFold(partition=0, partitions=1)
        self.facts: list[UsageFacts] = []
        self.next_offset = 0
        if is_one_step:
            self._step(records, received_ms=NOW_MS)
        else:
            for record in records:
                self.take(record)

    def take(self, record: bytes, *, received_ms: int = NOW_MS) -> UsageFacts:
        return self._step([record], received_ms=received_ms)

    def _step(self, values: Any, *, received_ms: int) -> UsageFacts:
        start = self.next_offset
        records = [
            from_wire_usage_source(value, offset=start + place, received_at_ms=received_ms)
            for place, value in enumerate(values)
        ]
        self.next_offset += len(records)
        facts = self.fold.step(records, from_offset=start, to_offset=self.next_offset)
        again = from_wire_usage_facts(to_wire_usage_facts(facts, writer="w"))
        self.facts.append(again)
        return again

    def codes(self) -> list[str]:
        found = []
        for facts in self.facts:
            found += [reject.code.value for reject in facts.rejects]
        return found

    def sums(self) -> dict[WindowKey, tuple[int, int, int, int]]:
        return {
            key: (window.events, window.late, window.sum, window.digest)
            for key, window in windows_of(self.facts).items()
            if window.events
        }


@pytest.mark.parametrize("is_one_step", [False, True], ids=["apart", "in one micro-batch"])
class TestVoid:
    def test_leaves_what_was_counted_without_the_event(self, is_one_step: bool) -> None:
        """Events, sums, keys and lateness are those of a log where it never was."""
        log = Log(
            published(CATALOGUE),
            batch_record([ANN, OTHER]),
            amendment_record(ANN),
            is_one_step=is_one_step,
        )
        never = Log(published(CATALOGUE), batch_record([OTHER]))
        assert never.sums() == log.sums()
        assert [] == log.codes()

    def test_twice_takes_away_once(self, is_one_step: bool) -> None:
        """The second one says and changes nothing, whatever it carries."""
        once = Log(published(CATALOGUE), event_record(ANN), amendment_record(ANN))
        twice = Log(
            published(CATALOGUE),
            event_record(ANN),
            amendment_record(ANN),
            amendment_record(ANN, reason="again"),
            amendment_record(ANN, replacement=LESS),
            is_one_step=is_one_step,
        )
        assert once.sums() == twice.sums() == {}
        assert [] == twice.codes()
        assert 1 == sum(len(facts.amendments) for facts in twice.facts)

    def test_keeps_the_event_from_being_counted_again(self, is_one_step: bool) -> None:
        """Its key is remembered: a producer that repeats it repeats a duplicate."""
        log = Log(
            published(CATALOGUE),
            event_record(ANN),
            amendment_record(ANN),
            event_record(ANN),
            is_one_step=is_one_step,
        )
        assert {} == log.sums()
        assert 1 == totals_of(log.facts)["duplicates"]

    def test_before_its_event_is_refused(self, is_one_step: bool) -> None:
        """However the partition is cut: what comes later was not counted yet."""
        log = Log(
            published(CATALOGUE),
            amendment_record(ANN),
            event_record(ANN),
            is_one_step=is_one_step,
        )
        assert ["amendment_unknown"] == log.codes()
        assert {"ann"} == {key[1] for key in log.sums()}

    def test_of_an_event_that_was_refused_is_refused(self, is_one_step: bool) -> None:
        """It was never counted, so there is nothing to take away."""
        ahead = replace(ANN, occurred_ms=NOW_MS + HOUR_MS)
        log = Log(
            published(CATALOGUE),
            event_record(ahead),
            amendment_record(ANN),
            is_one_step=is_one_step,
        )
        assert ["future", "amendment_unknown"] == log.codes()
        assert {} == log.sums()

    @pytest.mark.parametrize("key", [0, 1, 2**64, 2**64 - 1, 2**128 - 1])
    def test_takes_the_whole_key_out_of_the_digest(self, is_one_step: bool, key: int) -> None:
        """Modulo 2^128, whatever its halves are."""
        event = replace(ANN, key=key)
        log = Log(
            published(CATALOGUE),
            event_record(OTHER),
            event_record(event),
            amendment_record(event),
            is_one_step=is_one_step,
        )
        assert log.sums() == Log(published(CATALOGUE), event_record(OTHER)).sums()

    def test_of_another_payload_is_refused(self, is_one_step: bool) -> None:
        """The fingerprint must be the counted one: a conflict was never counted."""
        changed = replace(ANN, fingerprint=1, quantity=1)
        log = Log(
            published(CATALOGUE),
            event_record(ANN),
            event_record(changed),
            amendment_record(changed),
            is_one_step=is_one_step,
        )
        assert ["conflict", "amendment_unknown"] == log.codes()
        assert log.sums() == Log(published(CATALOGUE), event_record(ANN)).sums()

    def test_of_another_customers_event_is_refused(self, is_one_step: bool) -> None:
        """Keys belong to customers."""
        log = Log(
            published(CATALOGUE),
            event_record(ANN),
            amendment_record(replace(ANN, customer="bob")),
            is_one_step=is_one_step,
        )
        assert ["amendment_unknown"] == log.codes()
        assert {"ann"} == {key[1] for key in log.sums()}


class TestReplacement:
    def test_counts_instead_of_the_event(self) -> None:
        """As if the right one had come, late by now or not."""
        moved = replace(LESS, occurred_ms=NOW_MS - 5 * HOUR_MS, dimensions=())
        log = Log(
            published(CATALOGUE), event_record(ANN), amendment_record(ANN, replacement=moved)
        )
        key = int.from_bytes(replacement_key(ANN.key.to_bytes(16, "big")), "big")
        right = Log(published(CATALOGUE), event_record(replace(moved, key=key)))
        assert right.sums() == log.sums()
        assert {"received": 2, "accepted": 2} == {
            name: count for name, count in totals_of(log.facts).items() if count
        }

    def test_can_be_amended_in_turn(self) -> None:
        """It is an event with a key of its own."""
        key = int.from_bytes(replacement_key(ANN.key.to_bytes(16, "big")), "big")
        log = Log(
            published(CATALOGUE),
            event_record(ANN),
            amendment_record(ANN, replacement=LESS),
            amendment_record(replace(LESS, key=key)),
        )
        assert {} == log.sums()
        assert [] == log.codes()
        (second,) = log.facts[-1].amendments
        assert key == int.from_bytes(second.key, "big")
        assert b"" == second.replacement_key

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"type": "unheard-of"}, "unknown_type"),
            ({"occurred_ms": NOW_MS + HOUR_MS}, "future"),
            ({"occurred_ms": NOW_MS - 36 * DAY_MS}, "too_late"),
            ({"quantity": -1}, "bad_value"),
        ],
    )
    def test_that_could_not_be_counted_leaves_the_event(
        self, changes: dict[str, Any], code: str
    ) -> None:
        """Half an amendment would lose the usage."""
        log = Log(
            published(CATALOGUE),
            event_record(ANN),
            amendment_record(ANN, replacement=replace(LESS, **changes)),
        )
        assert [code] == log.codes()
        assert log.sums() == Log(published(CATALOGUE), event_record(ANN)).sums()

    def test_whose_key_somebody_has_sent_is_refused(self) -> None:
        """Nobody may make usage disappear by guessing the key of a replacement."""
        key = int.from_bytes(replacement_key(ANN.key.to_bytes(16, "big")), "big")
        squatter = replace(OTHER, key=key)
        log = Log(
            published(CATALOGUE),
            event_record(ANN),
            event_record(squatter),
            amendment_record(ANN, replacement=LESS),
        )
        assert ["conflict"] == log.codes()
        whole = Log(published(CATALOGUE), event_record(ANN), event_record(squatter))
        assert whole.sums() == log.sums()


class TestMeters:
    @pytest.mark.parametrize("aggregation", AGGREGATIONS)
    def test_that_are_not_additive_refuse(self, aggregation: str) -> None:
        """A maximum does not know the value before it."""
        extra = {"percentile": "95"} if aggregation == "percentile" else {}
        if aggregation == "unique":
            extra = {"value": "property:who"}
        meter = {"key": "m", "event_type": "llm", "aggregation": aggregation, "unit": "u", **extra}
        document = catalogue(meters=[*CATALOGUE["meters"], meter])  # type: ignore[misc]
        event = replace(ANN, properties=(("who", "x"),))
        log = Log(
            published(document), event_record(event), amendment_record(event, catalogue=document)
        )
        assert ["amendment_refused"] == log.codes()
        assert 1 == len({key for key in log.sums() if key[2] == "m"})

    def test_that_changed_since_refuse(self) -> None:
        """What was counted by other rules cannot be taken away by these."""
        meters = [{**item, "group_by": []} for item in CATALOGUE["meters"]]  # type: ignore[attr-defined]
        log = Log(published(CATALOGUE), event_record(ANN))
        before = log.sums()
        log.take(published(catalogue(2, meters=meters)))
        log.take(amendment_record(ANN))
        assert ["amendment_refused"] == log.codes()
        assert before == log.sums()

    def test_of_a_newer_version_that_counts_alike_do_not_matter(self) -> None:
        """A new price, unit or other type is no reason to refuse."""
        log = Log(published(CATALOGUE), event_record(ANN))
        meters = [{**item, "unit": "another"} for item in CATALOGUE["meters"]]  # type: ignore[attr-defined]
        log.take(published(catalogue(2, meters=meters)))
        log.take(amendment_record(ANN))
        assert [] == log.codes()
        assert {} == log.sums()


class TestState:
    def test_restored_from_facts_amends_like_the_one_that_never_stopped(self) -> None:
        """Markers and replacements are keys like all others."""
        log = Log(published(CATALOGUE), event_record(ANN), amendment_record(ANN, replacement=LESS))
        fold = UsageFold(partition=0, partitions=1)
        for facts in log.facts:
            fold.restore(facts)
        log.fold = fold
        log.take(amendment_record(ANN))
        log.take(event_record(ANN))
        assert 1 == totals_of(log.facts)["duplicates"]
        assert 1 == sum(len(facts.amendments) for facts in log.facts)
        marker = int.from_bytes(marker_key(ANN.key.to_bytes(16, "big")), "big")
        assert 1 == [key for _, _, key in keys_of(log.facts)].count(marker)

    def test_forgets_after_35_days_what_could_be_amended(self) -> None:
        """Then the key itself is forgotten, and what it counted stays."""
        log = Log(published(CATALOGUE), event_record(ANN))
        late = amendment_record(ANN, received_ms=NOW_MS)
        log.take(late, received_ms=NOW_MS + 37 * DAY_MS)
        assert ["amendment_unknown"] == log.codes()
        assert 0 < len(log.sums())

    def test_a_late_event_that_is_voided_was_never_late(self) -> None:
        """Lateness is judged by when the original came, not by when it was amended."""
        old = replace(ANN, occurred_ms=NOW_MS - 5 * HOUR_MS)
        log = Log(published(CATALOGUE), event_record(old), event_record(ANN))
        log.take(amendment_record(old, received_ms=NOW_MS), received_ms=NOW_MS + DAY_MS)
        log.take(amendment_record(ANN, received_ms=NOW_MS), received_ms=NOW_MS + DAY_MS)
        assert all(window.late == 0 for window in windows_of(log.facts).values())

    def test_is_counted_neither_as_received_nor_as_refused(self) -> None:
        """An amendment is no event; a refused one is listed all the same."""
        log = Log(published(CATALOGUE), amendment_record(ANN))
        assert 0 == sum(totals_of(log.facts).values())
        assert [(0, 1, -1, "amendment_unknown")] == list(rejects_of(log.facts))

    def test_offset_is_the_windows_last_one(self) -> None:
        """An invoice whose pin is older knows that its windows have changed."""
        log = Log(published(CATALOGUE), event_record(ANN), amendment_record(ANN))
        for window in windows_of(log.facts).values():
            assert (1, 2) == (window.first_offset, window.last_offset)
