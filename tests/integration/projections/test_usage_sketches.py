"""Sketches in the table: merged with what is there, however many come at once."""

from __future__ import annotations

import uuid

import numpy as np
import psycopg
import pytest

from domain.aggregation import unique
from domain.aggregation.sketches import merged_sketch
from projections import usage_sketches
from projections.usage_sketches import Place, write_sketches


def sketch(*texts: str) -> bytes:
    hashes = np.array([unique.hash_of(text) for text in texts], dtype=np.uint64)
    return dict(unique.sketches_of(np.zeros(len(texts), np.int64), hashes))[0]


class TestWriting:
    def test_merges_with_what_is_there_statement_by_statement(
        self, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Five windows in three statements, then some of them again and one new."""
        monkeypatch.setattr(usage_sketches, "PLACES_PER_STATEMENT", 2)
        series = uuid.uuid4()
        places: list[Place] = [("acme", series, hour) for hour in range(6)]
        first = {place: [sketch("a", f"b{place[2]}"), sketch("c")] for place in places[:5]}
        second = {place: [sketch("a", "d")] for place in places[2:]}

        assert write_sketches(owner, first) == 5
        assert write_sketches(owner, second) == 4
        assert write_sketches(owner, {}) == 0

        rows = owner.execute("SELECT sketch FROM usage_sketch ORDER BY hour").fetchall()
        assert [row[0] for row in rows] == [
            merged_sketch([*first.get(place, []), *second.get(place, [])]) for place in places
        ]

    def test_of_the_largest_sketches_stays_within_one_message(
        self, owner: psycopg.Connection
    ) -> None:
        """300 windows of a value each second: 25 MiB."""
        steps = np.zeros(3_600, dtype=[("at_ms", "<u4"), ("rest", "V20")])
        steps["at_ms"] = np.arange(3_600) * 1_000
        largest = b"\2\1" + steps.tobytes()
        series = uuid.uuid4()
        found = {("acme", series, hour): [largest] for hour in range(300)}

        assert write_sketches(owner, found) == 300

        count = owner.execute("SELECT count(*), min(length(sketch)) FROM usage_sketch").fetchone()
        assert count == (300, len(largest))
