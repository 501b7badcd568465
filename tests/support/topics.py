"""Topics have fixed names, so a test that needs empty ones deletes and creates them."""

from __future__ import annotations

import time
from collections.abc import Collection

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from runtime.kafka import client_config, ensure_topics
from runtime.settings import Settings
from schemas.topics import SCHEMA_EXTERNAL, TOPICS

WAIT_SECONDS_MAX = 30
POLICY_GROUPS = ("tidegauge-policies-books", "tidegauge-policies-emergence")
"""Groups that remember how far they have read: with other topics of the same names they would
leave out what lies before."""
_LATER = {
    "NOT_COORDINATOR",
    "COORDINATOR_NOT_AVAILABLE",
    "COORDINATOR_LOAD_IN_PROGRESS",
    "NON_EMPTY_GROUP",
}
"""Answers after which the same is right later: a broker that starts, members that were killed."""


def fresh_topics(settings: Settings, *, keep: Collection[str] = ()) -> None:
    """Delete every Tidegauge topic, wait until the broker has forgotten them, make them again.

    Args:
        settings: Where the broker is.
        keep: Topics that stay as they are.
    """
    admin = AdminClient(client_config(settings))
    names = [topic.name for topic in (*TOPICS, SCHEMA_EXTERNAL)]
    names = [name for name in names if name not in keep]
    present = [name for name in names if name in admin.list_topics(timeout=15).topics]
    for name, future in (admin.delete_topics(present) if present else {}).items():
        try:
            future.result(timeout=15)
        except KafkaException as error:
            if error.args[0].name() != "UNKNOWN_TOPIC_OR_PART":
                raise RuntimeError(f"cannot delete {name}") from error
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while any(name in admin.list_topics(timeout=15).topics for name in names):
        if time.monotonic() > deadline:
            raise RuntimeError("the broker did not delete the topics in time")
        time.sleep(0.1)
    _forget_policies(admin)
    ensure_topics(settings)


def _forget_policies(admin: AdminClient) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    left = set(POLICY_GROUPS)
    while left:
        for group, future in admin.delete_consumer_groups(sorted(left)).items():
            try:
                future.result(timeout=15)
            except KafkaException as error:
                name = error.args[0].name()
                if name in _LATER and time.monotonic() < deadline:
                    time.sleep(0.1)
                    continue
                if name != "GROUP_ID_NOT_FOUND":
                    raise RuntimeError(f"cannot forget {group}") from error
            left.discard(group)
