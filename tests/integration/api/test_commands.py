"""POST: a command goes to the log, its effect comes back, and a repeat changes nothing."""

from collections.abc import Mapping

import pytest
from fastapi.testclient import TestClient

from domain.canonical import Json
from domain.codes import Code
from domain.errors import Retryable
from projections.queries import subscriptions
from projections.queries.connection import tenant_connection
from runtime import postgres
from runtime.settings import Settings
from tests.support.api_world import MemoryBooks, Rows, api_client, bearer

CUSTOMERS = "/api/v1/billing/customers"
SUBSCRIPTIONS = "/api/v1/billing/subscriptions"
WISH = {"customer": "c1", "plan": "starter", "start": "2026-01-31T00:00:00Z"}


@pytest.fixture
def headers(rows: Rows, books: MemoryBooks, client: TestClient, tenant: str) -> dict[str, str]:
    """A tenant with a catalogue and the customer c1."""
    headers = bearer(rows.api_key(tenant))
    books.publish_catalogue(tenant)
    created = client.post(
        CUSTOMERS,
        json={"customer": "c1", "currency": "USD"},
        headers=headers | {"Idempotency-Key": "c1"},
    )
    assert created.status_code == 201, created.text
    assert created.json() == {
        "customer": "c1",
        "currency": "USD",
        "seller": None,
        "tax": {"treatment": "standard", "region": ""},
        "due_days": None,
        "grace_hours": None,
        "overrides": [],
        "created_at": "2026-03-01T00:00:00Z",
    }
    return headers


class TestSubscriptions:
    def test_are_created_once_per_key(self, client: TestClient, headers: dict[str, str]) -> None:
        """The same key gives the same answer, however often, and one subscription."""
        keyed = headers | {"Idempotency-Key": "first"}
        answers = [client.post(SUBSCRIPTIONS, json=WISH, headers=keyed) for _ in range(3)]

        assert [answer.status_code for answer in answers] == [201] * 3
        assert answers[0].json() == answers[1].json() == answers[2].json()
        found = answers[0].json()
        assert found["period_start"] == "2026-01-31T00:00:00Z"
        assert found["period_end"] == "2026-02-28T00:00:00Z"
        assert found["plan"] == "starter"
        listed = client.get(SUBSCRIPTIONS, headers=headers).json()["data"]
        assert listed == [found]
        assert client.get(answers[0].headers["location"], headers=headers).json() == found

    def test_with_another_body_are_a_conflict(
        self, client: TestClient, headers: dict[str, str]
    ) -> None:
        keyed = headers | {"Idempotency-Key": "first"}
        client.post(SUBSCRIPTIONS, json=WISH, headers=keyed)

        answer = client.post(
            SUBSCRIPTIONS, json=WISH | {"start": "2026-02-01T00:00:00Z"}, headers=keyed
        )

        assert answer.status_code == 409
        assert answer.json()["code"] == "idempotency_conflict"

    def test_take_the_same_moment_however_it_is_written(
        self, client: TestClient, headers: dict[str, str]
    ) -> None:
        keyed = headers | {"Idempotency-Key": "first"}
        first = client.post(SUBSCRIPTIONS, json=WISH, headers=keyed)
        other = client.post(
            SUBSCRIPTIONS, json=WISH | {"start": "2026-01-31T02:00:00+02:00"}, headers=keyed
        )
        assert (other.status_code, other.json()) == (201, first.json())

    @pytest.mark.parametrize(
        ("change", "status", "code", "param"),
        [
            ({"customer": "nobody"}, 404, "customer_unknown", "customer"),
            ({"plan": "none"}, 422, "plan_unknown", "plan"),
            ({"start": "2026-01-31T01:00:00Z"}, 422, "command_invalid", "start"),
            ({"start": "1999-01-31T00:00:00Z"}, 422, "command_invalid", "start"),
        ],
    )
    def test_that_the_books_refuse_say_why(
        self,
        client: TestClient,
        headers: dict[str, str],
        change: dict[str, str],
        status: int,
        code: str,
        param: str,
    ) -> None:
        answer = client.post(
            SUBSCRIPTIONS, json=WISH | change, headers=headers | {"Idempotency-Key": "k"}
        )
        found = answer.json()
        assert (answer.status_code, found["code"], found["param"]) == (status, code, param)


class TestCustomers:
    def test_exist_once(self, client: TestClient, headers: dict[str, str]) -> None:
        answer = client.post(
            CUSTOMERS,
            json={"customer": "c1", "currency": "USD"},
            headers=headers | {"Idempotency-Key": "another"},
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "customer_exists")

    def test_need_a_currency_of_this_world(
        self, client: TestClient, headers: dict[str, str]
    ) -> None:
        answer = client.post(
            CUSTOMERS,
            json={"customer": "c2", "currency": "XYZ"},
            headers=headers | {"Idempotency-Key": "k"},
        )
        found = answer.json()
        assert (answer.status_code, found["code"]) == (422, "currency_unknown")
        assert found["param"] == "currency"


class Silence:
    """A log that takes everything and is never read."""

    def send(
        self,
        *,
        tenant: str,
        command_id: str,
        kind: str,
        body: Mapping[str, Json],
        actor: str = "",
    ) -> int:
        return 1_000_000


class Absence:
    """A log that does not answer."""

    def send(
        self,
        *,
        tenant: str,
        command_id: str,
        kind: str,
        body: Mapping[str, Json],
        actor: str = "",
    ) -> int:
        raise Retryable(Code.BROKER_AWAY, "Kafka does not answer: 10.9.8.7", retry_after_ms=1_500)


class TestFaults:
    def test_of_nobody_reading_the_log_is_a_timeout(self, settings: Settings, rows: Rows) -> None:
        """The answer names the command, so that its outcome can be found later."""
        quick = settings.model_copy(update={"command_timeout_ms": 200})
        headers = bearer(rows.api_key("silent")) | {"Idempotency-Key": "k"}
        with api_client(quick, Silence()) as client:
            answer = client.post(SUBSCRIPTIONS, json=WISH, headers=headers)

        assert answer.status_code == 504
        assert answer.json()["code"] == "command_timeout"
        assert answer.json()["command_id"].startswith("cmd_")
        assert answer.headers["retry-after"] == "1"

    def test_of_an_absent_log_is_unavailable(self, settings: Settings, rows: Rows) -> None:
        """It says when to come back and tells no address of ours."""
        headers = bearer(rows.api_key("absent")) | {"Idempotency-Key": "k"}
        with api_client(settings, Absence()) as client:
            answer = client.post(SUBSCRIPTIONS, json=WISH, headers=headers)

        assert answer.status_code == 503
        assert answer.json()["code"] == "broker_away"
        assert answer.headers["retry-after"] == "2"
        assert "10.9.8.7" not in answer.text


class TestOutcomes:
    def test_of_another_tenant_are_not_seen(
        self, settings: Settings, client: TestClient, headers: dict[str, str], tenant: str
    ) -> None:
        """The front door itself hides rows; a route could not even forget to."""
        created = client.post(
            SUBSCRIPTIONS, json=WISH, headers=headers | {"Idempotency-Key": "k"}
        ).json()["subscription"]
        engine = postgres.new_engine(settings, role="app")

        with tenant_connection(engine, tenant=tenant) as own:
            assert subscriptions.find_subscription(own, subscription=created) is not None
        with tenant_connection(engine, tenant="other") as foreign:
            assert subscriptions.find_subscription(foreign, subscription=created) is None
        with tenant_connection(engine, tenant="") as nobody:
            assert subscriptions.find_subscription(nobody, subscription=created) is None
        engine.dispose()
