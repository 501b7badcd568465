"""The API's contract: what it serves is what it documents, and every error has one form."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from api.app import ROUTERS, create_app
from api.backend import Backend
from api.commands import CommandGate
from api.live import Live
from api.readiness import Readiness
from domain.canonical import Json
from domain.codes import DESCRIPTIONS, Code
from projections.queries.outcomes import CommandOutcome
from runtime import postgres
from runtime.settings import Settings
from runtime.web.authentication import Authenticator
from runtime.web.key_store import StoredKey
from runtime.web.keys import new_api_key
from runtime.web.openapi import PROBLEM_SCHEMA
from runtime.web.scopes import Scope
from tests.support.api_world import NodeMemory, ReachableLog, bearer

BASE = "/api/v1/billing"
UNDOCUMENTED = {"/docs", "/openapi.json"}
"""They are about the API, not of it."""
WITHOUT_KEY = {"/healthz", "/readyz", "/metrics"}
"""For machines that watch the process; they show nobody's data."""
KEY = new_api_key()
KEYED = bearer(KEY)
RANGE = "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z"


class Refusals:
    """A log whose every command the books refuse."""

    def send(
        self,
        *,
        tenant: str,
        command_id: str,
        kind: str,
        body: Mapping[str, Json],
        actor: str = "",
    ) -> int:
        return 0

    def find(self, tenant: str, offset: int) -> CommandOutcome:
        return CommandOutcome("cmd_1", "CreateCustomer", Code.CUSTOMER_EXISTS, "it exists")


SCOPED = {scope: new_api_key() for scope in Scope}
"""A key for each scope, which may do that and nothing else."""


ADMIN = {
    ("post", "/charges/{charge}/refund"),
    ("post", "/customers/{customer}/grants"),
    ("post", "/customers/{customer}/adjustments"),
    ("get", "/suspicions"),
    ("post", "/suspicions/{suspicion}/close"),
    ("post", "/invoices/{invoice}/void"),
    ("post", "/invoices/{invoice}/credit-notes"),
    ("post", "/payments/{payment}/refunds"),
    ("post", "/customers/{customer}/account-credit"),
}
"""What only an admin may do, beside reading and writing."""
PERSONAL = {"/customers/{customer}/details"}
"""What shows or takes personal data."""
ADMIN_KEY = new_api_key()


def _find(digest: str) -> StoredKey | None:
    if digest == KEY.secret_sha256:
        return StoredKey("t", KEY.key_id)
    if digest == ADMIN_KEY.secret_sha256:
        scopes = {Scope.BILLING_READ, Scope.BILLING_WRITE, Scope.BILLING_ADMIN}
        return StoredKey("t", ADMIN_KEY.key_id, frozenset(scopes))
    for scope, key in SCOPED.items():
        if digest == key.secret_sha256:
            return StoredKey("t", key.key_id, frozenset({scope}))
    return None


def _backend(settings: Settings) -> Backend:
    """Keys that work, books that refuse, and no database behind them."""
    engine = postgres.new_engine(settings, role="app")
    refusals = Refusals()
    return Backend(
        settings=settings,
        engine=engine,
        authenticator=Authenticator(_find),
        commands=CommandGate(sender=refusals, find=refusals.find, timeout_ms=1_000),
        readiness=Readiness(engine=engine, log=ReachableLog()),
        nodes=NodeMemory(),
        live=Live(settings),
    )


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    settings = Settings.model_validate({"database_url": "postgresql://nobody@127.0.0.1:1/none"})
    with TestClient(
        create_app(settings, make_backend=_backend), raise_server_exceptions=False
    ) as client:
        yield client


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


