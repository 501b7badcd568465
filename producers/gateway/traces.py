"""W3C traceparents of a request, on their way to the headers of its records."""

from __future__ import annotations

from starlette.datastructures import Headers

from tidegauge import limits
from tidegauge.traces import is_traceparent

HEADER = "Tidegauge-Traceparents"
"""Those of all events of a framed batch, separated by commas, as the SDK sends them."""
STANDARD_HEADER = "traceparent"
"""The one of the request itself, which counts when the other header is not there."""
CHARACTERS_MAX = limits.TRACES_PER_BATCH_MAX * 64
"""Longest header that is read; a traceparent has 55 characters, and a comma and a blank."""


def read_traceparents(headers: Headers) -> tuple[str, ...]:
    """This function will return the traceparents of a request: distinct, and at most 32.

    A trace never costs an event: what is no traceparent is left out, as the recommendation of the
    W3C wants it, and so is everything beyond the limits.
    """
    text = headers.get(HEADER, headers.get(STANDARD_HEADER, ""))
    found = (item.strip() for item in text[:CHARACTERS_MAX].split(","))
    distinct = dict.fromkeys(item for item in found if is_traceparent(item))
    return tuple(distinct)[: limits.TRACES_PER_BATCH_MAX]
