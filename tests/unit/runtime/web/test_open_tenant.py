"""The open tenant: programs of this machine get in without a key, pages and others do not."""

import pytest
from pydantic import ValidationError
from starlette.requests import Request

from runtime.settings import Settings
from runtime.web.authentication import Authenticator
from runtime.web.open_tenant import require_home
from runtime.web.problems import ProblemError
from runtime.web.scopes import Scope


def request(client: str = "127.0.0.1", host: str = "localhost:8004", **headers: str) -> Request:
    """A request with these headers."""
    named = {"host": host} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(
        {
            "type": "http",
            "client": (client, 1),
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }
    )


class TestHome:
    @pytest.mark.parametrize(
        "asked",
        [
            request(),
            request(client="::1", host="[::1]:8004"),
            request(host="127.0.0.1"),
            request(origin="http://localhost:8004", sec_fetch_site="same-origin"),
            request(sec_fetch_site="none"),
        ],
    )
    def test_is_where_programs_of_this_machine_ask(self, asked: Request) -> None:
        require_home(asked)

    @pytest.mark.parametrize(
        ("asked", "param"),
        [
            (request(client="192.0.2.1"), "Authorization"),
            (request(host="rebound.example"), "Host"),
            (request(host="localhost.evil.example"), "Host"),
            (request(host=""), "Host"),
            (request(host="[::1"), "Host"),
            (request(origin="https://evil.example"), "Origin"),
            (request(origin="http://localhost:3000"), "Origin"),
            (request(origin="null"), "Origin"),
            (request(sec_fetch_site="cross-site"), "Sec-Fetch-Site"),
            (request(sec_fetch_site="same-site"), "Sec-Fetch-Site"),
            (request(x_forwarded_for="127.0.0.1"), "x-forwarded-for"),
            (request(x_forwarded_proto="https"), "x-forwarded-proto"),
            (request(cf_connecting_ip="127.0.0.1"), "cf-connecting-ip"),
        ],
    )
    def test_is_no_page_and_no_other_machine(self, asked: Request, param: str) -> None:
        with pytest.raises(ProblemError) as refused:
            require_home(asked)
        problem = refused.value.problem
        assert (problem.status, problem.code, problem.param) == (403, "origin_refused", param)


class TestWithoutKey:
    def test_is_the_open_tenant_with_all_rights_but_schemas(self) -> None:
        caller = Authenticator(lambda _: None, open_tenant="demo").without_key(request())
        assert caller.tenant == "demo"
        for scope in (Scope.BILLING_ADMIN, Scope.USAGE_WRITE):
            caller.require(scope)
        with pytest.raises(ProblemError):
            caller.require(Scope.SCHEMA_WRITE)

    def test_is_nobody_where_no_tenant_is_open(self) -> None:
        with pytest.raises(ProblemError) as refused:
            Authenticator(lambda _: None).without_key(request())
        assert refused.value.problem.status == 401


class TestSetting:
    @pytest.mark.parametrize("name", ["api_host", "gateway_host"])
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])  # noqa: S104 -- what is refused
    def test_is_refused_on_addresses_that_others_reach(self, name: str, host: str) -> None:
        Settings.model_validate({name: host})
        with pytest.raises(ValidationError, match=name.upper()):
            Settings.model_validate({name: host, "open_tenant": "demo"})

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
    def test_is_taken_at_home(self, host: str) -> None:
        settings = Settings.model_validate({"api_host": host, "open_tenant": "demo"})
        assert settings.open_tenant == "demo"

    def test_is_a_clean_name(self) -> None:
        with pytest.raises(ValidationError):
            Settings.model_validate({"open_tenant": "a\x00b"})
