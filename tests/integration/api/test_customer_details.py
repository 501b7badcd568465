"""Personal details over HTTP: who may see them, what is refused, and what an erasure shows."""

import io
import json
import logging
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from projections.migrate import migrate
from runtime import logs
from runtime.settings import Settings
from runtime.web.authentication import OPEN_SCOPES, Caller
from runtime.web.problems import ProblemError
from runtime.web.scopes import Scope
from tests.support import services, vault_world
from tests.support.api_world import MemoryBooks, Rows, api_client, bearer, settings_on
from tests.support.projected_books import ProjectedBooks
from tests.support.vault_world import ADA, CANARIES

ALL = (Scope.BILLING_READ, Scope.BILLING_WRITE, Scope.BILLING_PERSONAL)
BODY: dict[str, Any] = {
    "name": ADA.name,
    "email": ADA.email,
    "phone": ADA.phone,
    "tax_id": ADA.tax_id,
    "address": {
        "lines": ["12 St James's Square"],
        "city": "London",
        "postal_code": "SW1Y 4JH",
        "country": "GB",
    },
}


@pytest.fixture(scope="module")
def settings(database_admin_url: str) -> Iterator[Settings]:
    """A database with projections and a vault."""
    name = f"test_details_{uuid.uuid4().hex}"
    settings = vault_world.with_vault(
        settings_on(services.create_database(database_admin_url, name))
    )
    migrate(settings)
    yield settings
    services.drop_database(database_admin_url, name)


@pytest.fixture(scope="module")
def books(rows: Rows) -> MemoryBooks:
    return ProjectedBooks(rows)


class Insider:
    """A tenant's key with every right, and a customer.

    Args:
        client: The API.
        rows: Where keys are written.
        tenant: Tenant.
    """

    def __init__(self, client: TestClient, rows: Rows, tenant: str) -> None:
        self._client = client
        self._rows = rows
        self.tenant = tenant
        self.headers = self.key(*ALL)
        self.create("ada")

    def key(self, *scopes: Scope) -> dict[str, str]:
        """The header of a new key."""
        return bearer(self._rows.api_key(self.tenant, scopes=scopes))

    def create(self, customer: str) -> None:
        """Create a customer."""
        answer = self.post("customers", {"customer": customer, "currency": "USD"})
        assert answer.status_code == 201, answer.text

    def post(
        self, place: str, body: object, *, key: str = "", headers: dict[str, str] | None = None
    ) -> Any:
        """Send a body with an Idempotency-Key."""
        return self._client.post(
            f"/api/v1/billing/{place}",
            content=body if isinstance(body, str) else json.dumps(body),
            headers=(headers or self.headers)
            | {"Idempotency-Key": key or uuid.uuid4().hex, "Content-Type": "application/json"},
        )

    def details(self, body: object, *, customer: str = "ada", key: str = "") -> Any:
        """Set a customer's details."""
        return self.post(f"customers/{customer}/details", body, key=key)

    def seen(self, customer: str = "ada", *, headers: dict[str, str] | None = None) -> Any:
        """Ask for a customer's details."""
        place = f"/api/v1/billing/customers/{customer}/details"
        return self._client.get(place, headers=headers or self.headers)


@pytest.fixture
def insider(client: TestClient, rows: Rows, tenant: str) -> Insider:
    return Insider(client, rows, tenant)


def test_details_come_back_as_they_were_set(insider: Insider) -> None:
    answer = insider.details(BODY)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["status"], shown["version"], shown["unreadable"]) == ("open", 1, [])
    assert {name: shown[name] for name in ("name", "email", "phone", "tax_id")} == {
        name: BODY[name] for name in ("name", "email", "phone", "tax_id")
    }
    assert shown["address"] == BODY["address"] | {"region": ""}
    assert insider.seen().json() == shown
    assert insider.seen().headers["cache-control"] == "no-store"


def test_a_field_that_is_left_out_is_not_known_any_more(insider: Insider) -> None:
    insider.details(BODY)
    shown = insider.details({"name": "Ada"}).json()
    assert (shown["name"], shown["email"], shown["address"]) == ("Ada", None, None)
    assert insider.details({}).json()["status"] == "none"


def test_nobody_told_anything_yet(insider: Insider) -> None:
    shown = insider.seen().json()
    assert (shown["status"], shown["version"], shown["set_at"]) == ("none", 0, None)


