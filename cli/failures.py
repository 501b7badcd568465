"""What ends a command that a person started: one sentence, and what to do next."""

from __future__ import annotations


class CommandFailure(Exception):
    """This error will be shown as text and end the command with status 1.

    Args:
        reason: What was wrong, one sentence.
        next_step: What the reader does next.
        details: More lines, for example the end of a log.
    """

    def __init__(self, reason: str, *, next_step: str = "", details: str = "") -> None:
        self.reason = reason
        self.next_step = next_step
        self.details = details
        super().__init__(reason)

    def text(self) -> str:
        """Return the whole message, the next step last."""
        parts = [f"error: {self.reason}", self.details]
        parts.append(f"next:  {self.next_step}" if self.next_step else "")
        return "\n".join(part for part in parts if part)


class Ended(BaseException):
    """Somebody asked the command to end; whoever started something ends it on the way out."""
