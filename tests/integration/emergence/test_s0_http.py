"""S0's worked examples through HTTP on the real pipeline, process by process."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.s0_world import BILLING, READY, S0World, Tenant, node, until


class TestCheck:
    def test_x_01_of_the_sample_is_the_blueprint_package(self, tenant: Tenant) -> None:
        customer = tenant.customer()
        found = tenant.check("p1", READY, customer_id=customer)
        assert found["emergence_detected"] is True
        assert found["emergence_type"] == "blueprint_package"
        assert (found["credits_required"], found["fiat_equivalent"]) == (50, 500)
        charge = tenant.charge(found["emergence_event_id"], "requested")
        assert charge["customer"] == customer

    def test_of_a_project_without_a_customer_stores_no_event(self, tenant: Tenant) -> None:
        found = tenant.check("p1", READY)
        assert (found["emergence_detected"], found["emergence_event_id"]) == (True, None)
        customer = tenant.customer()
        named = tenant.check("p1", READY, customer_id=customer)
        tenant.charge(named["emergence_event_id"], "requested")

    @pytest.mark.parametrize(
        ("state", "reason"),
        [
            (node("blueprint_package", fit=0.89), "fit_too_low"),
            (node("blueprint_package", fit=0.899), "fit_too_low"),
            (node("blueprint_package", finalized=False), "not_finalized"),
            (node("blueprint_package", emergence_status="pending"), "not_ready"),
            (node("blueprint_package", specs_complete=False), "incomplete"),
            ({"fit_score": 0.95, "node_data": {}}, "not_finalized"),
        ],
    )
    def test_x_03_to_x_07_says_which_gate_failed(
        self, tenant: Tenant, state: dict[str, object], reason: str
    ) -> None:
        found = tenant.check("p1", state, customer_id=tenant.customer())
        assert (found["emergence_detected"], found["emergence_type"]) == (False, None)
        assert found["reason"] == reason

    def test_x_10_of_everything_is_the_bundle(self, tenant: Tenant) -> None:
        everything = node(
            "blueprint_package", "bom_suppliers", "compliance_package", "investment_report"
        )
        found = tenant.check("p1", everything, customer_id=tenant.customer())
        assert found["emergence_type"] == "full_emergence_bundle"
        assert (found["credits_required"], found["fiat_equivalent"]) == (120, 1499)

    def test_x_13_a_thousand_times_below_the_gates_costs_nothing(self, tenant: Tenant) -> None:
        """S0-17, S0-68: concurrent ones too all answer, and no money moves."""
        customer = tenant.customer()

        def one(number: int) -> bool:
            state = node("blueprint_package", fit=0.5)
            found = tenant.check(f"p{number % 50}", state, customer_id=customer)
            return bool(found["emergence_detected"])

        with ThreadPoolExecutor(32) as pool:
            assert list(pool.map(one, range(1_000))) == [False] * 1_000
        assert tenant.credits(customer) == (100, "0.00")
        assert tenant.data(f"/customers/{customer}/transactions") == []
        assert tenant.data("/charges") == []

    @pytest.mark.parametrize(
        ("body", "status", "param"),
        [
            (b'{"project_id":"p","node_id":"n","fit_score":NaN}', 400, "body"),
            (b'{"project_id":"p","node_id":"n","fit_score":1.7}', 422, "fit_score"),
            (b'{"project_id":"p","node_id":"n","fit_score":"0,95"}', 422, "fit_score"),
            (
                b'{"project_id":"p","node_id":"n","node_data":{"finalized":"yes"}}',
                422,
                "finalized",
            ),
            (b'{"project_id":"p","node_id":"n","node_data":[]}', 422, "node_data"),
            (b'{"project_id":7,"node_id":"n"}', 400, "project_id"),
            (b'{"project_id":"p"}', 400, "node_id"),
            (b'{"project_id":"p","node_id":"n","customer_id":9}', 422, "customer_id"),
            (b"[]", 400, "body"),
            (b"{", 400, "body"),
        ],
    )
    def test_of_bad_input_names_the_field_and_leaves_nothing(
        self, tenant: Tenant, body: bytes, status: int, param: str
    ) -> None:
        answer = tenant.post("/emergence/check", body)
        assert (answer.status_code, answer.json()["param"]) == (status, param), answer.text
        assert tenant.get(f"{BILLING}/projects/p").status_code == 404

    def test_keeps_fields_that_nobody_declared(self, tenant: Tenant) -> None:
        body = b'{"project_id":"p1","node_id":"n","colour":"red","depth":1.50,"fit_score":0.5}'
        assert tenant.post("/emergence/check", body).status_code == 200
        found = until(
            lambda: tenant.get(f"{BILLING}/projects/p1"), lambda seen: seen.status_code == 200
        ).json()
        assert '"colour":"red","depth":1.50' in found["nodes"][0]["data"]

    def test_without_a_project_takes_the_node_for_one(self, tenant: Tenant) -> None:
        body = {"node_id": "alone", "customer_id": tenant.customer(), **READY}
        found = tenant.post("/emergence/check", body).json()
        tenant.charge(found["emergence_event_id"], "requested")
        assert tenant.get(f"{BILLING}/nodes/alone").json()["node"] == "alone"


class TestCharges:
    def test_x_15_to_x_19_run_through_the_ledger(self, tenant: Tenant) -> None:
        """One customer's story: 100 → 50 → 20 → refused → 120 → 85."""
        customer = tenant.customer()
        blueprint = tenant.check("p1", READY, customer_id=customer)["emergence_event_id"]
        tenant.charge(blueprint, "requested")
        assert tenant.credits(customer) == (100, "0.00")
        assert tenant.get(f"{BILLING}/charges/{blueprint}/deliverables").status_code == 409

        paid = tenant.process(customer, blueprint)
        assert paid.status_code == 200, paid.text
        assert '"fiat_equivalent":500.00' in paid.text
        assert (paid.json()["new_balance"], paid.json()["status"]) == (50, "completed")
        assert tenant.credits(customer) == (50, "500.00")

        bom = tenant.check("p2", node("bom_suppliers"), customer_id=customer)
        assert tenant.process(customer, bom["emergence_event_id"]).status_code == 200
        assert tenant.credits(customer) == (20, "750.00")

        event = tenant.check("p3", node("compliance_package"), customer_id=customer)
        refused = tenant.process(customer, event["emergence_event_id"])
        assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_credits")
        assert tenant.credits(customer) == (20, "750.00")

        bought = tenant.http.post(
            f"{tenant.url}/customers/{customer}/topup",
            data={"credits": "100", "amount_paid": "1000"},
            headers=dict(tenant.admin),
        )
        assert (bought.status_code, bought.json()["new_balance"]) == (200, 120)
        assert tenant.process(customer, event["emergence_event_id"]).status_code == 200
        assert tenant.credits(customer) == (85, "1050.00")

    def test_twice_are_refused_as_billed(self, tenant: Tenant) -> None:
        customer = tenant.customer()
        event = tenant.check("p1", READY, customer_id=customer)["emergence_event_id"]
        assert tenant.process(customer, event).status_code == 200
        again = tenant.process(customer, event)
        assert (again.status_code, again.json()["code"]) == (409, "charge_not_open")
        assert tenant.credits(customer) == (50, "500.00")

    def test_of_an_approval_repeated_with_its_key_take_effect_once(self, tenant: Tenant) -> None:
        customer = tenant.customer()
        event = tenant.check("p1", READY, customer_id=customer)["emergence_event_id"]
        tenant.charge(event, "requested")
        path = f"{BILLING}/charges/{event}/approve"
        answers = [tenant.post(path, {}, idem="once") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200] * 3
        other = tenant.post(path, {"capture": False}, idem="once")
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
        assert tenant.credits(customer) == (50, "500.00")

    def test_without_approval_deduct_nothing(self, tenant: Tenant) -> None:
        customer = tenant.customer()
        event = tenant.check("p1", READY, customer_id=customer)["emergence_event_id"]
        refused = tenant.process(customer, event, approved=False)
        assert (refused.status_code, refused.json()["code"]) == (402, "not_approved")
        assert tenant.credits(customer) == (100, "0.00")
        tenant.charge(event, "requested")

    def test_of_nobody_and_of_another_customer_are_refused(self, tenant: Tenant) -> None:
        customer, other = tenant.customer(), tenant.customer()
        event = tenant.check("p1", READY, customer_id=customer)["emergence_event_id"]
        tenant.charge(event, "requested")
        assert tenant.process(other, event).json()["code"] == "customer_differs"
        unknown = tenant.process(customer, "nothing")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "charge_unknown")
        assert tenant.credits(customer) == (100, "0.00")

    def test_of_a_tier_are_asked_for_once(self, tenant: Tenant) -> None:
        """The news of the charge reach the fold: the tier is charged, and offered no more."""
        customer = tenant.customer()
        event = tenant.check("p1", READY, customer_id=customer)["emergence_event_id"]
        assert tenant.process(customer, event).status_code == 200
        found = until(
            lambda: tenant.check("p1", READY, customer_id=customer),
            lambda seen: not seen["emergence_detected"],
        )
        assert (found["emergence_detected"], found["reason"]) == (False, "charged")
        assert len(tenant.data("/charges")) == 1

    def test_declined_leave_the_balance_and_the_tier_alone(self, tenant: Tenant) -> None:
        customer = tenant.customer()
        event = tenant.check("p1", READY, customer_id=customer)["emergence_event_id"]
        tenant.charge(event, "requested")
        declined = tenant.post(f"{BILLING}/charges/{event}/decline", {"reason": "no"})
        assert (declined.status_code, declined.json()["status"]) == (200, "declined")
        found = until(
            lambda: tenant.check("p1", READY, customer_id=customer),
            lambda seen: not seen["emergence_detected"],
        )
        assert found["reason"] == "declined"
        assert tenant.process(customer, event).json()["code"] == "charge_not_open"

    def test_held_first_are_captured_or_released_later(self, tenant: Tenant) -> None:
        customer = tenant.customer()
        event = tenant.check("p1", READY, customer_id=customer)["emergence_event_id"]
        tenant.charge(event, "requested")
        held = tenant.post(f"{BILLING}/charges/{event}/approve", {"capture": False}).json()
        assert held["status"] == "approved"
        assert tenant.balance(customer)["credits_held"] == 50
        (deal,) = tenant.data(f"/customers/{customer}/transactions")
        assert deal["status"] == "pending"
        released = tenant.post(f"{BILLING}/charges/{event}/release", {"reason": "stop"})
        assert released.status_code == 200, released.text
        assert tenant.credits(customer) == (100, "0.00")
        again = tenant.post(f"{BILLING}/charges/{event}/capture", {})
        assert (again.status_code, again.json()["code"]) == (409, "charge_not_held")

    def test_delivered_show_their_deliverables_and_refunded_do_not(self, tenant: Tenant) -> None:
        """S0-34, S0-R18."""
        customer = tenant.customer()
        event = tenant.check("p1", READY, customer_id=customer)["emergence_event_id"]
        tenant.process(customer, event)
        path = f"{BILLING}/charges/{event}"
        item = {"name": "a", "kind": "DXF", "uri": "https://x.example/a", "bytes": 3}
        registered = tenant.post(f"{path}/deliverables", {**item, "sha256": "0" * 64})
        assert registered.status_code == 200, registered.text
        assert [row["name"] for row in tenant.get(f"{path}/deliverables").json()["data"]] == ["a"]
        over = tenant.post(f"{path}/refund", {"credits": 51, "reason": "r"})
        assert (over.status_code, over.json()["code"]) == (422, "refund_too_large")
        failed = tenant.post(f"{path}/fail", {"reason": "no disk"})
        assert (failed.status_code, failed.json()["status"]) == (200, "refunded")
        assert tenant.get(f"{path}/deliverables").json()["code"] == "not_charged"
        assert tenant.credits(customer) == (100, "0.00")


