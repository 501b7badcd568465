"""Answers in the shapes of system S1: amounts are JSON numbers, written digit by digit."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

from pydantic import Field, WithJsonSchema

from api.representations import Representation
from api.representations_gain_share import breakdown_of, savings_of
from domain.fields import Fields
from domain.money import Money, exact_text
from domain.period import time_text
from projections.queries import s1
from projections.queries.allowances import State
from projections.queries.gain_shares import Baseline, GainShareRun
from projections.queries.invoices import Invoice
from projections.queries.s1 import S1Plan
from projections.queries.subscriptions import Subscription
from runtime.web.exact_json import Exact

Amount = Annotated[Decimal, WithJsonSchema({"type": "number", "description": "Exact"})]


class S1PlanRepresentation(Representation):
    """A plan; null for what it does not have."""

    code: str
    name: str
    base_price_cad: Amount
    included_assets: Amount | None
    included_credits: Amount | None
    asset_uplift_cad: Amount | None
    overage_per_credit_cad: Amount | None
    max_sites: Amount | None
    is_popular: bool
    has_gain_share: bool


class S1SubscriptionRepresentation(Representation):
    """A subscription."""

    subscription_id: str
    tenant_id: str
    status: str
    plan_code: str
    current_period_start: str
    current_period_end: str


class S1TypeRepresentation(Representation):
    """What one event type came to."""

    event_type: str
    units: Amount
    credits: Amount


class S1SummaryRepresentation(Representation):
    """The running period of a tenant's subscription."""

    tenant_id: str
    subscription_id: str
    period_start: str
    period_end: str
    included_credits: Amount | None
    credits_used: Amount | None
    remaining_credits: Amount | None
    overage_credits: Amount | None
    alert: str | None
    assets: Amount | None
    site_limit_exceeded: bool
    by_event_type: list[S1TypeRepresentation]


class S1InvoiceRepresentation(Representation):
    """An invoice."""

    invoice_id: str
    total_cad: Amount
    stripe_hosted_url: str | None = Field(description="null until Stripe collects")


class S1KpiRepresentation(Representation):
    """One KPI of a run; null for what was not there to compare."""

    baseline: Amount | None
    actual: Amount | None
    improvement: Amount | None
    savings: Amount


class S1GainShareRepresentation(Representation):
    """A gain-share run."""

    gainshare_run_id: str
    calculated_savings_cad: Amount
    share_pct: Amount
    fee_cad: Amount
    status: str
    savings_breakdown: dict[str, S1KpiRepresentation]


class S1BaselineRepresentation(Representation):
    """A baseline."""

    id: str
    tenant_id: str
    metric: str
    baseline_value: Amount
    cost_per_unit: Amount
    multiplier: Amount
    effective_from: str


def to_s1_plan(plan: S1Plan) -> dict[str, Exact]:
    """This function will show a plan."""
    return {
        "code": plan.code,
        "name": plan.name,
        "base_price_cad": _number(plan.base_price),
        "included_assets": _number(plan.included_assets),
        "included_credits": _number(plan.included_credits),
        "asset_uplift_cad": _number(plan.asset_uplift),
        "overage_per_credit_cad": _number(plan.overage_per_credit),
        "max_sites": _number(plan.sites_max),
        "is_popular": plan.is_popular,
        "has_gain_share": plan.has_gain_share,
    }


def to_s1_subscription(found: Subscription, *, at: datetime) -> dict[str, Exact]:
    """This function will show a subscription as it is at a moment, with its open period."""
    agreed = found.agreed
    return {
        "subscription_id": agreed.subscription,
        "tenant_id": agreed.customer,
        "status": agreed.status_at(at),
        "plan_code": found.plan,
        "current_period_start": time_text(agreed.period.start),
        "current_period_end": time_text(agreed.period.end),
    }


def to_s1_summary(state: State) -> dict[str, Exact]:
    """This function will show what a tenant used in its running period."""
    credits_ = s1.credits_of(state)
    assets = next((each for each in state.allowances if each.meter == s1.ASSETS), None)
    by_type: list[Exact] = [
        {
            "event_type": each.event_type,
            "units": _number(each.units),
            "credits": _number(each.credits),
        }
        for each in s1.usage_by_type(state, catalogue=state.standing.catalogue)
    ]
    return {
        "tenant_id": state.customer,
        "subscription_id": state.standing.subscription,
        "period_start": time_text(state.standing.period.start),
        "period_end": time_text(state.standing.period.end),
        "included_credits": _number(credits_.included if credits_ else None),
        "credits_used": _number(credits_.used if credits_ else None),
        "remaining_credits": _number(credits_.remaining if credits_ else None),
        "overage_credits": _number(credits_.overage if credits_ else None),
        "alert": credits_.alert if credits_ else None,
        "assets": _number(assets.used if assets else None),
        "site_limit_exceeded": any(
            limit.is_exceeded for limit in state.limits if limit.key == s1.SITES
        ),
        "by_event_type": by_type,
    }


def to_s1_gain_share(run: GainShareRun) -> dict[str, Exact]:
    """This function will show a run."""
    breakdown: dict[str, Exact] = {
        result.text("metric"): {
            **{
                name: _decimal_or_none(result, name)
                for name in ("baseline", "actual", "improvement")
            },
            "savings": _amount(savings_of(result, currency=run.fee.currency)),
        }
        for result in breakdown_of(run)
    }
    return {
        "gainshare_run_id": run.run,
        "calculated_savings_cad": _amount(run.savings),
        "share_pct": run.share_pct,
        "fee_cad": _amount(run.fee),
        "status": run.status,
        "savings_breakdown": breakdown,
    }


def _decimal_or_none(result: Fields, name: str) -> Decimal | None:
    text = result.values.get(name)
    return Decimal(text) if isinstance(text, str) else None


def to_s1_invoice(invoice: Invoice) -> dict[str, Exact]:
    """This function will show an invoice; its address at Stripe comes with payments."""
    return {
        "invoice_id": invoice.invoice,
        "total_cad": _amount(invoice.total),
        "stripe_hosted_url": None,
    }


def to_s1_baseline(baseline: Baseline) -> dict[str, Exact]:
    """This function will show a baseline."""
    return {
        "id": baseline.baseline,
        "tenant_id": baseline.customer,
        "metric": baseline.metric,
        "baseline_value": _number(Fraction(baseline.value)),
        "cost_per_unit": _number(Fraction(baseline.cost_per_unit)),
        "multiplier": _number(Fraction(baseline.multiplier)),
        "effective_from": baseline.effective_from.isoformat(),
    }


def _number(value: Fraction | None) -> Decimal | int | None:
    """Return an exact number for JSON: whole ones without a point."""
    if value is None:
        return None
    return int(value) if value.denominator == 1 else Decimal(exact_text(value))


def _amount(money: Money) -> Decimal:
    return Decimal(money.text())
