"""Request bodies: bounded in size and time, JSON without floats, every field named or refused."""

from __future__ import annotations

import asyncio
from email.message import Message
from urllib.parse import parse_qsl

from fastapi import Request

from domain.canonical import from_json
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import Fields
from runtime.web import exact_json
from runtime.web.exact_json import Exact
from runtime.web.problems import ProblemError, invalid

BODY_BYTES_MAX = 1024 * 1024
"""Largest body, bytes: a command is at most as large as a record of account.commands."""
BODY_TIMEOUT_S = 10
"""Longest time a body may take to arrive, seconds: a slow sender must not hold a place."""
FORM_MEDIA_TYPE = "application/x-www-form-urlencoded"
FORM_FIELDS_MAX = 20
"""Fields of a form; ours have three."""
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


async def read_json_bytes(request: Request) -> bytes:
    """This function will read a body of JSON as it came, for a reader of exact numbers.

    Raises:
        ProblemError: invalid_request with the header or body that is wrong.
    """
    _check_headers(request)
    return await _read(request)


async def read_form_or_object(request: Request) -> dict[str, Exact]:
    """This function will read the body as one JSON object or as a form, whose values are texts.

    Raises:
        ProblemError: invalid_request with the header or body that is wrong.
    """
    if _media_type(request) != FORM_MEDIA_TYPE:
        document = exact_json.read(await read_json_bytes(request))
        if not isinstance(document, dict):
            raise invalid("body", "The body must be a JSON object")
        return document
    _check_headers(request, FORM_MEDIA_TYPE)
    raw = await _read(request)
    try:
        pairs = parse_qsl(
            raw.decode("utf-8"),
            keep_blank_values=True,
            strict_parsing=True,
            max_num_fields=FORM_FIELDS_MAX,
            errors="strict",
        )
    except ValueError as error:
        raise invalid("body", "The body is no form") from error
    fields: dict[str, Exact] = dict(pairs)
    if len(fields) != len(pairs):
        raise invalid("body", "A field is given twice")
    return fields


def _media_type(request: Request) -> str:
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    return header.get_content_type()


def _check_headers(request: Request, media_type: str = _MEDIA_TYPE) -> None:
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    charset = header.get_content_charset("utf-8")
    if header.get_content_type() != media_type or charset != "utf-8":
        raise invalid("Content-Type", f"The body must be {media_type} in UTF-8", status=415)
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