class TestOpenapi:
    def test_documents_exactly_what_is_served(self, document: dict[str, Any]) -> None:
        """Difference 0 in both directions (API9 of OWASP's list)."""
        served = {
            (route.path, method)
            for router in ROUTERS
            for route in router.routes
            if isinstance(route, APIRoute) and route.path not in UNDOCUMENTED
            for method in route.methods or ()
        }
        documented = {
            (path, method.upper())
            for path, methods in document["paths"].items()
            for method in methods
        }
        assert served == documented

    def test_asks_for_a_key_at_every_address_with_data(self, document: dict[str, Any]) -> None:
        for path, methods in document["paths"].items():
            for operation in methods.values():
                assert bool(operation.get("security")) == (path not in WITHOUT_KEY), path

    def test_gives_every_error_the_form_of_a_problem(self, document: dict[str, Any]) -> None:
        problem = {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        }
        for path, methods in document["paths"].items():
            if path in WITHOUT_KEY:
                continue
            for operation in methods.values():
                errors = {
                    status: response["content"]
                    for status, response in operation["responses"].items()
                    if not status.startswith("2")
                }
                assert {"400", "401", "403", "default"} <= set(errors), path
                assert all(content == problem for content in errors.values()), path

    def test_promises_closed_objects(self, document: dict[str, Any]) -> None:
        """No answer has a member that the document does not name (API3)."""
        open_objects = [
            name
            for name, schema in document["components"]["schemas"].items()
            if schema.get("type") == "object" and schema.get("additionalProperties") is not False
        ]
        assert open_objects == []

    def test_knows_no_floating_point_number(self, document: dict[str, Any]) -> None:
        """Amounts of S0's and S1's own addresses are JSON numbers, as those systems have them."""
        schemas = document["components"]["schemas"]
        ours = {name: schema for name, schema in schemas.items() if name[:2] not in {"S0", "S1"}}
        paths = {path: item for path, item in document["paths"].items() if path.startswith(BASE)}
        assert "'type': 'number'" not in str(ours) + str(paths)

    def test_describes_every_parameter(self, document: dict[str, Any]) -> None:
        missing = [
            (path, parameter["name"])
            for path, methods in document["paths"].items()
            for operation in methods.values()
            for parameter in operation.get("parameters", [])
            if parameter["in"] != "path" and not parameter.get("description")
        ]
        assert missing == []


def _post(body: bytes, **headers: str) -> dict[str, Any]:
    return {
        "content": body,
        "headers": {"Content-Type": "application/json", "Idempotency-Key": "k"}
        | {name.replace("_", "-"): value for name, value in headers.items()},
    }


GOOD = b'{"customer":"c","currency":"USD"}'
HUGE = b'{"customer":"' + b"c" * 1024 * 1024 + b'"}'
DEEP = b'{"customer":' + b"[" * 100_000 + b"]" * 100_000 + b"}"

