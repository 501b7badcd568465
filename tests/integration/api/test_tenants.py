"""Another tenant's key opens nothing: every address, every kind of id (API1 of OWASP's list)."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from domain.canonical import Json
from runtime.web.keys import NewApiKey
from tests.support.api_world import RECEIVED_AT, MemoryBooks, Rows, bearer

BASE = "/api/v1/billing"
SECRET = "never-seen-by-others"
PUBLIC = {"/healthz", "/readyz", "/metrics"}
ELSEWHERE = (
    *(f"{BASE}/{part}" for part in ("charges", "detections", "projects", "nodes", "receipts")),
    *(f"{BASE}/{part}" for part in ("notifications", "suspicions", "customers/", "analytics")),
    f"{BASE}/metrics",
    *("/customers/", "/api/metrics", "/api/tier-analytics", "/functions/v1/"),
    *(f"{BASE}/{part}" for part in ("gainshare", "kpi-", "asset-snapshots")),
    f"{BASE}/subscriptions/{{subscription}}/allowances",
    # tests/integration/addresses: they read the log too.
    f"{BASE}/usage/",
    "/admin-api.php",
    # tests/integration/api/test_invoice_documents.py
    *(f"{BASE}/invoices/{{invoice}}/{form}" for form in ("pdf", "csv", "json", "xml")),
    *(f"{BASE}/{part}" for part in ("credit-notes/{credit_note}/", "exports/")),
)
"""Beginnings of addresses whose rows only the real books and the fold of emergence make; strangers
try them in tests/integration/emergence, gain_share and in those of the analytics."""
PARAMETERS = {
    f"{BASE}/usage": "?from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z&group_by=customer",
}
IDS = {
    "{organization}": SECRET,
    "{invoice}": f"inv_{SECRET}",
    "{subscription}": f"sub_{SECRET}",
    "{item}": f"itm_{SECRET}",
    "{payment}": f"pay_{SECRET}",
    "{credit_note}": f"crn_{SECRET}",
}


@dataclass(frozen=True)
class Neighbours:
    owner: NewApiKey
    stranger: NewApiKey


@pytest.fixture
def neighbours(rows: Rows, tenant: str) -> Neighbours:
    """A tenant with one of everything, and one with nothing."""
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    rows.customer(tenant, SECRET)
    rows.subscription(tenant, f"sub_{SECRET}", customer=SECRET)
    rows.invoice(tenant, f"inv_{SECRET}", customer=SECRET, total_minor=987_654_321)
    rows.invoice_line(tenant, f"inv_{SECRET}", 1, price=SECRET)
    starter: Json = {"code": "starter", "name": SECRET, "currency": "USD", "prices": []}
    rows.catalogue(tenant, plans=[starter])
    rows.change(tenant, f"sub_{SECRET}", reason=SECRET)
    rows.item(tenant, f"itm_{SECRET}", customer=SECRET, label=SECRET)
    rows.payment(tenant, f"pay_{SECRET}", invoice="inv_1", customer=SECRET)
    rows.credit_note(tenant, f"crn_{SECRET}", invoice="inv_1", customer=SECRET)
    rows.reject(tenant, offset=1, customer=SECRET, reason=SECRET)
    rows.intake(tenant, noon, received=987_654_321)
    rows.window(tenant, rows.series(tenant, customer=SECRET), noon, "987654321")
    return Neighbours(rows.api_key(tenant), rows.api_key(f"{tenant}-stranger"))


def _readable_paths(client: TestClient) -> list[str]:
    app = client.app
    assert isinstance(app, FastAPI)
    return [
        path
        for path, methods in app.openapi()["paths"].items()
        if "get" in methods and not path.startswith(ELSEWHERE)
    ]


def _address(path: str) -> str:
    for name, value in IDS.items():
        path = path.replace(name, value)
    return path + PARAMETERS.get(path, "")


class TestStrangers:
    def test_read_nothing_at_any_address(self, client: TestClient, neighbours: Neighbours) -> None:
        """The owner sees its secret at every address; a stranger sees it at none."""
        tried = 0
        for path in set(_readable_paths(client)) - PUBLIC:
            mine = client.get(_address(path), headers=bearer(neighbours.owner))
            theirs = client.get(_address(path), headers=bearer(neighbours.stranger))
            nobodys = client.get(_address(path))

            assert mine.status_code == 200, (path, mine.text)
            assert SECRET in mine.text or "987654321" in mine.text, path
            assert theirs.status_code == (404 if "{" in path else 200), path
            assert SECRET not in theirs.text, path
            assert "987654321" not in theirs.text, path
            assert nobodys.status_code == 401, path
            tried += 1
        assert tried == 18

    def test_cannot_tell_a_foreign_id_from_none(
        self, client: TestClient, neighbours: Neighbours
    ) -> None:
        """A foreign id and an invented one get the same answer, save for the request id."""
        for kind, prefix in (("invoices", "inv"), ("subscriptions", "sub")):
            headers = bearer(neighbours.stranger) | {"X-Request-Id": "same"}
            foreign = client.get(f"{BASE}/{kind}/{prefix}_{SECRET}", headers=headers)
            invented = client.get(f"{BASE}/{kind}/{prefix}_invented", headers=headers)
            assert foreign.json() == invented.json()

    def test_cannot_turn_a_foreign_page(
        self, client: TestClient, rows: Rows, tenant: str, neighbours: Neighbours
    ) -> None:
        """A cursor of another tenant only says where the own list goes on."""
        rows.invoice(tenant, "inv_second")
        cursor = client.get(f"{BASE}/invoices?limit=1", headers=bearer(neighbours.owner)).json()[
            "next_cursor"
        ]

        answer = client.get(
            f"{BASE}/invoices", params={"cursor": cursor}, headers=bearer(neighbours.stranger)
        )

        assert answer.json() == {"data": [], "has_more": False, "next_cursor": None}

    def test_cannot_name_their_tenant(self, client: TestClient, neighbours: Neighbours) -> None:
        """No parameter, header or body field chooses the tenant."""
        headers = bearer(neighbours.stranger)
        asked = client.get(f"{BASE}/customers?tenant=x", headers=headers)
        posted = client.post(
            f"{BASE}/customers",
            json={"customer": "c", "currency": "USD", "tenant": "x"},
            headers=headers | {"Idempotency-Key": "k"},
        )
        assert (asked.status_code, asked.json()["param"]) == (400, "tenant")
        assert (posted.status_code, posted.json()["param"]) == (400, "tenant")

    def test_share_no_idempotency_key(
        self,
        client: TestClient,
        books: MemoryBooks,
        neighbours: Neighbours,
    ) -> None:
        """The same key of two tenants means two wishes."""
        answers = [
            client.post(
                f"{BASE}/customers",
                json={"customer": "same", "currency": "USD"},
                headers=bearer(key) | {"Idempotency-Key": "same"},
            )
            for key in (neighbours.owner, neighbours.stranger)
        ]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert len(set(books.sent[-2:])) == 2


class TestKeys:
    def test_that_are_revoked_open_nothing(
        self, client: TestClient, rows: Rows, tenant: str
    ) -> None:
        key = rows.api_key(tenant, revoked_at=RECEIVED_AT)
        answer = client.get(f"{BASE}/customers", headers=bearer(key))
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")

    def test_open_nothing_by_their_hash(self, client: TestClient, rows: Rows, tenant: str) -> None:
        """Who reads the database cannot speak for a tenant."""
        key = rows.api_key(tenant)
        answer = client.get(
            f"{BASE}/customers", headers={"Authorization": f"Bearer {key.secret_sha256}"}
        )
        assert answer.status_code == 401
