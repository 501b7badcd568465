"""The gateway is killed under load: nothing it acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from cli.checkout import free_port
from tests.faults.world import Stage
from tests.support.api_world import Rows
from tests.support.gateway_process import await_ready
from tests.support.gateway_world import BATCH, URL, decoded, events_of
from tests.support.oracle_log import read_topic
from tests.support.processes import Child

KILLS_MIN, KILLS_MAX = 10, 40
"""It goes on killing until kills hit often enough, and gives up at the second."""
UNKNOWN_MIN = 10
"""Requests that a kill must leave without an answer; fewer would prove nothing."""
ACKED_MIN = 1_000
SEED = 20_261_121
SENDERS = 4
BATCH_EVENTS = 50
SINGLE_SHARE = 4
"""One of so many requests has one event."""
PAUSE_S = (0.1, 0.6)
"""Between two kills, once the gateway answers again."""
READY_TIMEOUT_S = 30
FLIGHT_TIMEOUT_S = 30
ACKNOWLEDGE_S, SLACK_S = 5, 8
"""What the gateway waits for the broker; and for a slow machine."""
GIVE_UP_SHARE = 4
"""One of so many unknown outcomes is not sent again: it may be counted, or not."""


ACKED, UNKNOWN, NOT_TAKEN = "acked", "unknown", "not taken"


@dataclass
class Journal:
    """What senders intended, and what they heard; by the events' ids.

    Args:
        acked: Answered 202.
        unknown: Sent, and given up without an answer that says what became of it.
        attempts_unknown: Requests without such an answer.
        refused: Answers that must not come.
    """

    acked: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    attempts_unknown: int = 0
    refused: list[str] = field(default_factory=list)


class Sender:
    """Sends events with ids of its own, and sends what is unknown again with the same ids.

    Args:
        number: Which of the senders.
        url: Where to.
        key: API key.
        ending: Set when it is to end.
    """

    def __init__(self, number: int, url: str, key: str, ending: threading.Event) -> None:
        self.thread = threading.Thread(target=self._run, name=f"sender-{number}", daemon=True)
        self.journal = Journal()
        self._number = number
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": BATCH}
        self._random = random.Random(SEED + number)
        self._ending = ending
        self.is_waiting = False

    def _run(self) -> None:
        sent = 0
        with httpx.Client(headers=self._headers, timeout=15) as client:
            while not self._ending.is_set():
                count = 1 if sent % SINGLE_SHARE == 0 else BATCH_EVENTS
                self._deliver(client, [self._event(sent, index) for index in range(count)])
                sent += 1

    def _event(self, request: int, index: int) -> dict[str, Any]:
        return {
            "specversion": "1.0",
            "id": f"{self._number}-{request}-{index}",
            "source": "/faults",
            "type": "llm.request",
            "subject": f"customer-{self._random.randrange(50)}",
            "time": "2026-01-31T12:00:00Z",
            "data": {"quantity": index},
        }

    def _deliver(self, client: httpx.Client, events: list[dict[str, Any]]) -> None:
        ids = {event["id"] for event in events}
        is_unknown = False
        while True:
            outcome = self._attempt(client, events)
            if outcome == ACKED:
                self.journal.acked |= ids
                return
            if outcome == UNKNOWN:
                is_unknown = True
                self.journal.attempts_unknown += 1
                is_given_up = self._random.randrange(GIVE_UP_SHARE) == 0
            else:
                is_given_up = False
            if is_given_up or self._ending.is_set():
                if is_unknown:
                    self.journal.unknown |= ids
                return
            time.sleep(0.02)

    def _attempt(self, client: httpx.Client, events: list[dict[str, Any]]) -> str:
        self.is_waiting = True
        try:
            answer = client.post(self._url, json=events)
        except httpx.ConnectError:
            return NOT_TAKEN
        except httpx.TransportError:
            return UNKNOWN
        finally:
            self.is_waiting = False
        if answer.status_code == 202:
            if {item["status"] for item in answer.json()["results"]} != {"accepted"}:
                self.journal.refused.append(answer.text)
            return ACKED
        code = answer.json()["code"]
        if answer.status_code != 503:
            self.journal.refused.append(answer.text)
        return UNKNOWN if code == "delivery_unknown" else NOT_TAKEN


def _await_flight(senders: list[Sender]) -> None:
    """Return at a moment when a request is on its way: only then a kill can hit one."""
    give_up_s = time.monotonic() + FLIGHT_TIMEOUT_S
    while not any(sender.is_waiting for sender in senders):
        assert time.monotonic() < give_up_s, "nobody sends"
        time.sleep(0.001)


def _is_proven(senders: list[Sender]) -> bool:
    """Say whether kills hit often enough to prove something."""
    journals = [sender.journal for sender in senders]
    return (
        sum(journal.attempts_unknown for journal in journals) >= UNKNOWN_MIN
        and sum(len(journal.acked) for journal in journals) > ACKED_MIN
    )


def _kill_under_load(gateway: Child, url: str, senders: list[Sender]) -> int:
    """Kill the gateway at moments of chance while requests are on their way; say how often."""
    pauses, kills = random.Random(SEED), 0
    while kills < KILLS_MIN or (not _is_proven(senders) and kills < KILLS_MAX):
        time.sleep(pauses.uniform(*PAUSE_S))
        _await_flight(senders)
        gateway.kill()
        kills += 1
        gateway.start()
        await_ready(url, gateway)
    time.sleep(PAUSE_S[1])
    return kills


def _counted(stage: Stage) -> dict[bytes, set[bytes]]:
    """What a fold would count: fingerprints by key, from every record of the topic."""
    counted: dict[bytes, set[bytes]] = {}
    for record in read_topic(stage.settings["kafka"], "usage.events"):
        for event in events_of(_decoded_value(record.value)):
            counted.setdefault(event["key"], set()).add(event["fingerprint"])
    return counted


def _decoded_value(value: bytes | None) -> dict[str, Any]:
    from producers.gateway.log import Record

    return decoded(Record("usage.events", 0, b"", value or b""))


@pytest.mark.timeout(400)
def test_nothing_acknowledged_is_lost_and_nothing_is_there_twice(stage: Stage) -> None:
    """Counted is all that was acknowledged, and no more than what was unknown beside it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    rows = Rows(stage.typed_settings())
    key = rows.api_key("acme").key
    rows.connection.close()
    gateway = stage.fleet.add("gateway", ["gateway"], gateway_port=str(port))
    await_ready(url, gateway)
    ending = threading.Event()
    senders = [Sender(number, f"{url}{URL}", key, ending) for number in range(SENDERS)]
    for sender in senders:
        sender.thread.start()
    try:
        kills = _kill_under_load(gateway, url, senders)
    finally:
        ending.set()
        for sender in senders:
            sender.thread.join()

    journals = [sender.journal for sender in senders]
    acked = {_key(each) for journal in journals for each in journal.acked}
    unknown = {_key(each) for journal in journals for each in journal.unknown}
    attempts = sum(journal.attempts_unknown for journal in journals)
    counted = _counted(stage)
    print(
        f"seed {SEED}, kills {kills}, acked {len(acked)}, unknown {len(unknown)}, "
        f"unknown attempts {attempts}, counted {len(counted)}"
    )
    assert [text for journal in journals for text in journal.refused] == []
    assert acked - counted.keys() == set()
    assert counted.keys() - acked - unknown == set()
    assert [key for key, fingerprints in counted.items() if len(fingerprints) > 1] == []
    # It proves something only when it really happened.
    assert len(acked) > ACKED_MIN
    assert attempts >= UNKNOWN_MIN
    assert gateway.starts - 1 == kills >= KILLS_MIN


