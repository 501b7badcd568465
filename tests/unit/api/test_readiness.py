"""Readiness: each part on its own, asked seldom, and without the name of a host."""

import sqlalchemy
from confluent_kafka import KafkaError, KafkaException

from api.readiness import Readiness

NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=1"


class Log:
    def __init__(self, *, is_there: bool) -> None:
        self.is_there = is_there
        self.asked = 0

    def list_topics(self, *, timeout: int) -> object:
        self.asked += 1
        if not self.is_there:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT, "10.1.2.3 is down"))
        return {}


class TestReadiness:
    def test_names_the_parts_that_are_away(self) -> None:
        engine = sqlalchemy.create_engine(NOWHERE)
        parts = Readiness(engine=engine, log=Log(is_there=False)).parts()
        assert dict(parts) == {
            "database": "does not answer",
            "migrations": "unknown",
            "kafka": "does not answer",
        }

    def test_asks_once_for_many_questions(self) -> None:
        log = Log(is_there=True)
        readiness = Readiness(engine=sqlalchemy.create_engine(NOWHERE), log=log)
        for _ in range(5):
            assert readiness.parts()["kafka"] == "ok"
        assert log.asked == 1
