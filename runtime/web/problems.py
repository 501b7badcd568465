"""Every error as one problem document (RFC 9457), in one form and made in one place."""

from __future__ import annotations

import json
import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from domain.canonical import Json
from domain.codes import DESCRIPTIONS, Code
from domain.errors import Rejected, Retryable, TidegaugeError
from runtime import clock
from runtime.logs import logger

MEDIA_TYPE = "application/problem+json"
DETAIL_LENGTH_MAX = 300
"""Characters of a detail: it may repeat a piece of the request, which may be long."""
PARAM_LENGTH_MAX = 100
"""Characters of param, for the same reason."""

AWAY_LOG_MS = 1_000
"""Least time between two log lines about the same absent part, ms: an outage under load would
otherwise fill the disk."""
_away: dict[Code, tuple[int, int]] = {}

STATUS_BY_CODE: dict[Code, int] = {
    Code.UNAUTHENTICATED: 401,
    Code.ORIGIN_REFUSED: 403,
    Code.NOT_FOUND: 404,
    Code.CUSTOMER_UNKNOWN: 404,
    Code.SUBSCRIPTION_UNKNOWN: 404,
    Code.INVOICE_UNKNOWN: 404,
    Code.API_KEY_UNKNOWN: 404,
    Code.INVALID_REQUEST: 400,
    Code.IDEMPOTENCY_KEY_MISSING: 400,
    Code.OVERSIZED: 413,
    Code.IDEMPOTENCY_CONFLICT: 409,
    Code.CATALOGUE_VERSION_TAKEN: 409,
    Code.CATALOGUE_VERSION_OLD: 409,
    Code.CUSTOMER_EXISTS: 409,
    Code.SUBSCRIPTION_EXISTS: 409,
    Code.INVOICE_EXISTS: 409,
    Code.API_KEY_EXISTS: 409,
    Code.COMMAND_TIMEOUT: 504,
    Code.NOT_CHARGED: 409,
    Code.INSUFFICIENT_CREDITS: 402,
    Code.NOT_APPROVED: 402,
    Code.CHARGE_UNKNOWN: 404,
    Code.SUSPICION_UNKNOWN: 404,
    Code.EMAIL_TAKEN: 409,
    Code.TOP_UP_EXISTS: 409,
    Code.GRANT_EXISTS: 409,
    Code.ADJUSTMENT_EXISTS: 409,
    Code.CHARGE_EXISTS: 409,
    Code.CHARGE_NOT_OPEN: 409,
    Code.CHARGE_NOT_HELD: 409,
    Code.CHARGE_NOT_CAPTURED: 409,
    Code.APPROVAL_EXPIRED: 409,
    Code.TIER_CHARGED: 409,
    Code.CUSTOMER_DIFFERS: 409,
    Code.DELIVERABLE_DIFFERS: 409,
    Code.SUSPICION_EXISTS: 409,
    Code.BASELINE_EXISTS: 409,
    Code.GAIN_SHARE_EXISTS: 409,
    Code.GAIN_SHARE_UNKNOWN: 404,
    Code.GAIN_SHARE_DECIDED: 409,
    Code.GAIN_SHARE_OVERLAPS: 409,
    Code.DISCOUNT_GRANTED: 409,
    Code.METER_TAKEN: 409,
    Code.PLAN_IN_USE: 409,
    Code.SUBSCRIPTION_ENDED: 409,
    Code.PERIOD_INVOICED: 409,
    Code.NOT_CANCELLED: 409,
    Code.CLOCK_EXISTS: 409,
    Code.CLOCK_BACKWARDS: 409,
    Code.TENANT_LIVE: 409,
    Code.CUSTOMER_ERASED: 410,
    Code.VAULT_CLOSED: 501,
    Code.MISROUTED: 409,
    Code.TENANT_MISMATCH: 403,
    Code.SCOPE_MISSING: 403,
    Code.PAYMENT_TOO_LARGE: 403,
    Code.RATE_LIMITED: 429,
    Code.WEBHOOK_UNVERIFIED: 401,
    Code.WEBHOOK_REPLAYED: 409,
}
"""HTTP status of a refusal; a code that is not listed is 422: understood, but not possible."""
STATUS_OF_OTHER_REFUSALS = 422

