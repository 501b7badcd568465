"""All routes of the console, in one router."""

from __future__ import annotations

from fastapi import APIRouter

from api.console import signing_in, static_files, stream
from api.console.pages import analytics, approvals, customers, overview, projects, suspicions

router = APIRouter(include_in_schema=False, redirect_slashes=False)
for part in (
    static_files,
    signing_in,
    stream,
    overview,
    projects,
    approvals,
    customers,
    analytics,
    suspicions,
):
    router.include_router(part.router)
