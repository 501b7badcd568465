"""Line ids as long as they can be: from the books into tables, over HTTP and back."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from fastapi.testclient import TestClient

from runtime.settings import Settings
from tests.support.api_world import MemoryBooks, Rows, api_client, bearer
from tests.support.invoices import BillingBooks
from tests.support.long_lines import FEE_LINE, USAGE_LINE, billed_books, made_again

BASE = "/api/v1/billing"
SCOPES = ("billing:read", "billing:write", "billing:admin")


class Books(MemoryBooks):
    """Books that have been at work already, all of it in the tables."""

    def __init__(self, rows: Rows, made: BillingBooks) -> None:
        super().__init__(rows)
        self._fold = made.fold
        self._offsets = itertools.count(len(made.records))
        with rows.connection.transaction():
            for facts in made.facts:
                for outcome in facts.outcomes:
                    self._write(outcome)


@pytest.mark.parametrize("policy", ["next_invoice", "credit_note"])
def test_are_shown_credited_and_corrected(
    settings: Settings, rows: Rows, tenant: str, policy: str
) -> None:
    """A credit note by somebody, then less usage that came late."""
    made, first = billed_books(tenant=tenant, corrections=policy)
    again = made_again(made, first, calls=40)
    assert made.correct(again).code == ""
    headers = bearer(rows.api_key(tenant, scopes=SCOPES))
    with api_client(settings, Books(rows, made)) as client:
        shown = get(client, "/invoices/inv_1", headers)
        answer = client.post(
            f"{BASE}/invoices/inv_1/credit-notes",
            json={"lines": [{"line_id": FEE_LINE, "amount_minor": 1}], "reason": "goodwill"},
            headers=headers | {"Idempotency-Key": "one"},
        )
        notes = get(client, "/credit-notes", headers)["data"]
        papers = [
            get(client, f"/credit-notes/{note['credit_note']}/json", headers) for note in notes
        ]

    assert {FEE_LINE, USAGE_LINE} <= {line["line_id"] for line in shown["lines"]}
    assert answer.status_code == 201, answer.text
    assert [line["line_id"] for line in answer.json()["lines"]] == [FEE_LINE]
    (correction,) = shown["corrections"]
    assert USAGE_LINE in {each["line_id"] for each in correction["differences"]}
    assert len(papers) == 1 + (policy == "credit_note")


def get(client: TestClient, path: str, headers: dict[str, str]) -> dict[str, Any]:
    answer = client.get(BASE + path, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