FIELDS_BY_CODE: dict[Code, tuple[str, ...]] = {
    Code.CUSTOMER_EXISTS: ("customer",),
    Code.CUSTOMER_UNKNOWN: ("customer",),
    Code.SUBSCRIPTION_UNKNOWN: ("subscription",),
    Code.INVOICE_UNKNOWN: ("invoice",),
    Code.PLAN_UNKNOWN: ("plan",),
    Code.CURRENCY_UNKNOWN: ("currency",),
    Code.CURRENCY_DIFFERS: ("currency", "add_on", "plan", "customer"),
    Code.AMOUNT_WRONG: ("amount_minor",),
    Code.INSUFFICIENT_CREDITS: ("credits",),
    Code.CHARGE_UNKNOWN: ("charge",),
    Code.CHARGE_NOT_OPEN: ("charge",),
    Code.CHARGE_NOT_HELD: ("charge",),
    Code.CHARGE_NOT_CAPTURED: ("charge",),
    Code.APPROVAL_EXPIRED: ("charge",),
    Code.TIER_CHARGED: ("charge",),
    Code.CUSTOMER_DIFFERS: ("customer",),
    Code.PAYMENT_TOO_LARGE: ("amount_minor",),
    Code.DELIVERABLE_DIFFERS: ("name",),
    Code.SUSPICION_UNKNOWN: ("suspicion",),
    Code.CUSTOMER_ERASED: ("customer",),
    Code.ADD_ON_UNKNOWN: ("add_on", "add_ons"),
    Code.PRICE_UNKNOWN: ("price",),
    Code.DISCOUNT_UNKNOWN: ("discount", "discounts"),
    Code.DISCOUNT_GRANTED: ("discount",),
    Code.SELLER_UNKNOWN: ("seller",),
    Code.METER_TAKEN: ("plan", "add_on", "dimensions"),
    Code.INTERVAL_DIFFERS: ("plan",),
    Code.PERIOD_INVOICED: ("as_of",),
    Code.CLOCK_BACKWARDS: ("as_of",),
    Code.KPI_UNKNOWN: ("metric",),
    Code.SHARE_OUT_OF_RANGE: ("share_pct",),
    Code.GAIN_SHARE_NOT_OFFERED: ("customer",),
    Code.GAIN_SHARE_UNKNOWN: ("run",),
    Code.GAIN_SHARE_DECIDED: ("run",),
    Code.GAIN_SHARE_OVERLAPS: ("period_start",),
}
"""Fields of a command that a refusal without a place can be about, the likeliest first: it is
about the first one that the command has."""

_PATH = r"[a-z][a-z0-9_]*(?:\[[0-9]+\])?(?:\.[a-z][a-z0-9_]*(?:\[[0-9]+\])?)*"
_PLACE_OF_REASON = re.compile(rf"(?:[A-Z][A-Za-z]*\.({_PATH})|(catalogue\.{_PATH}))[ :]", re.ASCII)
"""The books put the place first: "CreateSubscription.start must …", "catalogue.plans: …"."""

_DETAIL_WHEN_AWAY = {
    Code.DATABASE_AWAY: "The database does not answer. Try again, a POST with the same "
    "Idempotency-Key: it takes effect once, whether or not this one reached the log",
    Code.BROKER_AWAY: "The log does not answer. Repeat the request with the same Idempotency-Key "
    "or event ids: it takes effect once, whether or not this one reached the log",
}
"""What a caller is told; the real reason names hosts and stays in the logs."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a request, or with us.

    Args:
        status: HTTP status.
        code: Stable code.
        detail: This case, for people; may repeat a piece of the request.
        param: Parameter, header or body field that is meant; empty when it is none of them.
        headers: More response headers.
        members: More members of the document.
    """

    status: int
    code: Code
    detail: str
    param: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    members: tuple[tuple[str, Json], ...] = ()


class ProblemError(Exception):
    """This error will be answered with the problem it carries."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.detail)


def invalid(param: str, detail: str, *, status: int = 400) -> ProblemError:
    """This function will return the refusal of one parameter, header or body field."""
    return ProblemError(Problem(status, Code.INVALID_REQUEST, detail, param=param))


def not_found() -> ProblemError:
    """This function will return the answer for what is not there, or is another tenant's.

    The two are the same on purpose: an id must not tell whether somebody else has it.
    """
    return ProblemError(Problem(404, Code.NOT_FOUND, "There is nothing at this address"))


def status_of(code: Code) -> int:
    """This function will return the HTTP status of a refusal."""
    return STATUS_BY_CODE.get(code, STATUS_OF_OTHER_REFUSALS)


def refusal(code: str, reason: str, *, asked: Container[str] = ()) -> Problem:
    """This function will turn a refusal of the books into the problem its caller sees.

    Args:
        code: The books' code.
        reason: What was wrong; it begins with the place where the books know it.
        asked: Fields of the command that was refused.
    """
    try:
        known = Code(code)
    except ValueError:
        # A fold newer than this process knows more codes.
        return Problem(STATUS_OF_OTHER_REFUSALS, Code.COMMAND_INVALID, f"{code}: {reason}")
    return Problem(status_of(known), known, reason, param=_param(known, reason, asked=asked))


def _param(code: Code, reason: str, *, asked: Container[str]) -> str:
    """Return the field that a refusal is about, in the command's names; empty for none."""
    if code is Code.IDEMPOTENCY_CONFLICT:
        return "Idempotency-Key"
    found = _PLACE_OF_REASON.match(reason)
    if found is not None and found[2]:
        return found[2]
    # A field that is missing is none that the command has.
    if found is not None and (code is Code.COMMAND_INVALID or _head(found[1]) in asked):
        return found[1]
    return next((name for name in FIELDS_BY_CODE.get(code, ()) if name in asked), "")


