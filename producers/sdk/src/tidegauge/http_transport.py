"""HTTP as the way out: framed batches posted to a gateway over one connection that stays open."""

import contextlib
import gzip as gzip_codec
import http.client
import json
import logging
import queue
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from tidegauge import errors, limits
from tidegauge.transport import Outcome, Parcel, TopicUnavailable

_log: Final = logging.getLogger("tidegauge.http")

EVENTS_PATH: Final = "/api/v1/events"
PARTITIONS_PATH: Final = "/api/v1/events/partitions"
CONTENT_TYPE: Final = "application/vnd.tidegauge.usage-batch"

_ACCEPTED: Final = 202
_OK: Final = 200
_RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that say nothing about the batch: the same bytes are sent again."""

_FINAL: Final = frozenset({400, 413, 415, 422})
"""Answers that lie in the batch itself: sending it again would end the same way."""

_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the gateway is.

    Attributes:
        scheme: `http` or `https`.
        host: Its name or address.
        port: Its port.
        prefix: A path that goes in front of ours, without a slash at its end.
    """

    scheme: str
    host: str
    port: int
    prefix: str


def address_of(url: str) -> Address:
    """This function will read the URL of a gateway.

    Args:
        url: For example `https://usage.example.com/metering`.

    Returns:
        Its parts.

    Raises:
        InvalidOption: It is no such URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except (AttributeError, TypeError, ValueError) as error:
        raise errors.InvalidOption("option_invalid", "url is no URL") from error
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
        raise errors.InvalidOption("option_invalid", "url is not like https://host[:port][/path]")
    if parts.username is not None:
        raise errors.InvalidOption("option_invalid", "url has a user; pass api_key")
    return Address(
        parts.scheme, parts.hostname, port or _PORTS[parts.scheme], parts.path.rstrip("/")
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    retry_after_s: float | None
    body: Mapping[str, object]

    def code(self) -> str:
        """This function will return the problem's code, or one made of the status."""
        code = self.body.get("code")
        return code if isinstance(code, str) and code else f"http_{self.status}"

    def whole_number(self, name: str) -> int | None:
        """This function will return a number of the answer, or None."""
        value = self.body.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class _Job:
    parcel: Parcel
    done: Callable[[Outcome], None]
    give_up_s: float


class _Lookup:
    """A question for the partition count, and its answer."""

    def __init__(self) -> None:
        self.is_answered = threading.Event()
        self.count: int | None = None
        self.reason = "http_busy"


_Work: TypeAlias = _Job | _Lookup | None


