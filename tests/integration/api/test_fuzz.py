"""Whatever a caller with a key sends: an answer or a refusal, and never a defect."""

from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.cursors import to_cursor
from tests.support.api_world import MemoryBooks, Rows, bearer

BASE = "/api/v1/billing"
NAMES = ("from", "to", "granularity", "customer", "meter", "group_by", "limit", "cursor", "code")
ODD = st.sampled_from(
    [
        "2026-01-01T00:00:00Z",
        "9999-12-31T23:00:00Z",
        "0001-01-01T00:00:00Z",
        "hour",
        "month",
        "conflict",
        "1",
        "200",
        "' OR 1=1 --",
        "$1",
        "%s",
        ":start",
        "a\\",
        "{}",
        "\u202e",
        "é\u0301",
    ]
)
CURSORS = st.builds(
    lambda kind, parts: to_cursor(kind, *parts),
    st.sampled_from(["customers", "subscriptions", "invoices", "rejects"]),
    st.lists(ODD | st.integers(-(2**63), 2**63 - 1), max_size=6),
)
QUERY = st.lists(
    st.tuples(st.sampled_from(NAMES), ODD | CURSORS | st.text(max_size=20)), max_size=6
)
RELAXED = settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


@pytest.fixture(scope="module")
def headers(rows: Rows) -> dict[str, str]:
    rows.customer("fuzzed", "c1")
    return bearer(rows.api_key("fuzzed"))


class TestReads:
    @RELAXED
    @given(
        path=st.sampled_from(
            ["usage", "customers", "subscriptions", "invoices", "rejects", "intake"]
        ),
        query=QUERY,
    )
    def test_are_never_a_defect(
        self,
        client: TestClient,
        headers: dict[str, str],
        path: str,
        query: list[tuple[str, str]],
    ) -> None:
        answer = client.get(f"{BASE}/{path}?{urlencode(query)}", headers=headers)
        assert answer.status_code in {200, 400}, answer.text

    @RELAXED
    @given(cursor=CURSORS)
    @pytest.mark.parametrize("path", ["customers", "subscriptions", "invoices", "rejects"])
    def test_with_any_cursor_are_never_a_defect(
        self, client: TestClient, headers: dict[str, str], path: str, cursor: str
    ) -> None:
        answer = client.get(f"{BASE}/{path}", params={"cursor": cursor}, headers=headers)
        assert answer.status_code in {200, 400}, answer.text


class TestWrites:
    @RELAXED
    @given(
        body=st.dictionaries(
            st.sampled_from(["customer", "currency", "plan", "start", "tenant"]),
            ODD
            | st.text(max_size=20)
            | st.none()
            | st.integers()
            | st.lists(st.none(), max_size=2),
        ),
        path=st.sampled_from(["customers", "subscriptions"]),
        key=st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=5),
    )
    def test_are_never_a_defect(
        self,
        client: TestClient,
        books: MemoryBooks,
        headers: dict[str, str],
        body: dict[str, object],
        path: str,
        key: str,
    ) -> None:
        if key != key.strip() or "\r" in key or "\n" in key:
            key = "k"  # the client itself refuses such headers
        answer = client.post(
            f"{BASE}/{path}",
            json=body,
            headers={
                **{name.encode(): value.encode() for name, value in headers.items()},
                b"Idempotency-Key": key.encode("latin-1"),
            },
        )
        assert answer.status_code in {201, 400, 404, 409, 422}, answer.text