def _head(path: str) -> str:
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def problem_of(error: Exception) -> Problem:
    """This function will turn any error into the problem its caller may see."""
    match error:
        case ProblemError():
            return error.problem
        case Rejected():
            return _of_rejected(error)
        case Retryable():
            return _of_retryable(error)
        case RequestValidationError():
            return _of_validation(error)
        case HTTPException():
            return _of_http(error)
        case _:
            _log_defect(error)
            return Problem(500, Code.INTERNAL, "A defect; the request id finds it in the logs")


def to_response(problem: Problem, *, request_id: str) -> Response:
    """This function will write a problem as its HTTP response."""
    document: dict[str, Json] = {
        "type": f"/docs#{problem.code}",
        "title": DESCRIPTIONS[problem.code],
        "status": problem.status,
        "detail": problem.detail[:DETAIL_LENGTH_MAX],
        "code": problem.code.value,
        "param": problem.param[:PARAM_LENGTH_MAX] or None,
        "request_id": request_id,
        **dict(problem.members),
    }
    # Escaped to ASCII: a detail may hold a lone surrogate of the request, which UTF-8 cannot.
    return Response(
        json.dumps(document),
        status_code=problem.status,
        headers=dict(problem.headers),
        media_type=MEDIA_TYPE,
    )


async def answer(request: Request, error: Exception) -> Response:
    """This function will answer a request with the problem of its error (a FastAPI handler)."""
    return to_response(problem_of(error), request_id=request.state.request_id)


def _of_rejected(error: Rejected) -> Problem:
    detail = f"{error.reason}. {error.next_step}" if error.next_step else error.reason
    param = str(error.fields.get("param") or "").removeprefix("body.")
    return Problem(status_of(error.code), error.code, detail, param=param)


def _of_retryable(error: Retryable) -> Problem:
    _log_away(error)
    retry_after_s = max(1, -(-error.retry_after_ms // 1000))
    return Problem(
        503,
        error.code,
        _DETAIL_WHEN_AWAY.get(error.code, error.reason),
        headers=(("Retry-After", str(retry_after_s)),),
    )


def _log_away(error: Retryable) -> None:
    """Log at most one such answer of each code in a while, and how many were like it."""
    now_ms = clock.monotonic_ms()
    since_ms, count = _away.get(error.code, (-AWAY_LOG_MS, 0))
    if now_ms - since_ms < AWAY_LOG_MS:
        _away[error.code] = (since_ms, count + 1)
        return
    _away[error.code] = (now_ms, 0)
    logger().warning("http.part_away", code=error.code.value, reason=error.reason, before=count)


def _of_validation(error: RequestValidationError) -> Problem:
    first: dict[str, Any] = error.errors()[0]
    place, *path = first["loc"]
    names = [str(item) for item in path if isinstance(item, str)]
    param = names[-1] if names else str(place)
    detail = "There is no such parameter" if first["type"] == "extra_forbidden" else first["msg"]
    return Problem(400, Code.INVALID_REQUEST, f"{param}: {detail}", param=param)


def _of_http(error: HTTPException) -> Problem:
    headers = tuple((error.headers or {}).items())
    if error.status_code == 404:  # noqa: PLR2004 -- the status itself
        return not_found().problem
    if error.status_code == 405:  # noqa: PLR2004 -- the status itself
        return Problem(
            405, Code.INVALID_REQUEST, "This address does not take this method", "method", headers
        )
    return Problem(error.status_code, Code.INVALID_REQUEST, "The request is malformed")


def _log_defect(error: Exception) -> None:
    fields = error.fields if isinstance(error, TidegaugeError) else {}
    logger().error("http.defect", error=type(error).__name__, exc_info=error, **fields)


_CHALLENGE = (("WWW-Authenticate", 'Bearer realm="tidegauge"'),)


def unauthenticated() -> ProblemError:
    """This function will return the one answer to a missing, malformed, unknown or revoked key."""
    return ProblemError(
        Problem(
            401,
            Code.UNAUTHENTICATED,
            "Send a valid API key as Authorization: Bearer tg_live_…",
            param="Authorization",
            headers=_CHALLENGE,
        )
    )
