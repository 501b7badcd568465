"""CloudEvents 1.0 over HTTP, in the structured, binary and batch forms, as usage events.

Source: CloudEvents 1.0.2, its JSON format and its HTTP protocol binding. The mapping: type is the
event type; subject, else the extension customer, else data.customer is the customer; time is when
it occurred; data has quantity, dimensions and properties; source and id name the event.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from starlette.requests import Request

from producers.gateway import bodies
from producers.gateway.candidates import (
    Candidate,
    RefusedEvent,
    only_known,
    read_time,
    required_text,
)
from runtime.web import exact_json
from runtime.web.exact_json import Exact
from runtime.web.problems import ProblemError, invalid

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
EVENTS_MAX = 1_000
"""Events of one request: two full batches of the SDK, and 10 ms of this process."""
HEADER_PREFIX = "ce-"

_ATTRIBUTES = frozenset(
    {
        "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema",
        "data", "data_base64", "customer",
    }
)  # fmt: skip
_DATA = frozenset({"quantity", "dimensions", "properties", "customer"})
_is_name = re.compile(r"[a-z0-9]{1,64}", re.ASCII).fullmatch
_is_json_type = re.compile(
    r"[a-z0-9.-]+/(?:[a-z0-9.-]+\+)?json(?:\s*;\s*charset=\"?utf-8\"?)?", re.ASCII | re.IGNORECASE
).fullmatch


def is_batch(request: Request) -> bool:
    """This function will say whether a request says that it holds a batch, in UTF-8."""
    return bodies.media_type(request) == bodies.MediaType(BATCH, "utf-8")


def read_events(request: Request, body: bytes) -> list[Exact]:
    """This function will find the events of a request.

    Returns:
        The events, each unchecked.

    Raises:
        ProblemError: invalid_request, when the request as a whole is wrong.
    """
    kind = bodies.media_type(request)
    if kind.charset != "utf-8":
        raise _other_type()
    if kind.name == STRUCTURED:
        return [exact_json.read(body)]
    if kind.name == BATCH:
        events = exact_json.read(body)
        if not isinstance(events, list):
            raise invalid("body", "A batch is a JSON array of events")
        if len(events) > EVENTS_MAX:
            raise invalid("body", f"A batch has at most {EVENTS_MAX} events", status=413)
        return events
    if f"{HEADER_PREFIX}specversion" in request.headers:
        return [_of_headers(request, kind.name, body)]
    raise _other_type()


def _other_type() -> ProblemError:
    return invalid(
        "Content-Type",
        f"Send {STRUCTURED}, {BATCH}, or ce- headers and data as application/json; all in UTF-8",
        status=415,
    )


def _of_headers(request: Request, data_type: str, body: bytes) -> Exact:
    """Return the event of the binary form as the structured one has it."""
    event: dict[str, Exact] = {}
    for name, value in request.headers.items():
        if not name.startswith(HEADER_PREFIX):
            continue
        attribute = name.removeprefix(HEADER_PREFIX)
        if attribute in event or attribute in {"data", "data_base64", "datacontenttype"}:
            raise invalid(name[:60], "The header is given twice, or is none of the binary form")
        try:
            event[attribute] = unquote_to_bytes(value.encode("latin-1")).decode("utf-8")
        except UnicodeDecodeError as error:
            raise invalid(name[:60], "The header is not UTF-8, percent-encoded") from error
    if body:
        event["datacontenttype"] = data_type
        if _is_json_type(data_type) is None:
            raise invalid("Content-Type", "The data must be application/json", status=415)
        event["data"] = exact_json.read(body)
    return event


def to_candidate(event: Exact) -> Candidate:
    """This function will read one event.

    Raises:
        RefusedEvent: With the attribute that is wrong.
    """
    if not isinstance(event, dict):
        raise RefusedEvent("event", "must be a JSON object")
    if event.get("specversion") != "1.0":
        raise RefusedEvent("specversion", 'must be "1.0"')
    if not event.keys() <= _ATTRIBUTES:
        _check_extensions(event.keys() - _ATTRIBUTES)
    data = _data_of(event)
    return Candidate(
        id=required_text(event, "id"),
        source=required_text(event, "source"),
        customer=_customer_of(event, data),
        type_=required_text(event, "type"),
        quantity=data.get("quantity", 1),
        occurred_at=read_time(event.get("time"), param="time"),
        dimensions=data.get("dimensions"),
        properties=data.get("properties"),
    )


def is_extension(name: str) -> bool:
    """This function will say whether a name may be that of an extension that we do not read."""
    return name not in _ATTRIBUTES and _is_name(name) is not None


def _check_extensions(names: set[str]) -> None:
    """Refuse names that CloudEvents does not allow; other extensions are not ours to judge."""
    for name in names:
        if not is_extension(name):
            raise RefusedEvent(name[:60], "is no attribute of CloudEvents: a-z and 0-9 only")


def _customer_of(event: Mapping[str, Exact], data: Mapping[str, Exact]) -> Exact:
    found = [
        value
        for value in (event.get("subject"), event.get("customer"), data.get("customer"))
        if value is not None
    ]
    if not found:
        raise RefusedEvent("subject", "must name the customer")
    if any(value != found[0] for value in found):
        raise RefusedEvent("subject", "names another customer than the extension or the data")
    return found[0]


def _data_of(event: dict[str, Exact]) -> dict[str, Exact]:
    kind = event.get("datacontenttype")
    if kind is not None and (not isinstance(kind, str) or _is_json_type(kind) is None):
        raise RefusedEvent("datacontenttype", "must be application/json")
    data = event.get("data")
    if "data_base64" in event:
        data = _unpacked(event)
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise RefusedEvent("data", "must be a JSON object")
    only_known(data, _DATA, place="data.")
    return data


def _unpacked(event: dict[str, Exact]) -> Exact:
    packed = event["data_base64"]
    if not isinstance(packed, str) or event.get("data") is not None:
        raise RefusedEvent("data_base64", "must be text, and stand alone")
    try:
        return exact_json.read(base64.b64decode(packed, validate=True))
    except (binascii.Error, ValueError) as error:
        raise RefusedEvent("data_base64", "is not base64") from error
    except ProblemError as error:
        raise RefusedEvent("data_base64", f"holds no JSON: {error}") from error
