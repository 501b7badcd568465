"""Batches of ordinary CloudEvents, at a third of the cost; any other batch goes the exact way.

Ordinary is: the customer in `subject`, extensions with plain values, and nothing to refuse or to
send only once.
This module never refuses. Whatever it is not sure about it leaves to `cloudevents` and `judging`,
which say what is wrong; so each check of theirs stands here as a reason to step back, and a test
compares both ways. Nothing gets lost in the quicker parser either: msgspec is as strict as
`exact_json` about numbers (a fraction is handed over as its text), UTF-8 and surrogates, and
repeated or unknown names, which it would pass over, are found by counting (`_names_in`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, DecimalException
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from producers.gateway.candidates import RefusedEvent, read_time
from producers.gateway.cloudevents import EVENTS_MAX, is_extension
from producers.gateway.judging import ACCEPTED, Judgement, Place
from producers.gateway.partitions import partition_of_customer
from runtime.web import exact_json
from runtime.web.exact_json import Exact
from runtime.web.problems import ProblemError
from tidegauge import errors, intake, limits, quantity, text
from tidegauge.wire import identity
from tidegauge.wire.batch import EventRow

NAMES_MAX = 50_000
"""Customers that are remembered as good, with their partition; about 10 MB."""
SETS_MAX = 5_000
"""Objects of dimensions that are remembered as they were written; with SET_BYTES_MAX, 5 MB."""
SET_BYTES_MAX = 512
"""Longest such object, bytes; a longer one is read each time."""
MINUTES_MAX = 10_000
"""Minutes whose beginning is remembered, a week of them; about 1 MB."""

_MANY_DIGITS = 15
"""From so many digits on a quantity is left to the SDK's own reader, which knows what is too
large: quantities end below 10^14."""
_SCALE = limits.QUANTITY_SCALE
_BILLION = 10**_SCALE
_BLANKS = b" \t\r\n"
_SECONDS = {f"{second:02}": second * 1_000 for second in range(60)}
_UTC_TAILS = {f"{text_}{zone}": ms for text_, ms in _SECONDS.items() for zone in ("Z", "+00:00")}
_UUID_CHARACTERS, _KEY_BYTES = 36, 16


class _Unusual(Exception):
    """The batch is left to the exact way."""


class _Data(msgspec.Struct, gc=False):
    quantity: Any = UNSET
    dimensions: Raw | UnsetType = UNSET
    properties: Raw | UnsetType = UNSET


class _Event(msgspec.Struct, gc=False):
    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str | UnsetType = UNSET
    data: _Data | UnsetType = UNSET
    datacontenttype: str | UnsetType = UNSET
    dataschema: str | UnsetType = UNSET
    traceparent: str | UnsetType = UNSET
    tracestate: str | UnsetType = UNSET


_DECODER = msgspec.json.Decoder(list[_Event], float_hook=Decimal)
_ANY_DECODER = msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal)
"""For batches with extensions, which `_DECODER` passes over."""
_REQUIRED_NAMES = 5
_JSON_TYPE = "application/json"
_EMPTY = _Data()


def judge_batch(body: bytes, place: Place) -> Judgement | None:
    """This function will judge a batch whose events are all ordinary and all to be accepted.

    Args:
        body: A JSON array of events.
        place: What the events share.

    Returns:
        Exactly what judging the events one by one gives; None when that has to be done.
    """
    try:
        events = _DECODER.decode(body)
        if len(events) > EVENTS_MAX:
            return None
        return _judged(body, events, place)
    except (
        _Unusual, RefusedEvent, ProblemError, errors.InvalidEvent,
        msgspec.MsgspecError, DecimalException, ValueError, RecursionError,
    ):  # fmt: skip
        return None


def _judged(body: bytes, events: Sequence[_Event], place: Place) -> Judgement:
    names = len(events) * _REQUIRED_NAMES + _require_ordinary(events)
    keys, foreign = _keys_of(events)
    now_ms = intake.milliseconds(place.now)
    rows: dict[tuple[int, str], list[EventRow]] = {}
    for number, event in enumerate(events):
        data = _EMPTY
        if event.data is not UNSET:
            data = event.data
            names += 1
        occurred_at_ms = now_ms
        if event.time is not UNSET:
            occurred_at_ms = _milliseconds(event.time)
            names += 1
        billionths = _BILLION
        if data.quantity is not UNSET:
            billionths = _billionths(data.quantity)
            names += 1
        dimensions = properties = ""
        if data.dimensions is not UNSET:
            dimensions, inside = _dimensions(bytes(data.dimensions))
            names += inside
        if data.properties is not UNSET:
            properties, inside = _properties(bytes(data.properties))
            names += inside
        customer = event.subject
        payload = identity.payload(
            customer, event.type, occurred_at_ms, billionths, dimensions, properties
        )
        row = (
            event.id, keys[number], _fingerprint(payload), customer, event.type,
            dimensions, occurred_at_ms, billionths, foreign[number], properties,
        )  # fmt: skip
        home = _partition(place.tenant, customer, place.partitions)
        rows.setdefault((home, event.source), []).append(row)
    more = _names_in(body) - names
    if more and more != _extensions_in(body):
        raise _Unusual
    return Judgement(
        rows,
        [
            {"index": number, "id": event.id, "status": ACCEPTED}
            for number, event in enumerate(events)
        ],
        counts=Counter({ACCEPTED: len(events)}),
    )


def _fingerprint(payload: bytes) -> bytes:
    if len(payload) > limits.EVENT_BYTES_MAX:
        raise _Unusual
    return identity.fingerprint(payload)


def _require_ordinary(events: Sequence[_Event]) -> int:
    """Check what events share, for the same few texts come again and again.

    Returns:
        How often attributes are there that nobody needs.
    """
    if {event.specversion for event in events} != {"1.0"}:
        raise _Unusual
    kinds = [event.datacontenttype for event in events]
    if not set(kinds) <= {UNSET, _JSON_TYPE}:
        raise _Unusual
    for name in {event.type for event in events} | {event.source for event in events}:
        _require_name(name)
    others = (
        kinds,
        [event.dataschema for event in events],
        [event.traceparent for event in events],
        [event.tracestate for event in events],
    )
    return sum(len(events) - values.count(UNSET) for values in others)


def _require_name(name: str) -> None:
    if not name or text.fault_in(name, characters_max=limits.NAME_CHARACTERS_MAX) is not None:
        raise _Unusual


def _keys_of(events: Sequence[_Event]) -> tuple[list[bytes], list[bool]]:
    """Return the key of each event, and whether its id is none of ours; all keys differ."""
    ids = [event.id for event in events]
    keys = _uuid_keys(ids)
    foreign = [False] * len(ids)
    if not keys:
        for number, event in enumerate(events):
            key = identity.uuid_key(event.id)
            if key is None:
                _require_name(event.id)
                key = identity.foreign_key(source=event.source, event_id=event.id)
                foreign[number] = True
            keys.append(key)
    if len(set(keys)) != len(keys):
        raise _Unusual
    return keys, foreign


def _uuid_keys(ids: Sequence[str]) -> list[bytes]:
    """Return the bytes of UUIDs; nothing, unless all are what `identity.uuid_key` takes.

    Every id has 36 characters with dashes at four places. The others are digits, no dashes and no
    blanks, which are skipped, because 16 bytes come out.
    """
    if set(map(len, ids)) != {_UUID_CHARACTERS}:
        return []
    whole, dashes = "".join(ids), "-" * len(ids)
    if any(whole[place::_UUID_CHARACTERS] != dashes for place in (8, 13, 18, 23)):
        return []
    try:
        joined = bytes.fromhex(whole.replace("-", ""))
    except ValueError:
        return []
    if len(joined) != _KEY_BYTES * len(ids):
        return []
    return [joined[at : at + _KEY_BYTES] for at in range(0, len(joined), _KEY_BYTES)]


@lru_cache(NAMES_MAX)
def _partition(tenant: str, customer: str, partitions: int) -> int:
    """Check a customer's name and return where its events go."""
    _require_name(customer)
    return partition_of_customer(tenant, customer, partitions)


