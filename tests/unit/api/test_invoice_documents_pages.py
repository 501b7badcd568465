"""The export of a month is whole, or it fails; there is no third."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api import invoice_documents
from api.invoice_documents import Documents
from domain.codes import Code
from domain.errors import Rejected
from projections.queries import invoice_documents as queries
from projections.queries.paging import PAGE_ROWS_MAX

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


def exported(monkeypatch: pytest.MonkeyPatch, *, pages: int) -> int:
    """Return how many invoices are exported of a month with full pages; two pages are too many."""
    left = [pages]

    def heads(*_: object, **__: object) -> SimpleNamespace:
        left[0] -= 1
        head = SimpleNamespace(issued_at=START, invoice="inv_1")
        return SimpleNamespace(rows=[head] * PAGE_ROWS_MAX, has_more=left[0] > 0)

    monkeypatch.setattr(invoice_documents, "EXPORT_INVOICES_MAX", 2 * PAGE_ROWS_MAX)
    monkeypatch.setattr(invoice_documents, "tenant_connection", lambda *_, **__: nullcontext())
    monkeypatch.setattr(queries, "list_invoice_heads", heads)
    monkeypatch.setattr(Documents, "_document", lambda *_: None)
    documents = Documents(cast("Any", None), None, tenant="t", is_personal=False)
    return sum(len(page) for page in documents.pages(start=START, end=END, customer=None))


class TestTheExportOfAMonth:
    """Documents.pages."""

    def test_ends_with_its_last_invoice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As many as an export takes are no error."""
        assert exported(monkeypatch, pages=2) == 2 * PAGE_ROWS_MAX

    def test_of_more_than_it_takes_is_no_shorter_file(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file that was cut looks like a whole one to whoever books it."""
        with pytest.raises(Rejected) as raised:
            exported(monkeypatch, pages=3)
        assert raised.value.code is Code.INVALID_REQUEST
