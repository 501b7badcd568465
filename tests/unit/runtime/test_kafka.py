"""Clients of Kafka: what does not answer is not waited for."""

import threading
from typing import Any

import pytest

from runtime import kafka


class Reader:
    """A consumer whose close waits for somebody."""

    def __init__(self) -> None:
        self.is_closed, self.may_close = threading.Event(), threading.Event()

    def close(self) -> None:
        self.may_close.wait(30)
        self.is_closed.set()


def test_a_reader_that_never_closes_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller goes on; the reader closes when it can."""
    monkeypatch.setattr(kafka, "CLOSE_WAIT_S", 0.05)
    reader: Any = Reader()
    kafka.close_reader(reader)
    assert not reader.is_closed.is_set()
    reader.may_close.set()
    assert reader.is_closed.wait(30)


def test_a_reader_that_closes_is_closed_afterwards() -> None:
    reader: Any = Reader()
    reader.may_close.set()
    kafka.close_reader(reader)
    assert reader.is_closed.is_set()