class TestTopUps:
    @pytest.mark.parametrize(
        ("quantity", "paid", "saved", "each"),
        [
            (100, "1000", "0.00", "10.00"),
            (250, "2400", "4.00", "9.60"),
            (500, "4500", "10.00", "9.00"),
        ],
    )
    @pytest.mark.parametrize("form", [True, False])
    def test_x_23_to_x_25_cost_what_is_listed(
        self, tenant: Tenant, quantity: int, paid: str, saved: str, each: str, form: bool
    ) -> None:
        customer = tenant.customer()
        body = {"credits": quantity, "amount_paid": int(paid)}
        url = f"{tenant.url}/customers/{customer}/topup"
        headers = dict(tenant.admin)
        answer = (
            tenant.http.post(url, data=body, headers=headers)
            if form
            else tenant.http.post(url, json=body, headers=headers)
        )
        found = json.loads(answer.text, parse_float=str)
        assert (found["saved_percent"], found["price_per_credit"]) == (saved, each)
        assert found["new_balance"] == 100 + quantity
        receipt = tenant.get(f"{BILLING}/receipts/{found['receipt']}").json()
        assert json.loads(receipt["content"])["credits"] == quantity

    def test_x_26_at_another_amount_are_refused_and_noticed(self, tenant: Tenant) -> None:
        customer = tenant.customer()
        answer = tenant.post(f"/customers/{customer}/topup", {"credits": 500, "amount_paid": 1000})
        assert (answer.status_code, answer.json()["code"]) == (422, "amount_wrong")
        assert tenant.credits(customer) == (100, "0.00")
        assert [item["rule"] for item in tenant.data("/suspicions")] == ["wrong_amount"]

    def test_with_one_key_count_once_and_with_another_body_conflict(self, tenant: Tenant) -> None:
        customer = tenant.customer()
        path, body = f"/customers/{customer}/topup", {"credits": 100, "amount_paid": 1000}
        first, second = (tenant.post(path, body, idem="k").text for _ in range(2))
        assert first == second
        other = tenant.post(path, {"credits": 250, "amount_paid": 2400}, idem="k")
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
        assert tenant.credits(customer)[0] == 200

    @pytest.mark.parametrize(
        ("content", "param"),
        [
            ("credits=1&amount_paid=10&x=1", "x"),
            ("credits=1&credits=2&amount_paid=10", "body"),
            ("credits=1.5&amount_paid=10", "credits"),
            ("credits=-1&amount_paid=10", "credits"),
            ("credits=1&amount_paid=10.001", "amount_paid"),
            ("credits=1&amount_paid=1e1", "amount_paid"),
            ("credits=1&amount_paid=", "amount_paid"),
            ("credits=1", "amount_paid"),
            ("%zz", "body"),
        ],
    )
    def test_of_bad_input_name_the_field(self, tenant: Tenant, content: str, param: str) -> None:
        answer = tenant.http.post(
            f"{tenant.url}/customers/{tenant.customer()}/topup",
            content=content,
            headers={**tenant.admin, "Content-Type": "application/x-www-form-urlencoded"},
        )
        assert (answer.status_code, answer.json()["param"]) == (400, param), answer.text


