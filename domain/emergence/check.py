"""What a report would come to, worked out without taking it: for `POST /emergence/check`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.emergence.facts import Detected, TierStatus
from domain.emergence.judging import Judging, Moment
from domain.emergence.reading import read_node_report, require_names
from domain.emergence.rulebook import Rulebook
from domain.emergence_rules.judge import Judgement, judge, offers

if TYPE_CHECKING:
    from domain.catalogue import Catalogue
    from domain.emergence.project import Project
    from domain.emergence.records import NodeReported
    from domain.emergence_rules.rules import Terms

NEXT_OFFSET = 2**62
"""Offset of the report that is not on the log yet: larger than any that is."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A tier or bundle that is offered.

    Args:
        terms: What it costs and gives.
        detection: Its detection; empty while the project has no customer, for then none is made.
        is_new: Whether this report makes it.
    """

    terms: Terms
    detection: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class Check:
    """What a report would come to.

    Args:
        customer: Who would be charged; empty while nobody is named: then nothing is detected.
        judgement: The node alone: gates that fail, and tiers that it reaches.
        offers: What stands open for the project after it and rests on a tier that this node
            reaches; bundles first, in the rules' order.
        others: What else stands open for the project.
        charged: Codes among the node's tiers that the project was charged for already.
        declined: Codes among the node's tiers, and bundles of them, that were declined or
            refunded and wait until they have been away once.
        detections: What this report makes, as the fold will if nothing comes between.
    """

    customer: str
    judgement: Judgement
    offers: tuple[Offer, ...]
    others: tuple[Offer, ...]
    charged: tuple[str, ...]
    declined: tuple[str, ...]
    detections: tuple[Detected, ...]


def check(
    *, project: Project, report: NodeReported, catalogue: Catalogue | None, now_ms: int
) -> Check:
    """This function will judge a project as it would be after a report.

    Args:
        project: Its state now, a new Project where there is none; it is left as it is.
        report: The report.
        catalogue: The rules in force; None for a tenant that has none.
        now_ms: Now, milliseconds since 1970 UTC, by the caller's clock.

    Raises:
        Rejected: bad_value with the field that is wrong, or project_limit.
    """
    book = Rulebook.of(catalogue)
    require_names(report)
    reading = read_node_report(report, book)
    after = project.copy()
    after.use(book)
    after.take_report(report, reading, offset=NEXT_OFFSET, received_at_ms=now_ms)
    judging = Judging(after, book, Moment(partition=0, offset=NEXT_OFFSET, now_ms=now_ms))
    judging.after_report()
    judgement = judge(after.values(report.node), book.rules)
    made = tuple(event for event in judging.events if isinstance(event, Detected))
    open_ = _open_offers(after, book, new={event.detection for event in made})
    if not after.customer:
        reached = [code for code in book.shown if after.is_reached(code, book)]
        free = offers(reached, book.rules, charged=_charged_codes(after))
        open_ += [Offer(terms, "", is_new=False) for terms in free]
    mine = [offer for offer in open_ if _rests_on(offer, judgement, book)]
    concerned = [
        code for code in book.terms if not _tiers_of(code, book).isdisjoint(judgement.tiers)
    ]
    return Check(
        customer=after.customer,
        judgement=judgement,
        offers=tuple(mine),
        others=tuple(offer for offer in open_ if offer not in mine),
        charged=tuple(code for code in concerned if code in _charged_codes(after)),
        declined=tuple(
            code
            for code in concerned
            if after.tier(code).status in (TierStatus.DECLINED, TierStatus.REFUNDED)
        ),
        detections=made,
    )


def _open_offers(project: Project, book: Rulebook, *, new: set[str]) -> list[Offer]:
    """Return what is open, bundles first; what the rules no longer name has no terms to show."""
    codes = (*book.members, *book.shown)
    rows = [project.tier(code) for code in codes]
    return [
        Offer(book.terms[row.code], row.detection, is_new=row.detection in new)
        for row in rows
        if row.status is TierStatus.DETECTED
    ]


def _tiers_of(code: str, book: Rulebook) -> set[str]:
    return set(book.members.get(code, (code,)))


def _rests_on(offer: Offer, judgement: Judgement, book: Rulebook) -> bool:
    return not _tiers_of(offer.terms.code, book).isdisjoint(judgement.tiers)


def _charged_codes(project: Project) -> set[str]:
    """Return the codes whose present claim a charge covers, of itself or of its bundle."""
    return {
        cover.code
        for row in project.tiers.values()
        if row.status is TierStatus.CHARGED
        for cover in row.covers
        if project.tier(cover.code).claim == cover.claim
    }
