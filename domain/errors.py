"""One base for every error of Tidegauge, in three tiers, and the check that guards invariants."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain.codes import Code

FieldValue = str | int | None


class TidegaugeError(Exception):
    """This error will carry a stable code, the facts, and what the operator does next.

    Args:
        code: Stable code, declared in domain.codes.
        reason: What was wrong, one sentence without a full stop at the end.
        next_step: What the reader does next; empty when the reason says it all.
        fields: Facts of the case, for logs.
    """

    def __init__(
        self, code: Code, reason: str, *, next_step: str = "", **fields: FieldValue
    ) -> None:
        self.code = code
        self.reason = reason
        self.next_step = next_step
        self.fields = fields
        tail = f". {next_step}" if next_step else ""
        super().__init__(f"{code}: {reason}{tail}")


class Rejected(TidegaugeError):
    """Bad input: it becomes a dead letter or a 4xx answer, is counted, and never retried."""


class Retryable(TidegaugeError):
    """Something outside is away for now; trying the same again later is right.

    Args:
        retry_after_ms: How long to wait before the next try, milliseconds.
    """

    def __init__(
        self,
        code: Code,
        reason: str,
        *,
        retry_after_ms: int,
        next_step: str = "",
        **fields: FieldValue,
    ) -> None:
        self.retry_after_ms = retry_after_ms
        super().__init__(code, reason, next_step=next_step, **fields)


class Fatal(TidegaugeError):
    """Going on would make wrong figures: the process stops and says what to do."""


def invariant(condition: bool, code: Code, reason: str, **fields: FieldValue) -> None:  # noqa: FBT001 -- a condition is what an invariant takes
    """This function will stop the process when a truth of the code does not hold.

    Raises:
        Fatal: When condition is false.
    """
    if not condition:
        raise Fatal(code, reason, next_step="Keep the logs and report this as a defect", **fields)