class TestWebhooks:
    def test_x_12_of_the_open_tenant_lead_to_the_same_detection(self, world: S0World) -> None:
        """S0-R16: unsigned, as S0's sample sends it, where the tenant has no secret."""
        tenant = world.tenant(world.open_name)
        customer = tenant.customer()
        data = {"project_id": "hooked", "node_id": "n", "customer_id": customer, **READY}
        sent = tenant.webhook("emergence", {"event_type": "node_update", "data": data})
        assert sent.status_code == 202, sent.text
        (charge,) = until(
            lambda: tenant.data("/charges?project=hooked"), lambda found: len(found) > 0
        )
        assert (charge["tier"], charge["credits"]) == ("blueprint_package", 50)
        notices = tenant.data(f"/notifications?customer={customer}")
        assert [notice["kind"] for notice in notices] == ["approval_requested"]

    def test_from_a_strange_page_are_refused(self, world: S0World) -> None:
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = world.http.post(
                f"{world.gateway}/webhook/emergence", json={}, headers=headers
            )
            assert (answer.status_code, answer.json()["code"]) == (403, "origin_refused")
            api = world.http.get(f"{world.url}/customers/c/balance", headers=headers)
            assert (api.status_code, api.json()["code"]) == (403, "origin_refused")


class TestTenants:
    def test_see_and_move_nothing_of_each_other(self, world: S0World, tenant: Tenant) -> None:
        """Every new address, with a stranger's admin key."""
        customer = tenant.customer()
        event = tenant.check("secret", READY, customer_id=customer)["emergence_event_id"]
        tenant.process(customer, event)
        (receipt,) = tenant.data("/receipts")
        stranger = world.tenant()
        for path in (
            f"/charges/{event}",
            f"/charges/{event}/deliverables",
            f"/detections/{event}",
            "/projects/secret",
            f"/customers/{customer}/wallet",
            f"/customers/{customer}/postings",
            f"/customers/{customer}/transactions",
            f"/receipts/{receipt['receipt']}",
            f"/receipts/{receipt['receipt']}/pdf",
        ):
            assert tenant.get(f"{BILLING}{path}").status_code == 200, path
            assert stranger.get(f"{BILLING}{path}").status_code == 404, path
        for path in ("/charges", "/detections", "/receipts", "/notifications", "/suspicions"):
            assert stranger.data(path) == [], path
        for action in ("approve", "decline", "capture", "deliver"):
            answer = stranger.post(f"{BILLING}/charges/{event}/{action}", {})
            assert (answer.status_code, answer.json()["code"]) == (404, "charge_unknown"), action
        assert stranger.process(customer, event).status_code == 404
        assert stranger.get(f"/customers/{customer}/balance").status_code == 404
        topped = stranger.post(f"/customers/{customer}/topup", {"credits": 1, "amount_paid": 10})
        assert topped.status_code == 404
        assert tenant.credits(customer) == (50, "500.00")

    def test_hear_only_their_own_notices(self, world: S0World, tenant: Tenant) -> None:
        """S0-50: the stream is live, and goes on where it was left."""
        stranger = world.tenant()
        stream = f"{tenant.url}{BILLING}/notifications/stream"
        with tenant.http.stream("GET", stream, headers=dict(tenant.admin), timeout=60) as lines:
            events = lines.iter_lines()
            assert next(events).startswith("retry:")
            theirs = stranger.customer()
            stranger.post(f"/customers/{theirs}/topup", {"credits": 1, "amount_paid": 10})
            mine = tenant.customer()
            tenant.post(f"/customers/{mine}/topup", {"credits": 1, "amount_paid": 10})
            data = next(line for line in events if line.startswith("data:"))
        notice = json.loads(data.removeprefix("data:"))
        assert (notice["kind"], notice["customer"]) == ("topped_up", mine)