BAD_READS = [
    ("/usage", "from"),
    ("/usage?from=2026-01-01T00:00:00Z", "to"),
    ("/usage?from=yesterday&to=2026-01-02T00:00:00Z", "from"),
    ("/usage?from=2026-01-01T00:00:00&to=2026-01-02T00:00:00Z", "from"),
    ("/usage?from=2026-01-01&to=2026-01-02T00:00:00Z", "from"),
    ("/usage?from=2026-01-01T00:00:00+00:00&to=2026-01-02T00:00:00Z", "from"),
    ("/usage?from=2026-13-01T00:00:00Z&to=2026-01-02T00:00:00Z", "from"),
    ("/usage?from=0001-01-01T00:00:00%2B23:59&to=2026-01-02T00:00:00Z", "from"),
    ("/usage?from=2026-01-02T00:00:00Z&to=2026-01-02T00:00:00Z", "to"),
    ("/usage?from=2026-01-01T00:30:00Z&to=2026-01-02T00:00:00Z", "from"),
    ("/usage?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00.000001Z", "to"),
    ("/usage?from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z", "from"),
    ("/usage?from=2000-01-01T00:00:00Z&to=2026-03-01T00:00:00Z&granularity=month", "from"),
    (f"/usage?{RANGE}&granularity=minute", "granularity"),
    (f"/usage?{RANGE}&granularity=day'--", "granularity"),
    (f"/usage?{RANGE}&customer=", "customer"),
    (f"/usage?{RANGE}&customer=%00", "customer"),
    (f"/usage?{RANGE}&meter=a%0Ab", "meter"),
    (f"/usage?{RANGE}&meter={'m' * 201}", "meter"),
    (f"/usage?{RANGE}&group_by=", "group_by"),
    (f"/usage?{RANGE}&group_by=a&group_by=a", "group_by"),
    (f"/usage?{RANGE}" + "".join(f"&group_by=d{n}" for n in range(6)), "group_by"),
    (f"/usage?{RANGE}&from=2026-01-01T01:00:00Z", "from"),
    (f"/usage?{RANGE}&groupby=model", "groupby"),
    ("/customers?limit=0", "limit"),
    ("/customers?limit=201", "limit"),
    ("/customers?limit=-1", "limit"),
    ("/customers?limit=1.0", "limit"),
    ("/customers?limit=1_0", "limit"),
    ("/customers?limit=1e2", "limit"),
    ("/customers?limit=%D9%A1", "limit"),
    (f"/customers?limit={'9' * 5000}", "limit"),
    ("/customers?limit=1&limit=2", "limit"),
    ("/customers?cursor=", "cursor"),
    ("/customers?cursor=%F0%9F%98%80", "cursor"),
    ("/customers?cursor=bm9wZQ", "cursor"),
    (f"/customers?cursor={'A' * 5000}", "cursor"),
    ("/customers?tenant=other", "tenant"),
    ("/subscriptions?offset=5", "offset"),
    ("/subscriptions?customer=%1b[31m", "customer"),
    ("/invoices?order_by=total_minor;DROP%20TABLE%20invoice", "order_by"),
    ("/rejects?code=none", "code"),
    ("/rejects?code=conflict'%20OR%201=1", "code"),
    ("/intake?from=2026-01-01T00:00:00Z", "to"),
    ("/intake?to=2026-01-01T00:00:00Z", "from"),
    ("/intake?from=2026-01-01T00:00:01Z&to=2026-01-02T00:00:00Z", "from"),
    ("/invoices/inv_1?expand=lines", "expand"),
]
BAD_WRITES = [
    (_post(GOOD, Idempotency_Key=""), 400, "Idempotency-Key"),
    (_post(GOOD, Idempotency_Key="a b"), 400, "Idempotency-Key"),
    (_post(GOOD, Idempotency_Key="k" * 201), 400, "Idempotency-Key"),
    (_post(GOOD, Content_Type="text/plain"), 415, "Content-Type"),
    (_post(GOOD, Content_Type="application/json; charset=utf-16"), 415, "Content-Type"),
    (_post(GOOD, Content_Encoding="gzip"), 415, "Content-Encoding"),
    (_post(HUGE), 413, "body"),
    (_post(b""), 400, "body"),
    (_post(b"\xff"), 400, "body"),
    (_post(b"null"), 400, "body"),
    (_post(b"[]"), 400, "body"),
    (_post(b'{"customer":"c"'), 400, "body"),
    (_post(DEEP), 400, "body"),
    (_post(b'{"customer":"c","customer":"d","currency":"USD"}'), 400, "body"),
    (_post(b'{"customer":1.5,"currency":"USD"}'), 400, "body"),
    (_post(b'{"customer":1e999,"currency":"USD"}'), 400, "body"),
    (_post(b'{"customer":NaN,"currency":"USD"}'), 400, "body"),
    (_post(b'{"customer":' + b"9" * 5000 + b"}"), 400, "body"),
    (_post(b'{"customer":7,"currency":"USD"}'), 400, "customer"),
    (_post(b'{"customer":"","currency":"USD"}'), 400, "customer"),
    (_post(b'{"customer":"a\\u0000b","currency":"USD"}'), 400, "customer"),
    (_post(b'{"customer":"\\ud800","currency":"USD"}'), 400, "body"),
    (_post(b'{"customer":"c","currency":7}'), 400, "currency"),
    (_post(b'{"currency":"USD"}'), 400, "customer"),
    (_post(b'{"customer":"c","currency":"USD","\\ud800":1}'), 400, "body"),
    (_post(b'{"customer":"c","currency":"USD","status":"vip"}'), 400, "status"),
]