class HttpTransport:
    """Posts one parcel after the other in a thread of its own; outcomes are told by `poll`."""

    def __init__(
        self,
        *,
        address: Address,
        api_key: str,
        delivery_timeout_s: float,
        gzip: bool = False,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """This function will start the thread; it connects with the first request.

        Args:
            address: Where the gateway is.
            api_key: Speaks for the tenant.
            delivery_timeout_s: From `send` to an outcome, in seconds.
            gzip: Whether to compress.
            ssl_context: How to check a certificate; None as the system does.
        """
        self._address = address
        self._headers = {
            "Authorization": f"Bearer {api_key}",
            "Accept": "application/json",
            "User-Agent": "tidegauge-sdk",
        }
        self._delivery_timeout_s = delivery_timeout_s
        self._is_gzip = gzip
        self._ssl_context = ssl_context
        self._work: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[tuple[Callable[[Outcome], None], Outcome]] = (
            queue.SimpleQueue()
        )
        self._open_parcels = 0
        self._lookup: _Lookup | None = None
        self._abandoned = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self._is_away = False
        self._thread = threading.Thread(target=self._run, name="tidegauge-http", daemon=True)
        self._thread.start()

    # --- for the flush thread ---

    def partition_count(self, timeout_s: float) -> int:
        """This function will ask the gateway; see `Transport`."""
        if self._lookup is None:
            self._lookup = _Lookup()
            self._work.put(self._lookup)
        lookup = self._lookup
        if not lookup.is_answered.wait(timeout_s):
            raise TopicUnavailable(lookup.reason)
        self._lookup = None
        if lookup.count is None:
            raise TopicUnavailable(lookup.reason)
        return lookup.count

    def send(self, parcel: Parcel, done: Callable[[Outcome], None]) -> bool:
        """This function will queue one parcel; see `Transport`."""
        if self._open_parcels >= limits.HTTP_QUEUE_PARCELS_MAX:
            return False
        self._open_parcels += 1
        self._work.put(_Job(parcel, done, time.monotonic() + self._delivery_timeout_s))
        return True

    def poll(self, timeout_s: float) -> None:
        """This function will report outcomes; see `Transport`."""
        try:
            self._report(timeout_s)
            while True:
                self._report(0.0)
        except queue.Empty:
            return

    def _report(self, timeout_s: float) -> None:
        done, outcome = self._outcomes.get(timeout=max(timeout_s, 0.0))
        self._open_parcels -= 1
        done(outcome)

    def abandon(self, timeout_s: float) -> None:
        """This function will break the connection off and wait for the thread; see `Transport`."""
        self._abandoned.set()
        connection = self._connection
        sock = connection.sock if connection is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        deadline_s = time.monotonic() + timeout_s
        while self._open_parcels > 0 and time.monotonic() < deadline_s:
            self.poll(limits.TURN_S)

    def close(self) -> None:
        """This function will end the thread, which closes the connection."""
        self._abandoned.set()
        self._work.put(None)
        self._thread.join(limits.ABANDON_S)

    def leak(self) -> None:
        """This function will close the child's copy of the socket; the parent's stays open."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            connection.sock.close()

    # --- the thread ---

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            if isinstance(work, _Lookup):
                self._answer(work)
                continue
            if self._lookup is not None and not self._lookup.is_answered.is_set():
                # It waits behind parcels; a question about the topic goes first.
                self._answer(self._lookup)
            self._outcomes.put((work.done, self._deliver(work)))
        self._disconnect()

    def _answer(self, lookup: _Lookup) -> None:
        if lookup.is_answered.is_set():
            return
        try:
            answer = self._exchange("GET", PARTITIONS_PATH, None, {})
        except (OSError, http.client.HTTPException) as error:
            self._note_away(error)
            lookup.reason = "http_unreachable"
        else:
            count = answer.whole_number("partitions")
            if answer.status == _OK and count is not None and count > 0:
                lookup.count = count
            else:
                lookup.reason = answer.code()
        lookup.is_answered.set()

    def _deliver(self, job: _Job) -> Outcome:
        """This function will post a parcel until it has an outcome or its time is over."""
        body, headers = self._request_of(job.parcel)
        pause_s = limits.HTTP_PAUSE_FIRST_S
        while not self._abandoned.is_set():
            if time.monotonic() >= job.give_up_s:
                return Outcome(None, "http_timed_out")
            asked_s = None
            try:
                answer = self._exchange("POST", EVENTS_PATH, body, headers)
            except (OSError, http.client.HTTPException) as error:
                self._note_away(error)
            else:
                if answer.status not in _RETRIED:
                    self._is_away = False
                    return _outcome_of(answer)
                self._note_away(answer.code())
                asked_s = answer.retry_after_s
            left_s = max(0.0, job.give_up_s - time.monotonic())
            own_s = pause_s * random.uniform(0.5, 1.5)  # noqa: S311 - spreads clients, hides nothing
            self._abandoned.wait(min(own_s if asked_s is None else asked_s, left_s))
            pause_s = min(pause_s * 2, limits.HTTP_PAUSE_LAST_S)
        return Outcome(None, "closed_outcome_unknown")

    def _request_of(self, parcel: Parcel) -> tuple[bytes, dict[str, str]]:
        headers = {
            "Content-Type": CONTENT_TYPE,
            "Idempotency-Key": f"{parcel.producer_id.hex()}-{parcel.sequence}",
        }
        if parcel.traceparents:
            # The recommendation knows one traceparent of a request; ours tells of all events.
            headers["traceparent"] = parcel.traceparents[0]
            headers["Tidegauge-Traceparents"] = ",".join(parcel.traceparents)
        if not self._is_gzip:
            return parcel.value, headers
        headers["Content-Encoding"] = "gzip"
        # Without the time in its head: the same batch is the same bytes, whenever it is packed.
        return gzip_codec.compress(parcel.value, compresslevel=1, mtime=0), headers

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> _Answer:
        """This function will do one request; a connection that had gone stale is renewed once."""
        is_reused = self._connection is not None
        try:
            return self._try_exchange(method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self._disconnect()
            is_stale = isinstance(error, ConnectionError | http.client.BadStatusLine)
            if not (is_reused and is_stale) or self._abandoned.is_set():
                raise
        try:
            return self._try_exchange(method, path, body, headers)
        except (OSError, http.client.HTTPException):
            self._disconnect()
            raise

    def _try_exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> _Answer:
        if self._connection is None:
            self._connection = self._new_connection()
        connection = self._connection
        connection.request(
            method, f"{self._address.prefix}{path}", body, {**self._headers, **headers}
        )
        response = connection.getresponse()
        content = response.read(limits.HTTP_ANSWER_BYTES_MAX)
        retry_after_s = _seconds(response.getheader("Retry-After"))
        if not response.isclosed():
            self._disconnect()  # more than an answer of ours has
        return _Answer(response.status, retry_after_s, _json_object(content))

    def _new_connection(self) -> http.client.HTTPConnection:
        address, timeout_s = self._address, limits.HTTP_REQUEST_TIMEOUT_S
        if address.scheme == "https":
            return http.client.HTTPSConnection(
                address.host, address.port, timeout=timeout_s, context=self._ssl_context
            )
        return http.client.HTTPConnection(address.host, address.port, timeout=timeout_s)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _note_away(self, reason: object) -> None:
        if not self._is_away:
            self._is_away = True
            _log.warning("tidegauge.http.away reason=%s next=%s", reason, "batches are sent again")


def _outcome_of(answer: _Answer) -> Outcome:
    offset = answer.whole_number("offset")
    if answer.status == _ACCEPTED and offset is not None:
        return Outcome(offset, None)
    # Also a 202 without an offset: somebody answered, but not the gateway.
    return Outcome(None, answer.code(), is_final=answer.status in _FINAL)


def _seconds(retry_after: str | None) -> float | None:
    """This function will read Retry-After in seconds; its form with a date is left out."""
    if retry_after is None or not retry_after.isdecimal():
        return None
    return min(float(retry_after), limits.HTTP_RETRY_AFTER_S_MAX)


def _json_object(content: bytes) -> Mapping[str, object]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