class TestReceipts:
    def test_as_pdf_are_the_same_bytes_each_time(self, tenant: Tenant) -> None:
        customer = tenant.customer()
        event = tenant.check("p1", READY, customer_id=customer)["emergence_event_id"]
        tenant.process(customer, event)
        (receipt,) = tenant.data("/receipts")
        path = f"{BILLING}/receipts/{receipt['receipt']}/pdf"
        first, second = tenant.get(path), tenant.get(path)
        assert first.headers["content-type"] == "application/pdf"
        assert first.content.startswith(b"%PDF-")
        assert first.content == second.content
        known = {**tenant.admin, "If-None-Match": first.headers["etag"]}
        assert tenant.get(path, key=known).status_code == 304


class TestAdmins:
    def test_alone_grant_take_and_see_suspicions(self, tenant: Tenant) -> None:
        """S0-62: an ordinary key is refused, and nothing changes."""
        customer = tenant.customer()
        grant = {"credits": 10, "reason": "hello"}
        path = f"{BILLING}/customers/{customer}"
        for address in (f"{path}/grants", f"{path}/adjustments"):
            refused = tenant.post(address, grant, key=tenant.plain)
            assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
        granted = tenant.post(f"{path}/grants", grant)
        assert (granted.status_code, granted.json()["available"]) == (201, 110)
        taken = tenant.post(f"{path}/adjustments", {"credits": 110, "reason": "bye"})
        assert taken.json()["available"] == 0
        below = tenant.post(f"{path}/adjustments", {"credits": 1, "reason": "bye"})
        assert (below.status_code, below.json()["code"]) == (402, "insufficient_credits")
        assert tenant.get(f"{BILLING}/suspicions", key=tenant.plain).status_code == 403

    def test_close_suspicions_with_a_note(self, tenant: Tenant) -> None:
        customer = tenant.customer()
        tenant.post(f"/customers/{customer}/topup", {"credits": 100, "amount_paid": 1})
        (found,) = tenant.data("/suspicions?status=open")
        closed = tenant.post(
            f"{BILLING}/suspicions/{found['suspicion']}/close", {"note": "a typing error"}
        )
        assert closed.status_code == 200, closed.text
        assert (closed.json()["is_open"], closed.json()["note"]) == (False, "a typing error")
        assert tenant.data("/suspicions?status=open") == []

    def test_let_customers_approve_small_charges_beforehand(self, tenant: Tenant) -> None:
        customer = tenant.customer()
        answer = tenant.http.put(
            f"{tenant.url}{BILLING}/customers/{customer}/auto-approval",
            json={"limit_credits": 50},
            headers={**tenant.admin, "Idempotency-Key": uuid.uuid4().hex},
        )
        assert (answer.status_code, answer.json()["auto_approval_credits"]) == (200, 50)
        event = tenant.check("p1", READY, customer_id=customer)["emergence_event_id"]
        assert tenant.charge(event, "captured")["approved_by"] == "auto"
        assert tenant.credits(customer) == (50, "500.00")
