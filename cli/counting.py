"""How many of something there are, in words."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """This function will write a count and its noun, which takes an s but for one."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