@lru_cache(MINUTES_MAX)
def _minute_ms(beginning: str) -> int:
    """Return the ms of a minute that is written up to its colon, in UTC."""
    return intake.milliseconds(read_time(f"{beginning}00Z", param="time"))


def _milliseconds(time: str) -> int:
    """Return the ms of a time; the exact way knows the rarer forms."""
    tail = time[17:]
    since = _UTC_TAILS.get(tail)
    if since is None:
        since = _fraction_ms(tail)
        if since is None:
            return intake.milliseconds(read_time(time, param="time"))
    return _minute_ms(time[:17]) + since


def _fraction_ms(tail: str) -> int | None:
    """Return the ms of seconds with a fraction and Z, rounded down; None for any other form."""
    second, digits = _SECONDS.get(tail[:2]), tail[3:-1]
    is_usual = tail[2:3] == "." and tail[-1:] == "Z" and digits.isdecimal() and digits.isascii()
    if second is None or not is_usual or len(digits) > _SCALE:
        return None
    return second + int(digits[:3].ljust(3, "0"))


def _billionths(value: object) -> int:
    """Return a quantity in billionths; plain decimal text at once, the rest by the SDK."""
    if type(value) is str and len(value) < _MANY_DIGITS and value.isascii():
        whole, dot, fraction = value.partition(".")
        if whole.isdecimal() and (fraction.isdecimal() or not dot) and len(fraction) <= _SCALE:
            return int(whole + fraction.ljust(_SCALE, "0"))
    return quantity.billionths(value)


_sets: dict[bytes, tuple[str, int]] = {}


def _dimensions(raw: bytes) -> tuple[str, int]:
    """Return dimensions in canonical form, and what `_names_in` says of them and their name."""
    known = _sets.get(raw)
    if known is not None:
        return known
    found = intake.canonical_dimensions(_object(raw)), 1 + _names_in(raw)
    if len(raw) <= SET_BYTES_MAX:
        if len(_sets) >= SETS_MAX:
            _sets.clear()
        _sets[raw] = found
    return found


def _properties(raw: bytes) -> tuple[str, int]:
    return intake.canonical_properties(_object(raw)), 1 + _names_in(raw)


def _object(raw: bytes) -> Exact:
    """Read an object exactly: msgspec has only looked for its end."""
    value = exact_json.read(raw)
    if not isinstance(value, dict):
        raise _Unusual
    return value


def _extensions_in(body: bytes) -> int:
    """Return how many extensions events have, when all have lawful names and plain values."""
    found = 0
    for event in _ANY_DECODER.decode(body):
        for name in event.keys() - _Event.__struct_fields__:
            if not is_extension(name) or isinstance(event[name], dict | list):
                raise _Unusual
            found += 1
    return found


def _names_in(body: bytes) -> int:
    """Return at least as many names as objects in a text have.

    A name ends with a quote and a colon, blanks left out; so each is counted, also the second of
    two equal ones. A text may hold both signs as well: then it is too many, never too few.
    """
    return body.translate(None, _BLANKS).count(b'":')