def _assert_problem(answer: Any, *, status: int, code: str, param: str | None) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert (answer.status_code, found["code"], found["param"]) == (status, code, param), found
    assert found["status"] == status
    assert set(found) <= set(PROBLEM_SCHEMA["properties"])
    assert set(PROBLEM_SCHEMA["required"]) <= set(found)
    assert found["title"] == DESCRIPTIONS[Code(code)]
    assert found["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


class TestBadInput:
    @pytest.mark.parametrize(("address", "param"), BAD_READS)
    def test_of_a_read_is_refused_with_its_place(
        self, client: TestClient, address: str, param: str
    ) -> None:
        answer = client.get(BASE + address, headers=KEYED)
        _assert_problem(answer, status=400, code="invalid_request", param=param)

    @pytest.mark.parametrize(("request_parts", "status", "param"), BAD_WRITES)
    def test_of_a_write_is_refused_with_its_place(
        self, client: TestClient, request_parts: dict[str, Any], status: int, param: str
    ) -> None:
        headers = KEYED | request_parts["headers"]
        answer = client.post(
            f"{BASE}/customers", content=request_parts["content"], headers=headers
        )
        is_missing = headers["Idempotency-Key"] == ""
        code = "idempotency_key_missing" if is_missing else "invalid_request"
        _assert_problem(answer, status=status, code=code, param=param)

    def test_of_a_body_without_a_length_is_bounded(self, client: TestClient) -> None:
        """A sender that does not say how much it sends is cut at the same limit."""
        answer = client.post(
            f"{BASE}/customers",
            content=(b" " * 65_536 for _ in range(100)),
            headers=KEYED | {"Content-Type": "application/json", "Idempotency-Key": "k"},
        )
        _assert_problem(answer, status=413, code="invalid_request", param="body")

    @pytest.mark.parametrize("start", ["now", "", 7, None, "2026-01-01", "2026-01-01T00:00:00"])
    def test_of_a_start_is_refused(self, client: TestClient, start: object) -> None:
        answer = client.post(
            f"{BASE}/subscriptions",
            json={"customer": "c", "plan": "p", "start": start},
            headers=KEYED | {"Idempotency-Key": "k"},
        )
        _assert_problem(answer, status=400, code="invalid_request", param="start")


class TestErrors:
    @pytest.mark.parametrize(
        "header",
        [
            *("", "Bearer", "Bearer ", "Basic dTpw", "Bearer x", f"Bearer {new_api_key().key}"),
            *(f"Token {KEY.key}", f"Bearer {KEY.key}x", f"Bearer {KEY.key[:-1]}", f"{KEY.key}"),
        ],
    )
    def test_of_a_missing_or_wrong_key(self, client: TestClient, header: str) -> None:
        answer = client.get(f"{BASE}/customers", headers={"Authorization": header})
        _assert_problem(answer, status=401, code="unauthenticated", param="Authorization")
        assert answer.headers["www-authenticate"] == 'Bearer realm="tidegauge"'
        assert KEY.key not in answer.text

    def test_ask_for_the_key_before_anything_else(self, client: TestClient) -> None:
        """Without a key nobody learns which parameters there are."""
        answer = client.get(f"{BASE}/usage?nonsense=1")
        _assert_problem(answer, status=401, code="unauthenticated", param="Authorization")

    @pytest.mark.parametrize(
        "path", ["/", "/api", f"{BASE}/", f"{BASE}/nothing", "/docs/", f"{BASE}/invoices/a/b"]
    )
    def test_of_a_strange_address(self, client: TestClient, path: str) -> None:
        _assert_problem(client.get(path), status=404, code="not_found", param=None)

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "ODD"])
    def test_of_a_method_that_is_not_served(self, client: TestClient, method: str) -> None:
        answer = client.request(method, f"{BASE}/usage", headers=KEYED)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET"
        if method != "HEAD":
            _assert_problem(answer, status=405, code="invalid_request", param="method")

    def test_of_an_id_that_nothing_can_have(self, client: TestClient) -> None:
        answer = client.get(f"{BASE}/invoices/%00", headers=KEYED)
        _assert_problem(answer, status=404, code="not_found", param=None)

    def test_of_the_books(self, client: TestClient) -> None:
        answer = client.post(f"{BASE}/customers", **_keyed(_post(GOOD)))
        _assert_problem(answer, status=409, code="customer_exists", param="customer")

    def test_of_an_absent_database(self, client: TestClient) -> None:
        """It says when to come back, and not where our database would be."""
        answer = client.get(f"{BASE}/customers", headers=KEYED)
        _assert_problem(answer, status=503, code="database_away", param=None)
        assert answer.headers["retry-after"] == "1"
        assert "127.0.0.1" not in answer.text
        assert "nobody" not in answer.text