def test_the_same_wish_twice_is_one(insider: Insider) -> None:
    """Sealing must not make another command of it."""
    answers = [insider.details(BODY, key="one").json() for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["version"] == 1
    conflict = insider.details(BODY | {"name": "Ida"}, key="one")
    assert (conflict.status_code, conflict.json()["code"]) == (409, "idempotency_conflict")


@pytest.mark.parametrize(
    ("scopes", "may_see", "may_set"),
    [
        ((), 403, 403),
        ((Scope.BILLING_READ, Scope.BILLING_WRITE, Scope.BILLING_ADMIN), 403, 403),
        ((Scope.BILLING_PERSONAL,), 403, 403),
        ((Scope.BILLING_READ, Scope.BILLING_PERSONAL), 200, 403),
        (ALL, 200, 200),
    ],
)
def test_the_right_must_be_named(
    insider: Insider, scopes: tuple[Scope, ...], may_see: int, may_set: int
) -> None:
    """A key without scopes may do nearly all; personal data it may not see."""
    headers = insider.key(*scopes)
    assert insider.seen(headers=headers).status_code == may_see
    answer = insider.post("customers/ada/details", BODY, headers=headers)
    assert answer.status_code == may_set


def test_another_tenant_sees_nobody(insider: Insider, client: TestClient, rows: Rows) -> None:
    insider.details(BODY)
    stranger = Insider(client, rows, f"{insider.tenant}-2")
    stranger.create("kim")
    assert stranger.seen().json()["status"] == "none"
    assert insider.seen("kim").status_code == 404
    assert insider.details(BODY, customer="kim").json()["code"] == "customer_unknown"


def test_s0_01_an_address_is_one_customers(insider: Insider) -> None:
    insider.create("ida")
    insider.details(BODY)
    refused = insider.details({"email": ADA.email.upper()}, customer="ida")
    assert (refused.status_code, refused.json()["code"]) == (409, "email_taken")


def test_s0_01_a_customer_has_s0s_fields_and_the_address_for_who_may_see_it(
    insider: Insider, client: TestClient
) -> None:
    """What S0's view cannot show in SQL, its API does."""
    insider.details(BODY)
    seen = client.get("/customers/ada", headers=insider.headers).json()
    assert seen.pop("created_at")
    assert seen == {
        "id": "ada",
        "email": ADA.email,
        "credit_balance": 0,
        "total_spent": 0,
        "currency": "USD",
    }
    outsider = insider.key(Scope.BILLING_READ)
    assert client.get("/customers/ada", headers=outsider).json()["email"] is None
    assert client.get("/customers/nobody", headers=insider.headers).status_code == 404


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"name": "x" * 201}, "name"),
        ({"name": ""}, "name"),
        ({"name": "Ada\u0000"}, "name"),
        ({"name": 7}, "name"),
        ({"email": "ada"}, "email"),
        ({"email": f"{'a' * 65}@b.c"}, "email"),
        ({"email": f"a@{'b' * 250}"}, "email"),
        ({"phone": "1" * 41}, "phone"),
        ({"tax_id": "1" * 41}, "tax_id"),
        ({"address": "Main Street"}, "address"),
        ({"address": {"lines": [], "city": "c", "country": "CA"}}, "address.lines"),
        ({"address": {"lines": ["l"] * 5, "city": "c", "country": "CA"}}, "address.lines"),
        ({"address": {"lines": ["l" * 121], "city": "c", "country": "CA"}}, "address.lines"),
        ({"address": {"lines": ["l"], "country": "CA"}}, "address.city"),
        ({"address": {"lines": ["l"], "city": "c", "country": "Canada"}}, "address.country"),
        (
            {"address": {"lines": ["l"], "city": "c", "country": "CA", "planet": "e"}},
            "address.planet",
        ),
        ({"shoe_size": "42"}, "shoe_size"),
    ],
)
def test_what_is_wrong_is_refused_by_name_and_changes_nothing(
    insider: Insider, change: dict[str, object], param: str
) -> None:
    answer = insider.details(BODY | change)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["param"] == param
    assert insider.seen().json()["version"] == 0


def test_a_sealed_text_that_was_moved_is_shown_as_unreadable(insider: Insider, rows: Rows) -> None:
    """Whoever may write to the tables cannot make one customer's name another's."""
    insider.create("ida")
    insider.details(BODY)
    insider.details({"name": "Ida"}, customer="ida")
    rows.connection.execute(
        "UPDATE customer_details AS d SET sealed = s.sealed FROM customer_details s"
        " WHERE s.tenant = d.tenant AND d.tenant = %s"
        " AND d.customer = 'ida' AND s.customer = 'ada'",
        (insider.tenant,),
    )
    shown = insider.seen("ida").json()
    assert shown["name"] is None
    assert sorted(shown["unreadable"]) == ["address", "email", "name", "phone", "tax_id"]


def test_an_erased_customer_is_shown_as_such_at_once(insider: Insider, settings: Settings) -> None:
    """Also while the books do not know it yet."""
    insider.details(BODY)
    with vault_world.open_vault(settings) as vault:
        vault.erase(tenant=insider.tenant, customer="ada", buyers=())
    shown = insider.seen().json()
    assert shown["status"] == "erased"
    assert not [value for value in CANARIES if value in json.dumps(shown, ensure_ascii=False)]
    refused = insider.details(BODY)
    assert (refused.status_code, refused.json()["code"]) == (410, "customer_erased")


