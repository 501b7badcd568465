"""From a subscription to the terms of its next invoice: one way for books and builder."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

from domain.billing_terms import DEFAULT_TERMS, STANDARD_CATEGORY, Fees
from domain.books import agreement
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice_taxes import resolved_taxes
from domain.invoice_terms import InvoiceKind, InvoiceTerms, overrides_for
from domain.period import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from domain.billing_terms import BillingTerms, TaxRate
    from domain.books.customer import Customer
    from domain.books.subscription import BillingPeriod, Subscription
    from domain.catalogue import Catalogue
    from domain.credit_balance import CreditBalance
    from domain.invoice_terms import Item, Segment
    from domain.overrides import Override
    from domain.period import Period


def next_invoice_at(
    *, subscription: Subscription, customer: Customer, billing: BillingTerms
) -> datetime | None:
    """This function will say from when the next invoice of a subscription may be made.

    Args:
        subscription: The subscription.
        customer: Who pays, with a grace of their own perhaps.
        billing: Billing terms of the catalogue version that the open period starts with.

    Returns:
        Of fees in advance that are still to be billed the start of the period, else the period's
        end and the grace after it; None when nothing is to come, or its invoice is parked.
    """
    if subscription.is_over or subscription.parked_reason:
        return None
    if subscription.opening_due:
        return subscription.period.start
    grace = billing.grace_hours if customer.grace_hours is None else customer.grace_hours
    return subscription.period.end + timedelta(hours=grace)


def invoice_terms(
    *,
    subscription: Subscription | None,
    customer: Customer,
    items: Sequence[Item],
    credit: CreditBalance,
    catalogues: Mapping[int, Catalogue],
    published_at: Mapping[int, datetime],
    tenant: str,
) -> InvoiceTerms:
    """This function will make the terms of a subscription's next invoice.

    Args:
        subscription: What is billed; None for an invoice of items alone.
        customer: Who pays.
        items: What waits for this invoice, in the order in which it was added.
        credit: Account credit of the customer.
        catalogues: Every version that was published, by version. Items alone are billed without
            any: by the default terms, untaxed.
        published_at: When each was published.
        tenant: Who bills.

    Returns:
        The terms: opening, while fees in advance of the first period are due; else period. The
        invoice may leave the last of the items out (domain.invoice_room).

    Raises:
        Rejected: period_not_current, when nothing of the subscription is left to be invoiced.
    """
    if subscription is None:
        catalogue = catalogues[max(catalogues)] if catalogues else None
        what = _Billed(InvoiceKind.ITEMS, None, (), ())
    else:
        if subscription.is_over:
            raise Rejected(
                Code.PERIOD_NOT_CURRENT,
                f"nothing of {subscription.subscription} is left to be invoiced",
            )
        first = subscription.phase_at(subscription.period.start)
        catalogue = catalogues[first.catalogue_version]
        what = _billed(subscription, customer, catalogues=catalogues, published_at=published_at)
    billing = DEFAULT_TERMS if catalogue is None else catalogue.billing
    parts = (*what.segments, *what.fees)
    own = overrides_for(customer.overrides, parts=parts)
    return InvoiceTerms(
        kind=what.kind,
        tenant=tenant,
        subscription="" if subscription is None else subscription.subscription,
        customer=customer.customer,
        seller=customer.seller or billing.default_seller.key,
        currency=customer.currency if subscription is None else subscription.currency,
        period=what.period,
        period_index=0 if subscription is None else subscription.period_index,
        segments=what.segments,
        fees=what.fees,
        overrides=own,
        discounts=() if subscription is None else subscription.discounts,
        items=tuple(items),
        taxes=resolved_taxes(
            rates=_rates(catalogue, catalogues, parts=parts, overrides=own, items=items),
            treatment=customer.tax.treatment,
            region=customer.tax.region,
        ),
        credit=credit,
        dimensions=() if subscription is None else subscription.dimensions,
        rounding=billing.rounding,
        credits=billing.credits,
        tax_rounding=billing.tax_rounding,
        due_days=billing.due_days if customer.due_days is None else customer.due_days,
    )


def _rates(
    catalogue: Catalogue | None,
    catalogues: Mapping[int, Catalogue],
    *,
    parts: Sequence[Segment],
    overrides: Sequence[Override],
    items: Sequence[Item],
) -> tuple[TaxRate, ...]:
    """Return the rates by which lines are taxed: those of the version that the invoice goes by.

    A part, an own price or an item may be of a category that it lacks: of another version, or
    dropped since. It has the rate of the newest version of the parts, else of the newest that
    knows it: it was entered as taxed. The standard category may go without a rate, so nothing
    stands in for that.
    """
    if catalogue is None:
        return ()
    known = {rate.category for rate in catalogue.taxes} | {STANDARD_CATEGORY}
    newest_first = [catalogues[version] for version in sorted(catalogues, reverse=True)]
    if all(rate.category in known for each in newest_first for rate in each.taxes):
        return catalogue.taxes
    lacking = {item.tax for item in items if item.taxed is None}
    lacking |= {str(own.fields.values.get("tax", STANDARD_CATEGORY)) for own in overrides}
    for part in parts:
        version = catalogues[part.catalogue_version]
        lacking |= {price.tax for price in version.plan(part.plan).prices}
        for code, _ in part.add_ons:
            lacking |= {price.tax for price in version.add_on(code).prices}
    lacking -= known
    found = list(catalogue.taxes)
    numbers = sorted({part.catalogue_version for part in parts}, reverse=True)
    for each in (*(catalogues[number] for number in numbers), *newest_first):
        rates = [rate for rate in each.taxes if rate.category in lacking]
        lacking -= {rate.category for rate in rates}
        found += rates
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Billed:
    """What of a subscription an invoice is for."""

    kind: InvoiceKind
    period: Period | None
    segments: tuple[Segment, ...]
    fees: tuple[Segment, ...]


def _billed(
    subscription: Subscription,
    customer: Customer,
    *,
    catalogues: Mapping[int, Catalogue],
    published_at: Mapping[int, datetime],
) -> _Billed:
    current = subscription.open_period

    def fees_of(period: BillingPeriod) -> tuple[Segment, ...]:
        parts = agreement.fee_parts(
            period,
            subscription=subscription,
            catalogues=catalogues,
            published_at=published_at,
        )
        if period.interval is not Interval.LIFETIME:
            return parts
        # It pays the most there is, once: what is planned costs more later only above that.
        return (max(parts, key=cost),)

    def cost(part: Segment) -> Fraction:
        fees = agreement.fees_of(
            part,
            catalogues=catalogues,
            overrides=customer.overrides,
            discounts=subscription.discounts,
            currency=subscription.currency,
        )
        return sum(fees.values(), Fraction(0))

    if subscription.opening_due:
        return _Billed(InvoiceKind.OPENING, current.period, (), fees_of(current))
    segments = tuple(
        agreement.segment_of(phase, period=part, whole=current.whole, catalogues=catalogues)
        for phase, part in agreement.spans_of(subscription, current.period)
    )
    if subscription.fees is Fees.IN_ARREARS:
        return _Billed(InvoiceKind.PERIOD, current.period, segments, segments)
    following = subscription.following()
    fees = () if following is None else fees_of(following)
    return _Billed(InvoiceKind.PERIOD, current.period, segments, fees)
