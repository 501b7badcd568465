"""Forms of the console: a few short fields, bounded in size and time."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl

from fastapi import Request

from api.bodies import BODY_TIMEOUT_S
from runtime.web.problems import invalid

FORM_BYTES_MAX = 16 * 1024
"""Largest form, bytes: its longest field is a note of 500 characters, percent-encoded."""
FIELDS_MAX = 20
_MEDIA_TYPE = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> dict[str, str]:
    """This function will read a form; of a repeated field the last one counts.

    Raises:
        ProblemError: invalid_request, when it is too large, too slow, or no form.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != _MEDIA_TYPE:
        raise invalid("Content-Type", f"The body must be {_MEDIA_TYPE}", status=415)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > FORM_BYTES_MAX:
                    raise invalid(
                        "body", f"The form has more than {FORM_BYTES_MAX} bytes", status=413
                    )
    except TimeoutError as error:
        raise invalid("body", "The form took too long to arrive", status=408) from error
    try:
        return dict(
            parse_qsl(
                body.decode(),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=FIELDS_MAX,
            )
        )
    except ValueError as error:  # no UTF-8, or too many fields
        raise invalid("body", "The body is no form in UTF-8") from error