def test_an_erasure_empties_the_tables(
    insider: Insider, settings: Settings, rows: Rows, books: MemoryBooks
) -> None:
    insider.details(BODY)
    insider.details({"name": "Ada"})
    with vault_world.open_vault(settings) as vault:
        vault.erase(tenant=insider.tenant, customer="ada", buyers=())
    books.send(
        tenant=insider.tenant, command_id="e", kind="EraseCustomer", body={"customer": "ada"}
    )
    found = rows.connection.execute(
        "SELECT version, sealed FROM customer_details WHERE tenant = %s ORDER BY version",
        (insider.tenant,),
    ).fetchall()
    assert found == [(1, None), (2, None)]
    assert insider.seen().json()["status"] == "erased"


def test_a_hundred_sets_against_an_erasure_leave_nothing_readable(
    insider: Insider, settings: Settings, books: MemoryBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    insider.details({"name": "first"})
    # One log takes one command after the other.
    lock, send = threading.Lock(), books.send

    def send_alone(**wish: Any) -> int:
        with lock:
            return send(**wish)

    monkeypatch.setattr(books, "send", send_alone)
    start = threading.Barrier(101)

    def one(number: int) -> tuple[int, str]:
        start.wait(60)
        answer = insider.details(BODY, key=f"key-{number}")
        return answer.status_code, answer.json().get("code", "")

    with ThreadPoolExecutor(101) as pool:
        setting = [pool.submit(one, number) for number in range(100)]
        start.wait(60)
        with vault_world.open_vault(settings) as vault:
            vault.erase(tenant=insider.tenant, customer="ada", buyers=())
        outcomes = Counter(future.result() for future in setting)
    books.send(
        tenant=insider.tenant, command_id="e", kind="EraseCustomer", body={"customer": "ada"}
    )
    assert set(outcomes) <= {(200, ""), (410, "customer_erased"), (503, "not_ready")}, outcomes
    assert insider.seen().json()["status"] == "erased"
    assert insider.details(BODY).status_code == 410


@pytest.fixture
def log(settings: Settings) -> Iterator[io.StringIO]:
    """All that is logged, libraries' lines too; afterwards the process logs as before."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure(settings.model_copy(update={"log_level": "debug"}), process="test")
    written = io.StringIO()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(written))
    yield written
    root.handlers[:], root.level = before[0], before[1]
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_logs_never_hold_a_value(insider: Insider, log: io.StringIO) -> None:
    """Nor do refusals, conflicts and malformed bodies."""
    insider.create("ida")
    insider.details(BODY, key="one")
    insider.details(BODY | {"name": f"{ADA.name}\n"})
    insider.details(BODY | {"phone": ADA.phone * 9})
    insider.details(BODY | {ADA.tax_id: ADA.name})
    insider.details(BODY | {"name": f"{ADA.name} II"}, key="one")
    insider.details(BODY, customer="ida")
    insider.details(json.dumps(BODY)[:-1])
    insider.seen()
    said = log.getvalue()
    assert "/details" in said, "they were heard"
    assert not [value for value in CANARIES if value in said]


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.dictionaries(
        st.sampled_from([*BODY, "x"]),
        st.text(max_size=40)
        | st.integers()
        | st.none()
        | st.dictionaries(
            st.sampled_from(["lines", "city", "region", "postal_code", "country"]),
            st.text(max_size=5) | st.lists(st.text(max_size=5), max_size=5) | st.none(),
        ),
        max_size=6,
    )
)
def test_whatever_is_sent_is_set_or_refused(insider: Insider, body: dict[str, object]) -> None:
    answer = insider.details(body)
    assert answer.status_code in {200, 400, 409}, answer.text
    if answer.status_code == 200:
        shown = answer.json()
        assert all(shown[name] == value for name, value in body.items() if isinstance(value, str))


def test_an_installation_without_a_vault_says_so(
    settings: Settings, database_admin_url: str, tenant: str
) -> None:
    name = f"test_closed_{uuid.uuid4().hex}"
    closed = settings_on(services.create_database(database_admin_url, name))
    migrate(closed)
    rows = Rows(closed)
    try:
        with api_client(closed, ProjectedBooks(rows)) as client:
            insider = Insider(client, rows, tenant)
            refused = insider.details(BODY)
            assert (refused.status_code, refused.json()["code"]) == (501, "vault_closed")
            assert insider.seen().json()["status"] == "closed"
    finally:
        rows.connection.close()
        services.drop_database(database_admin_url, name)


def test_the_open_tenant_sees_no_personal_data() -> None:
    """A page or program on a developer's machine has no key, and no right that must be named."""
    with pytest.raises(ProblemError):
        Caller("t", "open", OPEN_SCOPES).require(Scope.BILLING_PERSONAL)