@pytest.mark.timeout(180)
def test_a_dead_broker_is_told_in_time_and_nothing_is_half_taken(stage: Stage) -> None:
    """Unknown for who was on the way, refused unsent for who comes later; it heals by itself."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    rows = Rows(stage.typed_settings())
    headers = {
        "Authorization": f"Bearer {rows.api_key('acme').key}",
        "Content-Type": "application/cloudevents+json",
    }
    rows.connection.close()
    gateway = stage.fleet.add("gateway", ["gateway"], gateway_port=str(port))
    await_ready(url, gateway)

    def post(event_id: str) -> tuple[int, str, float]:
        event = {
            "specversion": "1.0", "id": event_id, "source": "/faults", "type": "llm.request",
            "subject": "customer-1", "time": "2026-01-31T12:00:00Z",
        }  # fmt: skip
        started_s = time.monotonic()
        answer = httpx.post(f"{url}{URL}", json=event, headers=headers, timeout=15)
        return answer.status_code, answer.json().get("code", ""), time.monotonic() - started_s

    assert post("before")[0] == 202
    with stage.services.control.away("kafka"):
        first = post("during")
        later = [post(f"later-{number}") for number in range(3)]
        ready = httpx.get(f"{url}/readyz").status_code
    await_ready(url, gateway)
    give_up_s = time.monotonic() + READY_TIMEOUT_S
    while (again := post("during"))[0] != 202 and time.monotonic() < give_up_s:
        time.sleep(0.2)
    assert again[0] == 202

    assert first[0] == 503
    assert first[1] in {"delivery_unknown", "broker_away", "not_ready"}
    assert first[2] < ACKNOWLEDGE_S + SLACK_S
    assert {(status, code) for status, code, _ in later} <= {
        (503, "broker_away"), (503, "not_ready")
    }  # fmt: skip
    assert max(seconds for _, _, seconds in later) < SLACK_S
    assert ready == 503
    counted = _counted(stage)
    assert {_key("before"), _key("during")} == counted.keys()
    assert all(len(fingerprints) == 1 for fingerprints in counted.values())


def _key(event_id: str) -> bytes:
    """The key of an event of this test, as design says it: BLAKE2b-128 over source 0x1f id."""
    import hashlib

    return hashlib.blake2b(f"/faults\x1f{event_id}".encode(), digest_size=16).digest()
