"""The topic catalogue: what must hold between its lines."""

from __future__ import annotations

import pytest

from schemas.topics import DAY_MS, FOREVER_MS, TOPICS, USAGE_EVENTS, Topic

NAMES = {topic.name: topic for topic in TOPICS}
SOURCES = [topic for topic in TOPICS if topic.facts]


def test_every_name_is_declared_once() -> None:
    """Two lines of one name would disagree some day."""
    assert len(NAMES) == len(TOPICS)


@pytest.mark.parametrize("topic", SOURCES, ids=lambda topic: topic.name)
class TestSource:
    def test_names_topics_that_exist(self, topic: Topic) -> None:
        """Where its facts and its dead letters go."""
        assert {topic.facts, topic.dead} <= NAMES.keys()

    def test_has_facts_for_ever(self, topic: Topic) -> None:
        """State is restored from them: retention must never take one."""
        assert FOREVER_MS == NAMES[topic.facts].retention_ms

    def test_has_dead_letters_that_take_every_record_as_it_is(self, topic: Topic) -> None:
        """Raw bytes, at least as large as the largest source record."""
        dead = NAMES[topic.dead]
        assert dead.schemas == ()
        assert dead.message_bytes_max >= topic.message_bytes_max

    def test_shares_no_schema_with_its_facts(self, topic: Topic) -> None:
        """A facts record that strays into the source is refused by its id."""
        assert not set(topic.schemas) & set(NAMES[topic.facts].schemas)


def test_usage_is_kept_longer_than_an_event_may_be_late() -> None:
    """35 days of lateness, and some to notice that a fold stands still."""
    assert USAGE_EVENTS.retention_ms >= 36 * DAY_MS
