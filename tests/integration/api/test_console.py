"""The console over HTTP: who may look, what a browser is told, and that texts stay texts."""

import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from typing_extensions import override

from api.app import PAGES
from api.console.navigation import PLACES
from api.console.session import COOKIE
from api.console.static_files import MEDIA_TYPES, STATIC, address_of
from api.wrong_keys import WRONG_KEYS_PER_MINUTE_MAX
from runtime.settings import Settings
from tests.support import api_world
from tests.support.api_world import MemoryBooks, Rows
from tests.support.emergence_rows import BLUEPRINT, EmergenceRows

ORIGIN = {"Origin": "https://testserver"}
MARKUP = '"><img src=x onerror=alert(1)><script>alert(2)</script>'
SECRET = "never-seen-by-others"
ADMIN = ("billing:read", "billing:write", "billing:admin")


@pytest.fixture
def browser(settings: Settings, books: MemoryBooks) -> Iterator[TestClient]:
    """A browser of its own for each test: cookies, and counts of wrong keys."""
    with api_world.api_client(settings, books) as client:
        client.follow_redirects = False
        client.base_url = "https://testserver"  # its cookies go over TLS only
        yield client


@pytest.fixture
def mine(rows: Rows, tenant: str) -> EmergenceRows:
    return EmergenceRows(rows, tenant)


def _sign_in(browser: TestClient, key: str) -> Any:
    return browser.post("/console/sign-in", data={"key": key}, headers=ORIGIN)


def _signed_in(browser: TestClient, rows: Rows, tenant: str, *scopes: str) -> TestClient:
    assert _sign_in(browser, rows.api_key(tenant, scopes=scopes).key).status_code == 303
    return browser


def _addresses(mine: EmergenceRows, *, name: str, charge: str, receipt: str) -> list[str]:
    return [
        *(place.path for place in PLACES),
        f"/console/customers/one?customer={name}",
        f"/console/projects/named?project={name}",
        f"/console/projects/lone?node={name}",
        f"/console/charges/{charge}",
        f"/console/receipts/{receipt}",
        f"/console/receipts/{receipt}/pdf",
    ]


class TestSignIn:
    def test_gives_a_cookie_that_scripts_and_other_sites_never_see(
        self, browser: TestClient, rows: Rows, tenant: str
    ) -> None:
        answer = _sign_in(browser, rows.api_key(tenant).key)
        assert (303, "/console") == (answer.status_code, answer.headers["location"])
        cookie = answer.headers["set-cookie"].lower()
        assert {"httponly", "samesite=strict", "path=/console", "max-age=43200", "secure"} <= {
            part.strip() for part in cookie.split(";")
        }

    def test_works_without_tls_on_the_machine_itself_only(
        self, browser: TestClient, rows: Rows, tenant: str
    ) -> None:
        for host, is_secure in (("localhost:8080", False), ("[::1]:80", False), ("a.test", True)):
            answer = browser.post(
                "/console/sign-in",
                data={"key": rows.api_key(tenant).key},
                headers={"Host": host, "Origin": f"http://{host}"},
            )
            assert is_secure is ("secure" in answer.headers["set-cookie"].lower())

    @pytest.mark.parametrize(
        ("wished", "given"),
        [
            ("/console/approvals", "/console/approvals"),
            ("https://evil.test/", "/console"),
            ("//evil.test/console/", "/console"),
            ("/console/../api", "/console"),
            ("/console/\\evil.test", "/console"),
            ("/console/a\r\nSet-Cookie: a=b", "/console"),
        ],
    )
    def test_leads_back_to_pages_of_the_console_alone(
        self, browser: TestClient, rows: Rows, tenant: str, wished: str, given: str
    ) -> None:
        answer = browser.post(
            "/console/sign-in",
            data={"key": rows.api_key(tenant).key, "next": wished},
            headers=ORIGIN,
        )
        assert given == answer.headers["location"]

    def test_with_a_wrong_key_says_so_and_gives_no_cookie(self, browser: TestClient) -> None:
        answer = _sign_in(browser, "tg_live_12345678_nothing")
        assert answer.status_code == 401
        assert "There is no such key" in answer.text
        assert "set-cookie" not in answer.headers

    def test_is_refused_after_too_many_wrong_keys(
        self, browser: TestClient, rows: Rows, tenant: str
    ) -> None:
        """By sign-in and by forged cookies alike; who is signed in at the address goes on."""
        for number in range(WRONG_KEYS_PER_MINUTE_MAX):
            if number % 2:
                forged = browser.get("/console", headers={"Cookie": "tidegauge_console=wrong"})
                assert forged.status_code == 303
            else:
                assert _sign_in(browser, f"wrong {number}").status_code == 401
        key = rows.api_key(tenant).key
        answer = _sign_in(browser, key)
        assert answer.status_code == 429
        assert browser.get("/console", headers={"Cookie": f"{COOKIE}={key}"}).status_code == 200
        assert 1 <= int(answer.headers["retry-after"]) <= 60

    def test_is_asked_for_at_every_page(self, browser: TestClient) -> None:
        for place in PLACES:
            answer = browser.get(place.path)
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/console/sign-in?next=/console")
        script = browser.get("/console/approvals", headers={"HX-Request": "true"})
        assert (401, "/console/sign-in?next=/console/approvals") == (
            script.status_code,
            script.headers["hx-redirect"],
        )

    def test_ends_by_signing_out(self, browser: TestClient, rows: Rows, tenant: str) -> None:
        _signed_in(browser, rows, tenant)
        assert browser.get("/console").status_code == 200
        assert browser.post("/console/sign-out", headers=ORIGIN).status_code == 303
        assert browser.get("/console").status_code == 303

    def test_is_not_needed_for_the_open_tenant(
        self, settings: Settings, books: MemoryBooks, mine: EmergenceRows, tenant: str
    ) -> None:
        mine.customer("somebody")
        opened = settings.model_copy(update={"open_tenant": tenant})
        with api_world.api_client(opened, books) as client:
            here = {"Host": "127.0.0.1:8005"}
            answer = client.get("/console/customers", headers=here)
            assert answer.status_code == 200
            assert "somebody" in answer.text
            assert "Sign out" not in answer.text
            assert client.get("/console", headers=here | {"Host": "evil.test"}).status_code == 403

    def test_with_a_key_that_may_not_read_is_refused(
        self, browser: TestClient, rows: Rows, tenant: str
    ) -> None:
        answer = _sign_in(browser, rows.api_key(tenant, scopes=["usage:write"]).key)
        assert answer.status_code == 403
        assert "scope_missing" in answer.text
        assert "set-cookie" not in answer.headers


