"""Documents over HTTP: of one's own tenant, with the buyer for who may see it, month by month."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import facturx
import psycopg
import pypdf
import pytest
from fastapi.testclient import TestClient

from domain.invoice import InvoiceContent
from domain.invoice_terms import InvoiceTerms
from runtime.settings import Settings
from tests.support import api_world, invoice_documents, vault_world
from tests.support.api_world import MemoryBooks, Rows, bearer, insert

BASE = "/api/v1/billing"
ISSUED = datetime(2025, 2, 1, tzinfo=UTC)
SELLER = {
    "key": "default",
    "name": "Tidewater Metering GmbH",
    "address": ["Hafenstraße 12", "20457 Hamburg"],
    "country": "DE",
    "tax_id": "DE123456789",
}
CATALOGUE = invoice_documents.catalogue(taxes=[invoice_documents.tax()], sellers=[SELLER])
CONTENT = invoice_documents.content(CATALOGUE)
NAME = "Beispiel Canary AG"
DETAILS = {
    "name": NAME,
    "tax_id": "DE811907980",
    "address": {
        "lines": ["Lange Straße 1"],
        "city": "Köln",
        "postal_code": "50667",
        "country": "DE",
    },
}


@pytest.fixture(scope="module")
def vaulted(settings: Settings) -> Settings:
    return vault_world.with_vault(settings)


@pytest.fixture(scope="module")
def client(vaulted: Settings, books: MemoryBooks) -> Iterator[TestClient]:
    with api_world.api_client(vaulted, books) as client:
        yield client


@dataclass(frozen=True)
class Tenant:
    """A tenant with an invoice and a credit note, seen by keys of several rights."""

    client: TestClient
    rows: Rows
    name: str

    def get(self, path: str, *scopes: str, tenant: str = "") -> Any:
        key = self.rows.api_key(tenant or self.name, scopes=scopes)
        return self.client.get(BASE + path, headers=bearer(key))


def add_invoice(
    connection: psycopg.Connection,
    tenant: str,
    invoice: str,
    *,
    number: str,
    content: InvoiceContent = CONTENT,
    issued_at: datetime = ISSUED,
    customer: str = "acme",
) -> None:
    """Write an invoice as the projector does, issued later than any details."""
    totals, terms = content.totals, content.terms
    assert isinstance(terms, InvoiceTerms)
    insert(
        connection,
        "invoice",
        tenant=tenant,
        invoice=invoice,
        number=number,
        kind=terms.kind,
        seller=terms.seller,
        status="final",
        subscription=terms.subscription,
        customer=customer,
        currency=terms.currency,
        scale=content.scale,
        **dict.fromkeys(api_world.INVOICE_AMOUNTS, 0),
        total_minor=totals.total_minor,
        open_minor=totals.total_minor,
        period_index=0,
        period_start=datetime(2025, 1, 1, tzinfo=UTC),
        period_end=ISSUED,
        issued_at=issued_at,
        due_at=issued_at + timedelta(days=30),
        void_reason="",
        usage_partition=0,
        pinned_offset=0,
        content=content.text,
        content_sha256=content.sha256,
        finalized_at=datetime.now(UTC) + timedelta(minutes=5),
    )


@pytest.fixture
def world(client: TestClient, rows: Rows, tenant: str) -> Tenant:
    connection = rows.connection
    insert(
        connection,
        "catalogue",
        tenant=tenant,
        version=1,
        content=CATALOGUE.content,
        content_sha256=CATALOGUE.sha256,
        published_at=datetime(2025, 1, 1, tzinfo=UTC),
    )
    add_invoice(connection, tenant, "inv_1", number="INV-2025-000001")
    insert(
        connection,
        "credit_note",
        tenant=tenant,
        credit_note="crn_1",
        number="CN-2025-000001",
        invoice="inv_1",
        customer="acme",
        currency="EUR",
        seller="default",
        net_minor=1000,
        tax_minor=190,
        total_minor=1190,
        to_receivable_minor=1190,
        to_credit_minor=0,
        reason="Outage",
        paid_to="account_credit",
        issued_at=ISSUED + timedelta(days=14),
    )
    insert(
        connection,
        "credit_note_line",
        tenant=tenant,
        credit_note="crn_1",
        place=0,
        line="0/overage",
        label="",
        amount_minor=1000,
        tax_minor=190,
    )
    connection.commit()
    return Tenant(client, rows, tenant)


@pytest.fixture
def named(world: Tenant, books: MemoryBooks) -> Tenant:
    """The same, whose customer has a name and an address."""
    books.send(
        tenant=world.name,
        command_id="c",
        kind="CreateCustomer",
        body={"customer": "acme", "currency": "EUR"},
    )
    key = world.rows.api_key(world.name, scopes=("billing:write", "billing:personal"))
    answer = world.client.post(
        f"{BASE}/customers/acme/details",
        json=DETAILS,
        headers={**bearer(key), "Idempotency-Key": "one"},
    )
    assert answer.status_code in (200, 201), answer.text
    return world


PATHS = [
    f"/{kind}/{form}"
    for kind in ("invoices/inv_1", "credit-notes/crn_1")
    for form in ("pdf", "csv", "json")
]


def shown(answer: Any) -> str:
    """What a reader gets."""
    if answer.headers["content-type"] != "application/pdf":
        return str(answer.text)
    return " ".join(page.extract_text() for page in pypdf.PdfReader(BytesIO(answer.content)).pages)


class TestDocuments:
    @pytest.mark.parametrize("path", PATHS)
    def test_are_there_for_a_reader_and_never_name_the_buyer(
        self, named: Tenant, path: str
    ) -> None:
        answer = named.get(path, "billing:read")
        assert answer.status_code == 200, answer.text
        assert "acme" in shown(answer)
        assert NAME not in shown(answer)

    @pytest.mark.parametrize("path", [path for path in PATHS if not path.endswith("csv")])
    def test_name_the_buyer_for_who_may_see_it(self, named: Tenant, path: str) -> None:
        answer = named.get(path, "billing:read", "billing:personal")
        assert NAME in shown(answer).replace("\n", " ")

    @pytest.mark.parametrize("path", [*PATHS, "/invoices/inv_1/xml", "/credit-notes/crn_1/xml"])
    def test_of_another_tenant_are_not_there(self, world: Tenant, path: str) -> None:
        stranger = world.get(path, tenant=f"{world.name}-stranger")
        nobodys = world.get(path.replace("_1", "_404"))
        assert (404, 404) == (stranger.status_code, nobodys.status_code)
        assert stranger.json()["code"] == nobodys.json()["code"] == "not_found"
        assert world.client.get(BASE + path).status_code == 401

    def test_are_found_by_number_too(self, world: Tenant) -> None:
        assert world.get("/invoices/INV-2025-000001/json").json()["invoice"] == "inv_1"

    def test_hold_the_content_of_the_books(self, world: Tenant) -> None:
        made = world.get("/invoices/inv_1/json").json()
        assert made["content"] == json.loads(CONTENT.text)
        assert made["content_sha256"] == CONTENT.sha256
        assert made["seller"]["name"] == "Tidewater Metering GmbH"


class TestPdf:
    def test_is_remembered_by_its_reader(self, world: Tenant) -> None:
        first = world.get("/invoices/inv_1/pdf")
        key = world.rows.api_key(world.name)
        again = world.client.get(
            f"{BASE}/invoices/inv_1/pdf",
            headers={**bearer(key), "If-None-Match": first.headers["etag"]},
        )
        assert (304, b"") == (again.status_code, again.content)
        assert 'filename="INV-2025-000001.pdf"' in first.headers["content-disposition"]

    def test_is_written_in_the_locale_that_is_asked_for(self, world: Tenant) -> None:
        text = shown(world.get("/invoices/inv_1/pdf?locale=de"))
        assert "Rechnung" in text
        assert "11.840,50" in text

    @pytest.mark.parametrize("query", ["locale=xx-ZZ", "locale=../x", "einvoice=maybe", "size=a3"])
    def test_refuses_what_it_does_not_know(self, world: Tenant, query: str) -> None:
        answer = world.get(f"/invoices/inv_1/pdf?{query}")
        assert answer.status_code == 400, answer.text
        assert query.split("=", maxsplit=1)[0] == answer.json()["param"]

    def test_has_the_electronic_invoice_inside_when_it_is_complete(self, named: Tenant) -> None:
        scopes = ("billing:read", "billing:personal")
        answer = named.get("/invoices/inv_1/pdf", *scopes)
        _, inside = facturx.get_facturx_xml_from_pdf(answer.content)
        assert inside.decode() == named.get("/invoices/inv_1/xml", *scopes).text
        assert f"<ram:Name>{NAME}</ram:Name>" in inside.decode()

    def test_without_a_buyer_is_an_ordinary_page(self, world: Tenant) -> None:
        assert not pypdf.PdfReader(BytesIO(world.get("/invoices/inv_1/pdf").content)).attachments
        for path in ("/invoices/inv_1/pdf?einvoice=required", "/invoices/inv_1/xml"):
            refused = world.get(path)
            assert (422, "einvoice_incomplete") == (refused.status_code, refused.json()["code"])
            assert "the buyer's name" in refused.json()["detail"]


class TestTheExportOfAMonth:
    def test_has_every_invoice_of_it_once(self, world: Tenant) -> None:
        """More than a page, some issued at the same moment, and others in months beside it."""
        expected = {"inv_1"}
        for number in range(410):
            moment = ISSUED + timedelta(hours=number // 3)
            expected.add(f"inv_x{number}")
            add_invoice(
                world.rows.connection,
                world.name,
                f"inv_x{number}",
                number=f"INV-2025-1{number:05}",
                issued_at=moment,
            )
        for name, moment in (
            ("inv_before", ISSUED - timedelta(microseconds=1)),
            ("inv_after", datetime(2025, 3, 1, tzinfo=UTC)),
        ):
            add_invoice(
                world.rows.connection, world.name, name, number=f"X-{name}", issued_at=moment
            )
        world.rows.connection.commit()
        answer = world.get("/exports/invoices?month=2025-02")
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert expected == {row["invoice"] for row in rows}
        assert 2 * len(expected) == len(rows)
        assert "text/csv; charset=utf-8" == answer.headers["content-type"]

    def test_has_none_of_another_tenant(self, world: Tenant) -> None:
        answer = world.get("/exports/invoices?month=2025-02", tenant=f"{world.name}-stranger")
        assert 1 == len(answer.text.splitlines())
        for customer, lines in (("acme", 2), ("other", 0)):
            found = world.get(f"/exports/invoices?month=2025-02&customer={customer}")
            assert lines == found.text.count("inv_1")

    def test_wants_a_month(self, world: Tenant) -> None:
        answer = world.get("/exports/invoices?month=2025-13")
        assert (400, "month") == (answer.status_code, answer.json()["param"])
