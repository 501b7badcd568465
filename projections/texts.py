"""Texts from outside on their way into columns: PostgreSQL takes no NUL and no half character."""

from __future__ import annotations

import re

from domain.fields import is_clean_text

_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """This function will replace what a text column cannot hold; a reason may quote anything."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def tenant_or_none(tenant: str) -> str:
    """This function will return a tenant as it is, or empty when no tenant may have that name."""
    return tenant if is_clean_text(tenant) else ""
