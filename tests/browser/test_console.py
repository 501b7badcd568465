"""A stranger watches an emergence become a receipt, and nothing else happens on the page."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from playwright.sync_api import Dialog, expect

from tests.browser.conftest import Watched, World

MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
LIVE_MS = 30_000
"""How long a change may take to show on a busy machine, ms; half a second is usual."""
PAGES = ("", "/projects", "/approvals", "/customers", "/analytics", "/suspicions")


def _name(word: str) -> str:
    return f"{word}-{uuid.uuid4().hex[:8]}"


class TestEmergence:
    def test_shows_live_and_becomes_a_receipt(self, world: World, watched: Watched) -> None:
        """From the report of a node to the receipt, without a reload."""
        customer, project = _name("customer"), _name("tower")
        world.customer(customer)
        watched.sign_in(world.key)
        page = watched.page
        expect(page.locator("#link-state")).to_have_text("live", timeout=LIVE_MS)
        page.get_by_role("link", name="Approvals", exact=True).click()
        expect(page.get_by_text(project)).to_have_count(0)

        world.report(customer, project)

        approve = page.get_by_role("button", name=f"Approve Blueprint Package for {customer}")
        expect(approve).to_be_visible(timeout=LIVE_MS)
        card = page.locator("li", has=approve)
        expect(card).to_contain_text("50 credits")
        expect(card).to_contain_text("₱500.00")
        card.get_by_text("Evidence: 1 tier").click()
        expect(card).to_contain_text("fit_score")
        expect(card).to_contain_text(re.compile(r"node\.events \d+:\d+"))

        asked: list[str] = []

        def accept(dialog: Dialog) -> None:
            asked.append(dialog.message)
            dialog.accept()

        page.on("dialog", accept)
        approve.click()
        expect(page.get_by_role("status").filter(has_text="Approved")).to_contain_text(customer)
        assert asked == [f"Approve Blueprint Package for {customer}? 50 credits are deducted."]
        expect(approve).to_have_count(0)

        row = page.locator("tr", has_text=customer)
        expect(row).to_contain_text("captured")
        row.get_by_role("link", name=re.compile(r"RCP-\d{4}-\d{6}")).click()
        receipt = page.get_by_role("main")
        expect(receipt).to_contain_text("₱500.00")
        expect(receipt).to_contain_text("50 credits")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download as PDF").click()
        assert download.value.path().read_bytes().startswith(b"%PDF")

        page.get_by_role("link", name=customer).click()
        expect(page.get_by_role("main")).to_contain_text("50 credits")
        expect(page.locator("#postings").locator("..")).to_contain_text("spent +50")

    def test_that_is_declined_costs_nothing(self, world: World, watched: Watched) -> None:
        customer = _name("customer")
        world.customer(customer)
        world.report(customer, _name("tower"))
        watched.sign_in(world.key)
        watched.open("/console/approvals")
        page = watched.page
        page.on("dialog", lambda dialog: dialog.accept())
        decline = page.get_by_role("button", name=f"Decline Blueprint Package for {customer}")
        decline.click(timeout=LIVE_MS)
        expect(page.get_by_role("status").filter(has_text="Declined")).to_contain_text(customer)

        # The page goes on hearing of changes after an act.
        world.customer(other := _name("customer"))
        world.report(other, _name("tower"))
        again = page.get_by_role("button", name=f"Decline Blueprint Package for {other}")
        expect(again).to_be_visible(timeout=LIVE_MS)
        watched.open(f"/console/customers/one?customer={customer}")
        expect(page.get_by_role("main")).to_contain_text("100 credits")

    def test_that_cannot_be_paid_says_so(self, world: World, watched: Watched) -> None:
        """S0-13: the bundle takes 120 credits, a new customer has 100."""
        customer = _name("customer")
        world.customer(customer)
        flags = (
            "material_complete",
            "component_logic_complete",
            "region_resolved",
            "compliance_resolved",
            "investment_node_resolved",
            "project_roi_complete",
        )
        world.report(customer, _name("tower"), flags=flags)
        watched.sign_in(world.key)
        watched.open("/console/approvals")
        page = watched.page
        page.on("dialog", lambda dialog: dialog.accept())
        approve = page.get_by_role("button", name=f"Approve Full Emergence Bundle for {customer}")
        approve.click(timeout=LIVE_MS)
        expect(page.locator("#message")).to_contain_text("insufficient_credits")
        expect(approve).to_be_visible()
        # The refusal's status is told to the browser, which notes every 4xx as an error.
        watched.complaints = [text for text in watched.complaints if "(Payment" not in text]

    def test_that_fails_a_gate_says_which_and_why(self, world: World, watched: Watched) -> None:
        """S0-90, X-04."""
        customer, project = _name("customer"), _name("tower")
        world.customer(customer)
        world.report(customer, project, fit_score=0.899)
        watched.sign_in(world.key)
        watched.open("/console/projects")
        page = watched.page
        page.get_by_role("link", name=project).click(timeout=LIVE_MS)
        main = page.get_by_role("main")
        expect(main).to_contain_text("fit_score is 0.899")
        expect(main).to_contain_text("Nothing was detected yet")
        world.report(customer, project)
        expect(page.locator("#timeline").locator("..")).to_contain_text(
            "Blueprint Package", timeout=LIVE_MS
        )


class TestMarkup:
    def test_in_names_and_node_data_stays_text(self, world: World, watched: Watched) -> None:
        """Nothing of it runs, and it can be read as it was written."""
        customer, project = _name(MARKUP), _name(MARKUP)
        world.customer(customer)
        world.report(customer, project, node=MARKUP, note=MARKUP)
        watched.sign_in(world.key)
        watched.open("/console/approvals")
        page = watched.page
        link = page.get_by_role("link", name=project).first
        expect(link).to_be_visible(timeout=LIVE_MS)
        for path in PAGES:
            watched.open(f"/console{path}")
            assert page.title() != "owned"
            expect(page.locator("main img, main script")).to_have_count(0)
        watched.open("/console/approvals")
        link.click()
        page.get_by_text("What it reported").click()
        expect(page.locator("pre")).to_contain_text("onerror")
        expect(page.locator("main img, main script")).to_have_count(0)
        assert page.title() != "owned"


class TestLooks:
    @pytest.mark.parametrize(
        "context_options",
        [
            {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
            for width in (1280, 390)
            for scheme in ("light", "dark")
        ],
        ids=lambda options: f"{options['viewport']['width']}-{options['color_scheme']}",
    )
    def test_fit_the_screen_in_both_schemes(
        self, world: World, watched: Watched, context_options: dict[str, Any]
    ) -> None:
        """No page is wider than its screen; pictures lie in .cache/screenshots."""
        customer = _name("customer")
        world.customer(customer)
        world.report(customer, _name("tower"))
        watched.sign_in(world.key)
        width = context_options["viewport"]["width"]
        for path in (*PAGES, f"/customers/one?customer={customer}"):
            watched.open(f"/console{path}")
            expect(watched.page.get_by_role("main")).to_be_visible()
            assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
            name = path.strip("/").split("?")[0].replace("/", "-") or "overview"
            watched.screenshot(f"{name}-{width}-{context_options['color_scheme']}")


class TestKeyboard:
    def test_alone_leads_through_the_page(self, world: World, watched: Watched) -> None:
        """The first stop skips the navigation; all places have names; one of them is current."""
        watched.sign_in(world.key)
        page = watched.page
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        assert page.url.endswith("#main")
        expect(page.get_by_role("navigation", name="Places").get_by_role("link")).to_have_count(6)
        expect(page.locator("nav [aria-current=page]")).to_have_text("Overview")

    def test_focus_and_opened_evidence_survive_a_change(
        self, world: World, watched: Watched
    ) -> None:
        """A page that reads itself again does not move under the reader's hands."""
        first, second = _name("customer"), _name("customer")
        for customer in (first, second):
            world.customer(customer)
        world.report(first, _name("tower"))
        watched.sign_in(world.key)
        watched.open("/console/approvals")
        page = watched.page
        approve = page.get_by_role("button", name=f"Approve Blueprint Package for {first}")
        card = page.locator("li", has=approve)
        card.get_by_text("Evidence: 1 tier").click(timeout=LIVE_MS)
        approve.focus()
        world.report(second, _name("tower"))
        other = page.get_by_role("button", name=f"Approve Blueprint Package for {second}")
        expect(other).to_be_visible(timeout=LIVE_MS)
        expect(approve).to_be_focused()
        expect(card.locator("details")).to_have_attribute("open", "")