class TestChanges:
    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Origin": "null"},
            {"Origin": "https://evil.test"},
            {"Origin": "http://testserver:8000"},
            {"Origin": "http://testserver.evil.test"},
            {"Origin": "http://["},
            {"Sec-Fetch-Site": "same-site"},
        ],
    )
    def test_of_another_origin_are_refused(
        self,
        browser: TestClient,
        rows: Rows,
        tenant: str,
        books: MemoryBooks,
        mine: EmergenceRows,
        headers: Mapping[str, str],
    ) -> None:
        """Cross-site request forgery, from another port of the same machine, too."""
        _signed_in(browser, rows, tenant)
        mine.customer("c")
        sent = len(books.sent)
        for act in (f"approvals/{mine.charge('c')}/approve", "sign-out", "sign-in"):
            answer = browser.post(f"/console/{act}", data={"key": "x"}, headers=headers)
            assert answer.status_code == 403
            assert "origin_refused" in answer.text
        assert sent == len(books.sent)

    def test_need_the_right_to_write(
        self, browser: TestClient, rows: Rows, tenant: str, mine: EmergenceRows
    ) -> None:
        _signed_in(browser, rows, tenant, "billing:read")
        mine.customer("c")
        answer = browser.post(f"/console/approvals/{mine.charge('c')}/approve", headers=ORIGIN)
        assert answer.status_code == 403
        assert "scope_missing" in answer.text

    def test_of_an_admin_need_an_admin(
        self, browser: TestClient, rows: Rows, tenant: str, mine: EmergenceRows
    ) -> None:
        """S0-62: to see suspicions, as in the API, and to close them."""
        _signed_in(browser, rows, tenant)
        mine.customer("c")
        suspicion = mine.suspicion("c", detail=SECRET)
        page = browser.get("/console/suspicions")
        assert (403, False) == (page.status_code, SECRET in page.text)
        assert 'href="/console/suspicions"' not in browser.get("/console/customers").text
        answer = browser.post(
            f"/console/suspicions/{suspicion}/close", data={"note": "n"}, headers=ORIGIN
        )
        assert answer.status_code == 403

    def test_are_answered_with_a_page_that_can_be_read_again(
        self, browser: TestClient, rows: Rows, tenant: str, mine: EmergenceRows
    ) -> None:
        """The address of an act is no page: what reads itself there would empty the screen."""
        _signed_in(browser, rows, tenant, *ADMIN)
        mine.customer("c")
        for act in (
            f"approvals/{mine.charge('c')}/approve",
            f"approvals/{mine.charge('c')}/decline",
            f"suspicions/{mine.suspicion('c')}/close",
        ):
            answer = browser.post(f"/console/{act}", data={"note": "n"}, headers=ORIGIN)
            (again,) = re.findall(r'<div id="live" hx-get="([^"]+)"', answer.text)
            assert f"/console/{act.partition('/')[0]}" == again
            assert browser.get(again).status_code == 200

    def test_that_the_books_refuse_say_why(
        self, browser: TestClient, rows: Rows, tenant: str, mine: EmergenceRows
    ) -> None:
        """The books of this test know no such charge; the page says it with their code."""
        _signed_in(browser, rows, tenant)
        mine.customer("c")
        answer = browser.post(f"/console/approvals/{mine.charge('c')}/approve", headers=ORIGIN)
        assert answer.status_code == 404
        assert '<div id="message" class="message bad"' in answer.text
        assert "<code>charge_unknown</code>" in answer.text

    @pytest.mark.parametrize(
        ("content", "media_type", "status"),
        [
            (b"note=" + b"a" * 20_000, "application/x-www-form-urlencoded", 413),
            (b"note=%ff", "application/x-www-form-urlencoded", 400),
            (b"{}", "application/json", 415),
            (b"note=" + b"a" * 501, "application/x-www-form-urlencoded", 400),
            (b"", "application/x-www-form-urlencoded", 400),
            (b"&".join(b"a=b" for _ in range(50)), "application/x-www-form-urlencoded", 400),
        ],
    )
    def test_with_a_bad_form_are_refused(
        self,
        browser: TestClient,
        rows: Rows,
        tenant: str,
        mine: EmergenceRows,
        content: bytes,
        media_type: str,
        status: int,
    ) -> None:
        _signed_in(browser, rows, tenant, *ADMIN)
        mine.customer("c")
        answer = browser.post(
            f"/console/suspicions/{mine.suspicion('c')}/close",
            content=content,
            headers=ORIGIN | {"Content-Type": media_type},
        )
        assert status == answer.status_code
        assert "invalid_request" in answer.text


