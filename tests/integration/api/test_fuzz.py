"""Whatever a caller with a key sends: an answer or a refusal, and never a defect."""

import json
from urllib.parse import quote, urlencode

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.cursors import to_cursor
from tests.support.api_world import MemoryBooks, Rows, bearer

BASE = "/api/v1/billing"
NAMES = ("from", "to", "granularity", "customer", "meter", "group_by", "limit", "cursor", "code")
LISTS = (
    *("customers", "subscriptions", "invoices", "rejects", "charges", "detections", "receipts"),
    *("notifications", "suspicions", "analytics/customers"),
)
MORE_NAMES = ("status", "project", "as_of", "active_days", "step", "kind")
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
    st.sampled_from([*LISTS, "analytics-customers"]),
    st.lists(ODD | st.integers(-(2**63), 2**63 - 1), max_size=6),
)
QUERY = st.lists(
    st.tuples(st.sampled_from((*NAMES, *MORE_NAMES)), ODD | CURSORS | st.text(max_size=20)),
    max_size=6,
)
ADDRESSES = (
    *(
        f"{BASE}/{kind}/{{}}"
        for kind in ("charges", "detections", "projects", "nodes", "receipts")
    ),
    *(f"{BASE}/customers/{{}}/{part}" for part in ("wallet", "postings", "transactions")),
    *(f"{BASE}/charges/{{}}/deliverables", f"{BASE}/receipts/{{}}/pdf", "/customers/{}/balance"),
)
ACTS = {
    **{
        f"{BASE}/charges/{{}}/{act}": ("reason", "customer", "capture", "credits")
        for act in ("approve", "decline", "capture", "release", "refund", "deliver", "fail")
    },
    f"{BASE}/charges/{{}}/deliverables": ("name", "kind", "uri", "sha256", "bytes"),
    f"{BASE}/customers/{{}}/top-ups": ("credits", "amount_minor", "currency"),
    f"{BASE}/customers/{{}}/grants": ("credits", "reason", "priority", "expires_at"),
    f"{BASE}/customers/{{}}/adjustments": ("credits", "reason"),
    f"{BASE}/suspicions/{{}}/close": ("note",),
    f"{BASE}/emergence/check": ("node_id", "project_id", "customer_id", "node_data", "fit_score"),
    "/emergence/check": ("node_id", "project_id", "customer_id", "node_data", "node_version"),
    "/customers/{}/topup": ("credits", "amount_paid"),
    "/billing/process": ("customer_id", "emergence_event_id", "approved"),
}
VALUES = (
    ODD
    | st.text(max_size=20)
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.sampled_from(["true", "0,95", "0.95", "NaN", "\x00", "\ud800"])
    | st.dictionaries(st.sampled_from(["fit_score", "finalized", "node_version"]), st.integers())
)
RELAXED = settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


@pytest.fixture(scope="module")
def headers(rows: Rows) -> dict[str, str]:
    rows.customer("fuzzed", "c1")
    scopes = ("billing:read", "billing:write", "billing:admin", "usage:write")
    return bearer(rows.api_key("fuzzed", scopes=scopes))


class TestReads:
    @RELAXED
    @given(
        path=st.sampled_from(
            [
                *LISTS,
                *("usage", "intake", "analytics", "analytics/tiers", "analytics/revenue"),
                "analytics/activity",
            ]
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
    @pytest.mark.parametrize("path", LISTS)
    def test_with_any_cursor_are_never_a_defect(
        self, client: TestClient, headers: dict[str, str], path: str, cursor: str
    ) -> None:
        answer = client.get(f"{BASE}/{path}", params={"cursor": cursor}, headers=headers)
        assert answer.status_code in {200, 400}, answer.text

    @RELAXED
    @given(path=st.sampled_from(ADDRESSES), name=ODD | st.text(max_size=300))
    def test_of_any_id_are_never_a_defect(
        self, client: TestClient, headers: dict[str, str], path: str, name: str
    ) -> None:
        """NUL, surrogates, slashes, dots: there is nothing at such an address."""
        written = quote(name.encode("utf-8", "surrogatepass"), safe="")
        answer = client.get(path.format(written), headers=headers)
        assert answer.status_code in {404, 405}, answer.text


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

    @settings(RELAXED, max_examples=60)  # of each of the addresses
    @given(data=st.data())
    @pytest.mark.parametrize("path", ACTS)
    def test_of_wallets_and_nodes_are_never_a_defect(
        self, client: TestClient, headers: dict[str, str], path: str, data: st.DataObject
    ) -> None:
        """A number of any kind in any field, in JSON or in a form."""
        names = st.sampled_from([*ACTS[path], "tenant"])
        body = data.draw(st.dictionaries(names, VALUES, max_size=5))
        is_form = data.draw(st.booleans())
        form = urlencode({name: str(value) for name, value in body.items()}, errors="replace")
        answer = client.post(
            path.format(data.draw(st.sampled_from(["c1", "emg_1", "%00", "a%20b"]))),
            content=form if is_form else json.dumps(body),
            headers={
                **headers,
                "Idempotency-Key": f"k{data.draw(st.integers(0, 10**9))}",
                "Content-Type": "application/x-www-form-urlencoded"
                if is_form
                else "application/json",
            },
        )
        assert answer.status_code in {200, 201, 400, 402, 404, 409, 415, 422}, answer.text
