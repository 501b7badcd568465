"""Counted once, whatever way and however often: through gateway, fold and projector."""

from __future__ import annotations

import random
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.gateway_pipeline import Pipeline, until
from tests.support.gateway_world import BATCH, STRUCTURED, URL
from tidegauge import Meter

SENDS = 1_000
TIMES = 30
"""Different times of the one event; fewer than sends, so that some are the same to the byte."""
OTHERS = 200
"""Events that travel with it in batches."""
SEED = 20_261_121


class OneEvent:
    """One id, sent with changing times by every way there is, from four threads at once."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.tenant = pipeline.tenant()
        self.key = pipeline.key(self.tenant)
        self.customer = "customer-1"
        self.told: Counter[str] = Counter()
        self._id = str(uuid.uuid4())
        self._start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
        self._times = iter(random.Random(SEED).choices(range(TIMES), k=SENDS))
        self._lock = threading.Lock()

    def send(self) -> None:
        """Send it a thousand times: a quarter by each way."""
        ways = (self._by_kafka, self._by_http, self._in_singles, self._in_batches)
        with ThreadPoolExecutor(len(ways)) as threads:
            for way in [threads.submit(way) for way in ways]:
                way.result()

    def _occurred_at(self) -> datetime:
        with self._lock:
            return self._start + timedelta(milliseconds=next(self._times))

    def _by_kafka(self) -> None:
        self._record(Meter(self.pipeline.settings.kafka, tenant=self.tenant, source="kafka"))

    def _by_http(self) -> None:
        url = self.pipeline.gateway.url
        self._record(Meter.over_http(url, api_key=self.key.key, tenant=self.tenant, source="http"))

    def _record(self, meter: Meter) -> None:
        """Five batches that hold nothing but copies."""
        with meter:
            for _ in range(5):
                for _ in range(50):
                    meter.record(
                        customer=self.customer,
                        type="llm.request",
                        quantity=5,
                        occurred_at=self._occurred_at(),
                        id=self._id,
                    )
                assert meter.flush(timeout=30) == 0
            assert meter.counters.failed == 0

    def _in_singles(self) -> None:
        for _ in range(250):
            answer = self.pipeline.post(URL, self.key, self._cloudevent(), kind=STRUCTURED)
            assert answer.status_code == 202, answer.text

    def _in_batches(self) -> None:
        """Fifty batches with it twice, fifty with it three times, once the same to the byte."""
        for number in range(100):
            first = self._cloudevent()
            copies = [self._cloudevent()] if number % 2 else [self._cloudevent(), first]
            sent = [self._other(), first, *copies, self._other()]
            answer = self.pipeline.post(URL, self.key, sent, kind=BATCH)
            assert answer.status_code == 202, answer.text
            self.told.update(
                result.get("code", result["status"])
                for result in answer.json()["results"]
                if result["id"] == self._id
            )

    def _cloudevent(self) -> dict[str, Any]:
        return {
            "specversion": "1.0",
            "id": self._id,
            "source": "/one",
            "type": "llm.request",
            "subject": self.customer,
            "time": self._occurred_at().isoformat(timespec="milliseconds"),
            "data": {"quantity": 5},
        }

    def _other(self) -> dict[str, Any]:
        """An event of its own, which travels in the same batch."""
        return {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": "/one",
            "type": "message",
            "subject": self.customer,
            "time": self._start.isoformat(),
        }


def test_one_id_sent_a_thousand_times_by_every_way_counts_once(pipeline: Pipeline) -> None:
    """Kafka and HTTP, framed, single and in batches, all at once: 1 counted, 999 told as repeats.

    OpenMeter's own test sends one id with one payload. Here its time changes, so that a repeat is
    a duplicate or a conflict, and which of them comes first is chance.
    """
    event = OneEvent(pipeline)
    event.send()

    # What the gateway tells in its answers never reaches the log: of two or three in a batch, one
    # is sent.
    told = event.told
    in_answers = told["duplicate_in_request"] + told["conflict"]
    assert (100, 150) == (told["accepted"], in_answers)
    assert told["duplicate_in_request"] >= 50
    received = SENDS - in_answers + OTHERS
    intake = until(lambda: pipeline.intake(event.key), lambda found: found["received"] == received)
    print(f"seed {SEED}: {intake}, in answers {dict(told)}")
    assert received == intake["received"]
    assert (1 + OTHERS, 0) == (intake["accepted"], intake["rejected"])
    assert SENDS - 1 == intake["duplicates"] + intake["conflicts"] + in_answers
    assert intake["duplicates"] > 0
    assert intake["conflicts"] > 0
    sums = {"llm.request": "5", "message": str(OTHERS)}
    assert sums == until(
        lambda: pipeline.usage(event.key, event.customer), lambda found: found == sums
    )


def test_old_events_count_for_a_key_with_that_right_alone(pipeline: Pipeline) -> None:
    """60 days ago: refused by the fold, unless marked; the mark is refused without the scope."""
    tenant = pipeline.tenant()
    plain = pipeline.key(tenant)
    entitled = pipeline.key(tenant, "usage:write", "usage:backfill")
    then = datetime.now(UTC).replace(minute=30, second=0, microsecond=0) - timedelta(days=60)

    def event(event_id: str) -> dict[str, Any]:
        return {
            "specversion": "1.0", "id": event_id, "source": "/old", "type": "message",
            "subject": "customer-1", "time": then.isoformat(),
        }  # fmt: skip

    marked = {"Tidegauge-Backfill": "true"}
    assert pipeline.post(URL, plain, event("a"), kind=STRUCTURED).status_code == 202
    refused = pipeline.post(URL, plain, event("b"), kind=STRUCTURED, **marked)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    taken = pipeline.post(URL, entitled, event("c"), kind=STRUCTURED, **marked)
    assert taken.status_code == 202
    with Meter.over_http(
        pipeline.gateway.url, api_key=entitled.key, tenant=tenant, source="/old", backfill=True
    ) as meter:
        meter.record(customer="customer-1", type="message", quantity=3, occurred_at=then)
        assert meter.flush(timeout=30) == 0
        assert meter.counters.failed == 0

    intake = until(lambda: pipeline.intake(plain), lambda found: found["received"] == 3)
    assert (2, 1) == (intake["accepted"], intake["rejected"])
    codes = [reject["code"] for reject in pipeline.get("rejects", plain)["data"]]
    assert codes == ["too_late"]
    assert pipeline.usage(plain, "customer-1", around=then) == {"message": "4"}
