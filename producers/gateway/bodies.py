"""Request bodies: bounded in size and time, as sent and as inflated."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass
from email.message import Message

from starlette.requests import Request

from producers.gateway.admission import Share
from runtime.web.problems import ProblemError, invalid

BODY_BYTES_MAX = 4 * 1024 * 1024
"""Largest body, bytes, as sent and as inflated: 1,000 events of 4 KiB."""
WEBHOOK_BYTES_MAX = 256 * 1024
"""Largest body of a webhook, bytes: one node with its data; read before it is verified."""
BODY_TIMEOUT_S = 20
"""Longest time a body may take to arrive, seconds: a slow sender must not hold a place."""

_GZIP_WINDOW = 31
"""zlib's number for the largest window with gzip's head and tail."""


@dataclass(frozen=True, slots=True)
class MediaType:
    """What a Content-Type says.

    Args:
        name: Type and subtype in lower case, empty when there is none.
        charset: In lower case, utf-8 when it is not said.
    """

    name: str
    charset: str


def media_type(request: Request) -> MediaType:
    """This function will read the Content-Type header."""
    text = request.headers.get("content-type", "")
    known = _KNOWN.get(text)
    if known is not None:
        return known
    header = Message()
    header["content-type"] = text
    name = header.get_content_type() if text else ""
    return MediaType(name, str(header.get_content_charset("utf-8")))


_KNOWN = {
    name: MediaType(name, "utf-8")
    for name in (
        "application/json",
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
        "application/vnd.tidegauge.usage-batch",
    )
}
"""What nearly everybody sends; reading a header in general takes 30 µs."""


def require_json(request: Request) -> None:
    """This function will refuse a body that is not JSON in UTF-8."""
    kind = media_type(request)
    if kind != _KNOWN["application/json"]:
        raise invalid("Content-Type", "The body must be application/json in UTF-8", status=415)


async def read_body(request: Request, share: Share, *, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """This function will read a body, inflating it where it is gzip.

    Args:
        request: Whose body.
        share: Pays for the bytes, before they are kept.
        bytes_max: Largest body, as sent and as inflated.

    Raises:
        ProblemError: invalid_request with status 400, 408, 413 or 415.
        Retryable: overloaded.
    """
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in {"identity", "gzip"}:
        raise invalid("Content-Encoding", "The body must be plain or gzip", status=415)
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared[:20]) > bytes_max:
        raise _oversized(bytes_max)
    raw = await _arrived(request, share, bytes_max)
    return raw if encoding == "identity" else _inflated(raw, share, bytes_max)


async def _arrived(request: Request, share: Share, bytes_max: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > bytes_max:
                    raise _oversized(bytes_max)
                share.take(len(chunk))
                chunks.append(chunk)
    except TimeoutError as error:
        raise invalid("body", "The body took too long to arrive", status=408) from error
    return b"".join(chunks)


def _inflated(raw: bytes, share: Share, bytes_max: int) -> bytes:
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    try:
        # One byte more than allowed, so that a bomb is known by it and never unfolds.
        body = inflater.decompress(raw, bytes_max + 1)
    except zlib.error as error:
        raise invalid("body", "The body is not gzip") from error
    if len(body) > bytes_max:
        raise _oversized(bytes_max)
    if not inflater.eof or inflater.unused_data:
        raise invalid("body", "The body is not one whole gzip member")
    share.take(len(body))
    return body


def _oversized(bytes_max: int) -> ProblemError:
    return invalid("body", f"The body has more than {bytes_max} bytes", status=413)
