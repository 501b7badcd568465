"""Counters become usage: resets, gaps, exact decimals, and kills at every step (S3-100)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from domain.errors import Rejected, Retryable
from producers.importers.mapping import Subject
from producers.importers.prometheus.collect import Collected, CollectJob, Collector, id_of
from producers.importers.prometheus.increases import Increase, Ledger, NewSeries, value_of
from producers.importers.prometheus.samples import Sample, from_answer, from_page, sample_of
from producers.importers.prometheus.sources import Look
from tests.support.import_worlds import KeepingOutlet, KilledError, mapping_of

T0 = 1_790_000_000_000
MAPPING = """
name: api
columns:
  customer: {column: org}
  type: {constant: api.call}
  dimensions: {path: {column: path}}
"""
LABELS = {"__name__": "calls_total", "org": "org_1", "path": "/graphql"}


def page(text: str, *metrics: str) -> list[Sample]:
    return list(
        from_page(
            text, metrics=frozenset(metrics or {"calls_total"}), scraped_at_ms=T0, address="a:1"
        )
    )


class TestAPage:
    def test_gives_the_wanted_samples_with_their_labels(self) -> None:
        text = (
            "# HELP calls_total Calls.\n# TYPE calls_total counter\n"
            'calls_total{org="a\\"b\\\\c\\nd", path = "/x",} 1.5e+06 1700000000000\n'
            'other{le="+Inf"} NaN\ncalls_total 3\r\n\n'
        )
        first, second = page(text)
        assert ('a"b\\c\nd', "/x", "a:1") == tuple(
            first.labels[name] for name in ("org", "path", "instance")
        )
        assert (1_700_000_000_000, "1.5e+06") == (first.at_ms, first.value)
        assert (T0, "3") == (second.at_ms, second.value)

    @pytest.mark.parametrize(
        "text",
        [
            "<html>", "calls_total", 'calls_total{org="a} 1', "calls_total{org=a} 1",
            "calls_total 1 2 3", "calls_total 1\ncalls_total 2", "0x 1", 'calls_total{org="a"',
        ],
    )  # fmt: skip
    def test_with_one_bad_line_is_worthless(self, text: str) -> None:
        with pytest.raises(Rejected, match="scrape_malformed"):
            page(text)

    @pytest.mark.parametrize(
        ("kind", "metric"), [("gauge", "x"), ("summary", "x"), ("histogram", "x")]
    )
    def test_of_what_may_fall_is_refused(self, kind: str, metric: str) -> None:
        with pytest.raises(Rejected, match="metric_not_counter"):
            page(f"# TYPE x {kind}\nx 1\n", metric)

    def test_of_a_histogram_gives_its_count(self) -> None:
        assert 1 == len(page("# TYPE x histogram\nx_count 1\n", "x_count"))


class TestAnAnswer:
    def answer(self, metric: dict[str, str], values: str) -> str:
        result = f'{{"metric": {json.dumps(metric)}, "values": {values}}}'
        return (
            '{"status": "success", "data": {"resultType": "matrix", "result": [' + result + "]}}"
        )

    def test_gives_samples_to_the_millisecond(self) -> None:
        first, second = from_answer(
            self.answer(LABELS, '[[1790000000.781, "1"], [1790000015, "0.1"]]')
        )
        assert (1_790_000_000_781, "1") == (first.at_ms, first.value)
        assert (1_790_000_015_000, "0.1") == (second.at_ms, second.value)

    def test_of_a_computation_is_refused(self) -> None:
        """sum() of counters falls when one target goes, and that would look like a reset."""
        with pytest.raises(Rejected, match="metric_not_counter"):
            list(from_answer(self.answer({"org": "a"}, '[[1, "1"]]')))

    @pytest.mark.parametrize(
        "text", ["", "[]", "{}", '{"status": "error"}', '{"status": "success", "data": 1}']
    )
    def test_that_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(Rejected, match="scrape_malformed"):
            list(from_answer(text))


@pytest.mark.parametrize(
    ("values", "increases"),
    [
        (["5"], []),
        (["5", "7"], ["2"]),
        (["5", "7", "7", "9"], ["2", "2"]),
        (["5", "3"], ["3"]),
        (["5", "0", "2"], ["2"]),
        (["5", "NaN", "7"], ["2"]),
        (["5", "+Inf", "-1", "0x10", "", "7"], ["2"]),
        (["0.1", "0.30000000000000004"], ["0.2"]),
        (["0", "0.0000000004", "0.0000000008", "0.0000000012"], ["0.000000001"]),
        (["9007199254740993", "9007199254740995"], ["2"]),
        (["1e3", "1.5e+06"], ["1499000"]),
    ],
)
def test_what_a_counter_rose_by(values: list[str], increases: list[str]) -> None:
    ledger = Ledger()
    found = [
        increase.amount
        for number, value in enumerate(values)
        for increase in ledger.take(
            [sample_of(LABELS, T0 + number, value)], looked_at_ms=T0 + number
        )
    ]
    assert [Decimal(amount) for amount in increases] == found


class TestASeries:
    def test_that_was_away_has_one_increase_over_the_gap(self) -> None:
        ledger = Ledger()
        ledger.take([sample_of(LABELS, T0, "5")], looked_at_ms=T0)
        ledger.take([], looked_at_ms=T0 + 15_000)
        (increase,) = ledger.take([sample_of(LABELS, T0 + 30_000, "9")], looked_at_ms=T0 + 30_000)
        assert (T0, T0 + 30_000, Decimal(4)) == increase[1:]

    def test_that_comes_late_is_ignored(self) -> None:
        ledger = Ledger()
        ledger.take([sample_of(LABELS, T0, "5")], looked_at_ms=T0)
        assert [] == ledger.take([sample_of(LABELS, T0, "9")], looked_at_ms=T0 + 1)

    @pytest.mark.parametrize(("choice", "amounts"), [("baseline", []), ("zero", [Decimal(7)])])
    def test_that_begins_later_counts_as_was_chosen(
        self, choice: str, amounts: list[Decimal]
    ) -> None:
        ledger = Ledger(new_series=NewSeries(choice))
        assert [] == ledger.take([sample_of(LABELS, T0, "5")], looked_at_ms=T0)
        other = {**LABELS, "org": "org_2"}
        found = ledger.take([sample_of(other, T0 + 9, "7")], looked_at_ms=T0 + 9)
        assert amounts == [increase.amount for increase in found]


@pytest.mark.parametrize("text", ["1e23", "-0.1", "inf", "nan", "1_000", " 1", "1e9999", "٣"])
def test_no_counter_shows(text: str) -> None:
    assert value_of(text) is None


class Looks:
    """A source with prepared looks; an error among them is raised instead."""

    about = "looks"

    def __init__(self, looks: list[Look | Retryable]) -> None:
        self._looks: Iterator[Look | Retryable] = iter(looks)

    def look(self, looked_at_ms: int) -> Look | None:
        look = next(self._looks, None)
        if isinstance(look, Retryable):
            raise look
        assert look is None or look.at_ms > looked_at_ms
        return look


VALUES = ("10", "12", "12", "3", "8.5", "8.75")
LOOKS = [
    Look(
        T0 + number * 15_000,
        [
            sample_of(LABELS, T0 + number * 15_000, value),
            sample_of({**LABELS, "org": "org_2"}, T0 + number * 15_000, str(number)),
        ],
        is_last=False,
    )
    for number, value in enumerate(VALUES)
]
TOTALS = {"org_1": Decimal("10.75"), "org_2": Decimal(5)}


def collect(folder: Path, looks: list[Look], outlet: KeepingOutlet) -> Collected:
    job = CollectJob(
        mapping=mapping_of(MAPPING, Subject.COUNTER), tenant="acme", broker="here",
        state_dir=folder, interval_ms=1, ends=True,
    )  # fmt: skip
    now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=T0)
    return Collector(
        job, Looks([*looks]), lambda: outlet, should_stop=lambda: False, now=lambda: now
    ).run()


class TestCollecting:
    def test_sends_what_rose_under_ids_of_series_and_times(self, tmp_path: Path) -> None:
        outlet = KeepingOutlet()
        collected = collect(tmp_path, LOOKS, outlet)
        assert TOTALS == sums(outlet)
        assert (1, 9) == (collected.noticed["resets"], len({each.id for each in outlet.events}))
        assert {"path": "/graphql"} == outlet.events[0].dimensions

    @pytest.mark.parametrize("fail_at", range(1, 6))
    @pytest.mark.parametrize("sees_again", [True, False])
    def test_counts_once_when_it_is_killed_before_an_acknowledgement(
        self, tmp_path: Path, fail_at: int, sees_again: bool
    ) -> None:
        """What may have been sent is sent again under the same ids; nothing else is."""
        killed, after = KeepingOutlet(), KeepingOutlet()
        killed.fail_at = {fail_at}
        with pytest.raises(KilledError):
            collect(tmp_path, LOOKS, killed)
        looked_at_ms = json.loads(next(tmp_path.glob("*.json")).read_text())["looked_at_ms"]
        rest = [look for look in LOOKS if look.at_ms > looked_at_ms]
        collect(tmp_path, rest if sees_again else rest[-1:], after)
        for arrived in (killed.events, killed.settled):  # all that was recorded, or the least
            every = {event.id: event for event in arrived}
            for event in after.events:
                assert every.setdefault(event.id, event) == event
            assert TOTALS == sums(*every.values())
        assert not {each.id for each in killed.settled} & {each.id for each in after.events}

    def test_sends_nothing_again_after_its_end(self, tmp_path: Path) -> None:
        collect(tmp_path, LOOKS, KeepingOutlet())
        again = KeepingOutlet()
        collected = collect(tmp_path, [], again)
        assert ([], 9) == (again.events, collected.tally.sent)

    def test_names_an_increase_by_both_its_samples(self) -> None:
        """After the state was lost, another increase may end at the same sample."""
        ids = {id_of(Increase("series", start, 9, Decimal(1))) for start in (1, 2)}
        assert 2 == len(ids)

    def test_keeps_what_it_cannot_map_as_lines_to_import(self, tmp_path: Path) -> None:
        looks = [
            Look(T0, [sample_of({"__name__": "calls_total"}, T0, "1")], is_last=False),
            Look(T0 + 1, [sample_of({"__name__": "calls_total"}, T0 + 1, "3")], is_last=False),
        ]
        collected = collect(tmp_path, looks, KeepingOutlet())
        assert {"value_missing": 1} == dict(collected.tally.rejected)
        line = json.loads(collected.rows_path.read_text())
        assert ("2", str(T0 + 1)) == (line["__increase__"], line["__time_ms__"])

    def test_gives_up_when_nothing_answers(self, tmp_path: Path) -> None:
        from producers.importers.prometheus.sources import away

        with pytest.raises(Retryable, match="scrape_failed"):
            collect(tmp_path, [away("down")] * 5, KeepingOutlet())  # type: ignore[list-item]


def sums(*events: object) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    every = events[0].events if isinstance(events[0], KeepingOutlet) else events
    for event in every:
        before = found.get(event.customer, Decimal(0))  # type: ignore[attr-defined]
        found[event.customer] = before + Decimal(event.quantity)  # type: ignore[attr-defined]
    return found
