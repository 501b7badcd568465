"""Webhooks: who signed them, when, and whether they came before.

Signature: HMAC-SHA256 over the timestamp, a full stop and the body, in hex. The secret says which
tenant speaks. A delivery is known again by its id and by its signature, because the id is not
signed: who changes only the id has a copy, not a delivery.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from starlette.datastructures import Headers

from domain.codes import Code
from domain.errors import Fatal, Retryable
from domain.fields import TEXT_LENGTH_MAX, is_clean_text
from runtime import clock
from runtime.settings import Settings
from runtime.web.problems import Problem, ProblemError, invalid

WINDOW_S = 300
"""How far the timestamp may lie from our clock, both ways, seconds (S0-R16 leaves it open)."""
DELIVERIES_MAX = 100_000
"""Deliveries remembered, two entries each; about 30 MB, and 330 a second for the whole window."""
SECRETS_MAX = 64
"""Secrets that are tried, each costs a hash of the body: 64 times 0.2 ms of the largest."""
SECRET_LENGTH_MIN = 16
"""Characters of a secret: fewer can be tried out."""

DELIVERY_HEADER = "Tidegauge-Delivery"
TIMESTAMP_HEADER = "Tidegauge-Timestamp"
SIGNATURE_HEADER = "Tidegauge-Signature"

_is_seconds = re.compile(r"[0-9]{1,12}", re.ASCII).fullmatch
_is_signature = re.compile(r"v1=([0-9a-f]{64})", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the headers of a webhook say, before the body is read.

    Args:
        delivery_id: The sender's id of the delivery.
        timestamp: Seconds since 1970 UTC, as text, for it is signed so.
        signature: 64 hex digits.
    """

    delivery_id: str
    timestamp: str
    signature: str


def is_unsigned(headers: Headers) -> bool:
    """This function will say whether a webhook comes without any sign of a signature."""
    return TIMESTAMP_HEADER not in headers and SIGNATURE_HEADER not in headers


def read_stamp(headers: Headers) -> Stamp:
    """This function will read the headers of a webhook and refuse one that is too old or too new.

    Raises:
        ProblemError: webhook_unverified or invalid_request.
    """
    timestamp = headers.get(TIMESTAMP_HEADER, "")
    match = _is_signature(headers.get(SIGNATURE_HEADER, ""))
    if _is_seconds(timestamp) is None or match is None:
        raise _unverified(
            SIGNATURE_HEADER,
            f"{TIMESTAMP_HEADER} (seconds) and {SIGNATURE_HEADER} (v1=…) are needed",
        )
    if abs(clock.now_ms() // 1000 - int(timestamp)) > WINDOW_S:
        raise _unverified(TIMESTAMP_HEADER, f"The time is more than {WINDOW_S} s from ours")
    delivery_id = headers.get(DELIVERY_HEADER, "")
    if not is_clean_text(delivery_id):
        raise invalid(DELIVERY_HEADER, f"must be text of 1 to {TEXT_LENGTH_MAX} characters")
    return Stamp(delivery_id, timestamp, match[1])


def _unverified(param: str, detail: str) -> ProblemError:
    return ProblemError(Problem(401, Code.WEBHOOK_UNVERIFIED, detail, param=param))


class Verifier:
    """Finds the tenant whose secret signed a body.

    Without any secret all signed webhooks are refused. S0-R16 reads "required when the secret is
    set"; taking unsigned calls of anybody would let them write for a tenant that nobody named, so
    they are taken for the open tenant alone.

    Args:
        secrets: Tenant to its secrets; two of them while one is being replaced.
    """

    def __init__(self, secrets: Mapping[str, tuple[str, ...]]) -> None:
        self._secrets = [
            (secret.encode(), tenant) for tenant, several in secrets.items() for secret in several
        ]

    def tenant(self, stamp: Stamp, body: bytes) -> str:
        """Return the tenant whose secret signed a body.

        Raises:
            ProblemError: webhook_unverified.
        """
        signed = stamp.timestamp.encode() + b"." + body
        found = ""
        for secret, tenant in self._secrets:  # to the end, so that time does not tell which
            expected = hmac.new(secret, signed, hashlib.sha256).hexdigest()
            if hmac.compare_digest(expected, stamp.signature):
                found = tenant
        if not found:
            raise _unverified(SIGNATURE_HEADER, "No secret of ours made this signature")
        return found


def read_secrets(settings: Settings) -> dict[str, tuple[str, ...]]:
    """This function will read the setting webhook_secrets.

    Raises:
        Fatal: setting_invalid; secrets are not shown.
    """
    with suppress(ValueError, TypeError, AttributeError):
        given = json.loads(settings.webhook_secrets.get_secret_value())
        found = {tenant: tuple(secrets) for tenant, secrets in given.items()}
        every = [secret for secrets in found.values() for secret in secrets]
        if (
            all(isinstance(secrets, list) for secrets in given.values())
            and all(is_clean_text(tenant) for tenant in found)
            and all(len(secret.encode()) >= SECRET_LENGTH_MIN for secret in every)
            and len(set(every)) == len(every) <= SECRETS_MAX
        ):
            return found
    raise Fatal(
        Code.SETTING_INVALID,
        "TIDEGAUGE_WEBHOOK_SECRETS is no JSON object of tenants to lists of secrets, or a secret "
        f"is short or given twice (at most {SECRETS_MAX})",
        next_step=f'Write {{"tenant": ["secret of at least {SECRET_LENGTH_MIN} characters"]}}',
    )


class Deliveries:
    """Remembers deliveries for as long as they could come again; used by the event loop alone."""

    def __init__(self) -> None:
        self._expires_s: dict[tuple[str, str], int] = {}

    def begin(self, tenant: str, stamp: Stamp) -> None:
        """Remember a delivery before it is taken.

        Raises:
            ProblemError: webhook_replayed, when it was taken or is being taken.
            Retryable: overloaded, when there is no room: forgetting one would open it to replay.
        """
        names = _names(tenant, stamp)
        if any(name in self._expires_s and not self._is_over(name) for name in names):
            raise ProblemError(
                Problem(
                    409,
                    Code.WEBHOOK_REPLAYED,
                    "This delivery was taken; nothing is to be done",
                    param=DELIVERY_HEADER,
                )
            )
        if len(self._expires_s) >= 2 * DELIVERIES_MAX:
            self._expire()
        if len(self._expires_s) >= 2 * DELIVERIES_MAX:
            raise Retryable(
                Code.OVERLOADED, "Too many webhooks in five minutes", retry_after_ms=10_000
            )
        for name in names:
            # Its timestamp is accepted for so long, and not a second longer.
            self._expires_s[name] = int(stamp.timestamp) + WINDOW_S

    def forget(self, tenant: str, stamp: Stamp) -> None:
        """Let a delivery come again, because it was not taken."""
        for name in _names(tenant, stamp):
            self._expires_s.pop(name, None)

    def _is_over(self, name: tuple[str, str]) -> bool:
        return self._expires_s[name] < clock.now_ms() // 1000

    def _expire(self) -> None:
        for name in [name for name in self._expires_s if self._is_over(name)]:
            del self._expires_s[name]


def _names(tenant: str, stamp: Stamp) -> tuple[tuple[str, str], tuple[str, str]]:
    return (tenant, f"id {stamp.delivery_id}"), (tenant, f"signature {stamp.signature}")