def _keyed(parts: dict[str, Any]) -> dict[str, Any]:
    return parts | {"headers": KEYED | parts["headers"]}


class TestOperations:
    def test_health_needs_nothing(self, client: TestClient) -> None:
        assert client.get("/healthz").json() == {"status": "ok"}

    def test_readiness_names_what_is_away(self, client: TestClient) -> None:
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["parts"]["database"] == "does not answer"
        assert answer.json()["parts"]["kafka"] == "ok"

    def test_metrics_name_routes_and_never_ids(self, client: TestClient) -> None:
        client.get(f"{BASE}/invoices/inv_secret", headers=KEYED)
        answer = client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        assert f'route="{BASE}/invoices/{{invoice}}"' in answer.text
        assert "inv_secret" not in answer.text

    def test_docs_load_nothing_from_elsewhere(self, client: TestClient) -> None:
        answer = client.get("/docs")
        assert answer.headers["content-type"].startswith("text/html")
        assert "script-src" not in answer.headers["content-security-policy"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def _addresses(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (method, path)
        for path, methods in document["paths"].items()
        if path not in WITHOUT_KEY
        for method in methods
    ]


def _scopes_of(method: str, path: str) -> set[Scope]:
    """The rights that an address needs, all of them."""
    if path.endswith("/emergence/check"):
        return {Scope.USAGE_WRITE}
    scopes = {Scope.BILLING_READ if method == "get" else Scope.BILLING_WRITE}
    if path.removeprefix(BASE) in PERSONAL:
        scopes |= {Scope.BILLING_PERSONAL}
    return scopes | (
        {Scope.BILLING_ADMIN} if (method, path.removeprefix(BASE)) in ADMIN else set()
    )


class TestScopes:
    @pytest.mark.parametrize("scope", Scope)
    def test_each_open_their_own_addresses_only(
        self, client: TestClient, document: dict[str, Any], scope: Scope
    ) -> None:
        """Every address with data, with a key of every scope."""
        for method, path in _addresses(document):
            wanted = _scopes_of(method, path)
            if path.endswith("/stream") and wanted == {scope}:
                continue  # it would be answered for an hour
            answer = client.request(method, path, headers=bearer(SCOPED[scope]))
            is_refused = answer.status_code == 403 and answer.json()["code"] == "scope_missing"
            assert is_refused is (wanted != {scope}), (method, path, answer.text)

    def test_of_an_admin_open_what_makes_credits(
        self, client: TestClient, document: dict[str, Any]
    ) -> None:
        """S0-62: a key without scopes may do all the rest, and none of this."""
        found = [item for item in _addresses(document) if Scope.BILLING_ADMIN in _scopes_of(*item)]
        assert len(found) == len(ADMIN)
        for method, path in found:
            refused = client.request(method, path, headers=KEYED)
            assert refused.json()["code"] == "scope_missing", (method, path)
            answer = client.request(method, path, headers=bearer(ADMIN_KEY))
            assert answer.status_code != 403, (method, path, answer.text)
