"""What the OpenAPI document says about the API as a whole."""

from __future__ import annotations

DESCRIPTION = (
    "Usage, invoices and subscriptions of one tenant. Every address below /api/v1/billing needs "
    "an API key, and the key says which tenant is meant. Lists hold data, has_more and "
    "next_cursor; money is whole minor units with its currency; quantities are exact decimal "
    "text; times are RFC 3339 in UTC; periods are half-open. Every error is "
    "application/problem+json."
)
