"""The application: routes, the form of errors, and what every answer gets."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI

from api.backend import Backend, new_backend
from api.console.router import router as console
from api.openapi import DESCRIPTION
from api.routes import (
    allowances,
    analytics,
    charges,
    credit_notes,
    customer_details,
    customers,
    emergence,
    gain_shares,
    invoice_documents,
    invoice_status,
    invoices,
    items,
    notifications,
    operations,
    organizations,
    payments,
    plans,
    receipts,
    recurring,
    rejects,
    s0,
    s0_customers,
    s1,
    s4,
    schema_registry,
    subscription_changes,
    subscriptions,
    suspicions,
    usage,
    usage_events,
    usage_of_periods,
    wallets,
)
from runtime.metrics import API_REQUESTS, API_SECONDS
from runtime.settings import Settings
from runtime.web import openapi
from runtime.web.application import new_app
from runtime.web.envelope import Watch

ROUTERS = (
    usage.router,
    usage_of_periods.router,
    usage_events.router,
    rejects.router,
    customers.router,
    customer_details.router,
    plans.router,
    subscriptions.router,
    subscription_changes.router,
    invoices.router,
    invoice_status.router,
    invoice_documents.router,
    items.router,
    payments.router,
    organizations.router,
    credit_notes.router,
    allowances.router,
    gain_shares.router,
    emergence.router,
    emergence.reports,
    charges.router,
    wallets.router,
    receipts.router,
    notifications.router,
    suspicions.router,
    analytics.router,
    analytics.s0_router,
    recurring.router,
    s0.reports,
    s0.router,
    s0_customers.router,
    s1.router,
    s4.router,
    operations.router,
)
FOREIGN_ROUTERS = (schema_registry.router,)
"""Routes in the form of another protocol, which docs/schema-registry.md describes, not OpenAPI."""
PAGES = (console,)
"""Pages for people, in no OpenAPI document (docs/console.md)."""
WATCH = Watch("api", API_REQUESTS, API_SECONDS, is_quiet=False)


def create_app(
    settings: Settings, *, make_backend: Callable[[Settings], Backend] = new_backend
) -> FastAPI:
    """This function will put the application together; it connects to nothing before its start.

    Args:
        settings: Where the database and the log are.
        make_backend: Makes what the application stands on, at its start; tests give another one.
    """
    return new_app(
        title="Tidegauge",
        description=DESCRIPTION,
        routers=(*ROUTERS, *FOREIGN_ROUTERS, *PAGES),
        watch=WATCH,
        make_backend=lambda: make_backend(settings),
        build_openapi=openapi.build,
        separate_input_output_schemas=False,
    )
