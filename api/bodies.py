"""Request bodies: bounded in size and time, JSON without floats, every field named or refused."""

from __future__ import annotations

import asyncio
from email.message import Message

from fastapi import Request

from domain.canonical import from_json
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import Fields
from runtime.web.problems import ProblemError, invalid

BODY_BYTES_MAX = 1024 * 1024
"""Largest body, bytes: a command is at most as large as a record of account.commands."""
BODY_TIMEOUT_S = 10
"""Longest time a body may take to arrive, seconds: a slow sender must not hold a place."""
_MEDIA_TYPE = "application/json"


async def read_object(request: Request) -> Fields:
    """This function will read the body as one JSON object.

    Raises:
        ProblemError: invalid_request with the header or body that is wrong.
    """
    _check_headers(request)
    raw = await _read(request)
    try:
        document = from_json(raw.decode("utf-8"))
        return Fields.of(document, place="body", code=Code.INVALID_REQUEST)
    except UnicodeDecodeError as error:
        raise invalid("body", "The body is not UTF-8") from error
    except Rejected as error:
        raise invalid("body", error.reason) from error


def _check_headers(request: Request) -> None:
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    charset = header.get_content_charset("utf-8")
    if header.get_content_type() != _MEDIA_TYPE or charset != "utf-8":
        raise invalid("Content-Type", f"The body must be {_MEDIA_TYPE} in UTF-8", status=415)
    if request.headers.get("content-encoding", "identity") != "identity":
        raise invalid("Content-Encoding", "The body must not be compressed", status=415)
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared[:20]) > BODY_BYTES_MAX:
        raise _oversized()


async def _read(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_BYTES_MAX:
                    raise _oversized()
    except TimeoutError as error:
        raise invalid("body", "The body took too long to arrive", status=408) from error
    return bytes(body)


def _oversized() -> ProblemError:
    return invalid("body", f"The body has more than {BODY_BYTES_MAX} bytes", status=413)
