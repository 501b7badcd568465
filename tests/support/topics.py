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
    ensure_topics(settings)
