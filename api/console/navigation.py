"""The console's places: the one list from which every page draws its navigation."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.web.scopes import Scope

BASE_PATH = "/console"


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the navigation.

    Args:
        key: What a page names as its place.
        title: Its name for people.
        path: Its address.
        scope: Right that it needs beside reading; None for none.
    """

    key: str
    title: str
    path: str
    scope: Scope | None = None


PLACES: tuple[Place, ...] = (
    Place("overview", "Overview", BASE_PATH),
    Place("projects", "Projects", f"{BASE_PATH}/projects"),
    Place("approvals", "Approvals", f"{BASE_PATH}/approvals"),
    Place("customers", "Customers", f"{BASE_PATH}/customers"),
    Place("analytics", "Analytics", f"{BASE_PATH}/analytics"),
    Place("suspicions", "Suspicions", f"{BASE_PATH}/suspicions", Scope.BILLING_ADMIN),
)
"""In the order of the navigation; a new page adds a line here and a router in `router.py`."""