class _Strict(HTMLParser):
    """Collects what a strict policy would block: inline scripts, styles and handlers."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self._inside = ""

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        names = {name for name, _ in attrs}
        if tag == "img" or "style" in names or any(name.startswith("on") for name in names):
            self.faults.append(f"{tag} {sorted(names)}")
        if tag == "script" and "src" not in names:
            self.faults.append("inline script")

    @override
    def handle_data(self, data: str) -> None:
        if self._inside in {"script", "style"} and data.strip():
            self.faults.append(data)


class TestPages:
    def test_leave_markup_of_others_as_text(
        self, browser: TestClient, rows: Rows, tenant: str, mine: EmergenceRows
    ) -> None:
        """Names, node data, evidence, notes: wherever a stranger's text is shown (XSS)."""
        _signed_in(browser, rows, tenant, "billing:read", "billing:write", "billing:admin")
        mine.customer(MARKUP)
        evidence = [
            {
                **dict.fromkeys(("tier", "node", "data_sha256"), MARKUP),
                "partition": 1,
                "offset": 2,
                "values": {MARKUP: MARKUP},
                "pulses": {MARKUP: 3},
            }
        ]
        more: dict[str, Any] = {"delivers": [MARKUP], "end_reason": MARKUP, "approved_by": MARKUP}
        tier = (MARKUP, MARKUP, 50, 50_000)
        charge = mine.charge(
            MARKUP, tier, project=MARKUP, evidence=evidence, status="captured", **more
        )
        mine.charge(MARKUP, tier, project=MARKUP, evidence=evidence, **more)
        transaction = mine.transaction(MARKUP, "charge", charge=charge, reason=MARKUP)
        mine.receipt(MARKUP, "RCP-2026-000001", transaction)
        mine.suspicion(MARKUP, detail=MARKUP, rule=MARKUP)
        mine.suspicion(MARKUP, is_open=False, note=MARKUP)
        mine.project(MARKUP, MARKUP)
        mine.node(MARKUP, project=MARKUP, data=MARKUP)
        mine.node(MARKUP, project="", lone_node=MARKUP, data=MARKUP)
        for address in _addresses(
            mine, name=MARKUP.replace("<", "%3C"), charge=charge, receipt="RCP-2026-000001"
        ):
            answer = browser.get(address)
            assert answer.status_code == 200, address
            if address.endswith("/pdf"):
                assert answer.content.startswith(b"%PDF")
                continue
            parser = _Strict()
            parser.feed(answer.text)
            assert [] == parser.faults, address
            assert "alert(2)" in answer.text or address in {"/console/analytics", "/console"}

    def test_tell_the_browser_to_run_nothing_but_ours(
        self, browser: TestClient, rows: Rows, tenant: str
    ) -> None:
        _signed_in(browser, rows, tenant)
        for address in ("/console/sign-in", "/console", "/console/charges/emg_none"):
            policy = browser.get(address).headers["content-security-policy"]
            directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
            assert {
                "default-src": "'none'",
                "script-src": "'self'",
                "style-src": "'self'",
                "connect-src": "'self'",
                "img-src": "'self' data:",
                "form-action": "'self'",
                "base-uri": "'none'",
                "frame-ancestors": "'none'",
            } == directives
        headers = browser.get("/console").headers
        assert ("nosniff", "no-store") == (
            headers["x-content-type-options"],
            headers["cache-control"],
        )

    def test_show_nothing_of_another_tenant(
        self, browser: TestClient, rows: Rows, tenant: str
    ) -> None:
        """The owner sees its secret; a stranger gets the answer of what is not there."""
        theirs = EmergenceRows(rows, f"{tenant}-owner")
        theirs.customer(SECRET, spent_minor=987_654_321)
        charge = theirs.charge(SECRET, BLUEPRINT, project=SECRET, status="captured")
        theirs.receipt(SECRET, "RCP-2026-000001", theirs.transaction(SECRET, "charge"))
        theirs.suspicion(SECRET, rule=SECRET)
        theirs.project(SECRET, SECRET)
        theirs.node("n", project=SECRET, data=SECRET)
        theirs.node(SECRET, project="", lone_node=SECRET)
        addresses = _addresses(theirs, name=SECRET, charge=charge, receipt="RCP-2026-000001")
        seen = {}
        for who in (f"{tenant}-owner", f"{tenant}-stranger"):
            _signed_in(browser, rows, who, *ADMIN)
            answers = [browser.get(address) for address in addresses]
            seen[who] = [answer.status_code for answer in answers]
            texts = [answer.text for answer in answers if answer.status_code == 200]
            has_secret = any(SECRET in text or "9,876,543" in text for text in texts)
            assert has_secret is who.endswith("owner")
        assert [200] * len(addresses) == seen[f"{tenant}-owner"]
        assert [200] * len(PLACES) + [404] * 6 == seen[f"{tenant}-stranger"]

    def test_of_a_foreign_charge_cannot_be_approved(
        self, browser: TestClient, rows: Rows, tenant: str, books: MemoryBooks
    ) -> None:
        theirs = EmergenceRows(rows, f"{tenant}-owner")
        theirs.customer("c")
        charge = theirs.charge("c")
        sent = len(books.sent)
        _signed_in(browser, rows, f"{tenant}-stranger")
        for act in ("approve", "decline"):
            answer = browser.post(
                f"/console/approvals/{charge}/{act}", data={"reason": "r"}, headers=ORIGIN
            )
            assert answer.status_code == 404
        assert sent == len(books.sent)

    def test_turn_without_gap_or_repeat(
        self, browser: TestClient, rows: Rows, tenant: str, mine: EmergenceRows
    ) -> None:
        _signed_in(browser, rows, tenant)
        mine.customer("c")
        charges = {mine.charge("c", status="declined", project=f"p{n}") for n in range(60)}
        seen: list[str] = []
        address = "/console/approvals"
        while address:
            page = browser.get(address).text
            seen += re.findall(r'href="/console/charges/(emg_\w+)"', page)
            found = re.search(r'href="(/console/approvals\?after=[^"]+)"', page)
            address = found[1] if found else ""
        assert sorted(charges) == sorted(seen)

    def test_refuse_a_cursor_of_another_list(
        self, browser: TestClient, rows: Rows, tenant: str
    ) -> None:
        _signed_in(browser, rows, tenant)
        for address in ("customers?after=WyJhIl0", "projects?after=x", "approvals?after=%00"):
            answer = browser.get(f"/console/{address}")
            assert answer.status_code == 400
            assert "invalid_request" in answer.text


class TestFiles:
    def test_are_served_for_good_at_the_address_of_their_content(
        self, browser: TestClient
    ) -> None:
        for name, media_type in MEDIA_TYPES.items():
            answer = browser.get(address_of(name))
            assert (STATIC / name).read_bytes() == answer.content
            assert media_type == answer.headers["content-type"]
            assert "immutable" in answer.headers["cache-control"]
            old = browser.get(f"/console/static/000000000000/{name}")
            assert (200, "no-cache") == (old.status_code, old.headers["cache-control"])

    @pytest.mark.parametrize(
        "name", ["../router.py", "vendor/../../router.py", "%2e%2e/router.py", "vendor/", ""]
    )
    def test_are_no_others(self, browser: TestClient, name: str) -> None:
        assert browser.get(f"/console/static/0/{name}").status_code == 404


class TestDocuments:
    def test_of_the_api_leave_pages_out(self, browser: TestClient) -> None:
        app = browser.app
        assert isinstance(app, FastAPI)
        assert not [path for path in app.openapi()["paths"] if path.startswith("/console")]
        assert len(PAGES[0].routes) > len(PLACES)
