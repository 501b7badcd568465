"""What the books know of a customer's personal details: nothing but their form and number."""

from __future__ import annotations

from dataclasses import dataclass

FIELDS = ("name", "email", "phone", "tax_id", "address")
"""What may be known of a customer's person; all of it is sealed, each field by itself."""
EMAIL = "email"


@dataclass(frozen=True, slots=True)
class Details:
    """What the books know of one customer's details.

    Args:
        version: How often they were set.
        is_erased: Whether the customer's key was deleted; then they stay closed.
    """

    version: int = 0
    is_erased: bool = False


NONE = Details()
"""Details that were never set."""
