"""What changes for a project's tiers after a record: reversals, detections, settlements.

Order of one judging, after the record itself was taken:
1. see what is reached, and reverse what has fallen in time;
2. end what another charge stands for;
3. offer what may be offered: bundles in their order, then each tier that no bundle holds.

What may be charged once is a claim (facts.Cover). Detections that exclude each other share it, so
the books stop a second charge even where their news and ours crossed on the way. It moves on with
a fall alone: what was given back is free again in the books. If a reversal moved it on, a tier
that stayed reached could be paid twice, by a charge of the old claim that is still on its way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from domain.derived_ids import derived_id
from domain.emergence.evidence import evidence_for
from domain.emergence.facts import (
    Cover,
    Detected,
    Earlier,
    Ended,
    How,
    TierRow,
    TierStatus,
)
from domain.emergence.records import Settlement
from domain.period import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from domain.emergence.facts import EmergenceEvent
    from domain.emergence.project import Project
    from domain.emergence.rulebook import Rulebook

UNBILLED_WAIT_MS = 5_000
"""How long after the books refused a request the next one waits, ms: without it each report of a
busy node would ask again for a customer whom the books do not know."""
EARLIER_MAX = 16
"""Ended detections of one claim whose settlement is still looked for; one comes within seconds.
A node that goes to and fro while the policies are away makes more of them; 16 of a bundle of 50
tiers are about 200 KiB in a facts record."""
_OPEN_OR_CHARGED = (TierStatus.DETECTED, TierStatus.CHARGED)


@dataclass(frozen=True, slots=True)
class Moment:
    """The record that is judged after.

    Args:
        partition: Partition of node.events.
        offset: Its offset.
        now_ms: Largest append time so far, milliseconds since 1970 UTC.
    """

    partition: int
    offset: int
    now_ms: int


class Judging:
    """Judges one project at one moment; what happens is in `events`, in order.

    Args:
        project: The project; its tiers change. It uses the rulebook.
        book: The rules in force.
        moment: When.
    """

    def __init__(self, project: Project, book: Rulebook, moment: Moment) -> None:
        self._project = project
        self._book = book
        self._moment = moment
        self.events: list[EmergenceEvent] = []

    def after_report(self, *, tiers: Collection[str] | None = None) -> None:
        """Judge after a report, or after a pulse, which offers these tiers alone.

        It offers bundles that hold one of them too: asked for singly first, they would be lost.
        """
        self._see()
        self._end_overtaken()
        self._offer(tiers, may_repeat=True)

    def after_settlement(self, detection: str, status: Settlement) -> bool:
        """Take what the books said of a detection, and judge.

        Returns:
            False for one that is unknown, outdated or was said before: nothing changed.
        """
        if not self._settle(detection, status):
            return False
        self._see()
        self._take_back(detection)
        self._end_overtaken()
        # What expired or was refused for reasons outside the project comes again with the next
        # report, and so do the tiers it held: offered now, they would only be superseded then.
        if status not in (Settlement.EXPIRED, Settlement.UNBILLED):
            self._offer(None, may_repeat=False)
        return True

    # ── 1. falls and reversals ──────────────────────────────────────────────────────────────────

    def _see(self) -> None:
        """Note what is reached now; bundles first, so that one that falls holds no tier."""
        for code in (*self._book.members, *self._book.shown):
            row = self._project.tier(code)
            is_reached = self._project.is_reached(code, self._book)
            if is_reached and not row.is_reached:
                self._put(replace(row, is_reached=True))
            elif row.is_reached and not is_reached:
                self._fall(row)

    def _fall(self, row: TierRow) -> None:
        terms = self._book.terms[row.code]
        fallen = replace(row, is_reached=False, has_fallen=row.generation > 0)
        if row.status not in _OPEN_OR_CHARGED:
            fallen = replace(fallen, status=TierStatus.IDLE)
        self._put(fallen)
        is_returnable = row.status is TierStatus.DETECTED or row.is_refundable
        if row.status in _OPEN_OR_CHARGED and self._is_in_time(row) and is_returnable:
            self._reverse(row.code)
        if not terms.once_per_project and not self._is_standing(row.code):
            fallen = self._project.tier(row.code)
            self._put(replace(fallen, claim=fallen.claim + 1))

    def _is_in_time(self, row: TierRow) -> bool:
        """Say whether evidence that is gone takes the detection back."""
        terms = self._book.terms.get(row.code)
        window_ms = 0 if terms is None else terms.reversal_hours * HOUR_MS
        return window_ms > 0 and self._moment.now_ms - row.detected_at_ms <= window_ms

    def _take_back(self, detection: str) -> None:
        """Reverse a charge whose evidence went away before its news came.

        The detection was superseded by then, so its fall reversed nothing.
        """
        for row in self._rows(TierStatus.CHARGED):
            is_gone = not row.is_reached and not row.is_reversed and row.is_refundable
            if row.detection == detection and is_gone and self._is_in_time(row):
                self._reverse(row.code)

    def _is_standing(self, code: str) -> bool:
        """Say whether an open detection is about this tier: it stands for the next rise too."""
        return any(code in _codes(row) for row in self._rows(TierStatus.DETECTED))

    def _reverse(self, code: str) -> None:
        row = self._project.tier(code)
        self._end(row, How.REVERSED, reason=f"{code} is no longer reached")
        self._put(replace(row, status=TierStatus.IDLE, is_reversed=True))

    # ── 2. what another charge stands for ───────────────────────────────────────────────────────

    def _end_overtaken(self) -> None:
        for row in list(self._rows(TierStatus.DETECTED)):
            charged = self._charged(without=row.code)
            by = next((charged[cover] for cover in row.covers if cover in charged), None)
            if by is not None:
                self._supersede(row, by=by.detection, name=by.code)

    def _charged(self, *, without: str = "") -> dict[Cover, TierRow]:
        return {
            cover: row
            for row in self._rows(TierStatus.CHARGED)
            if row.code != without
            for cover in row.covers
        }

    def _supersede(self, row: TierRow, *, by: str, name: str) -> None:
        self._end(row, How.SUPERSEDED, by=by, reason=f"{name} stands for it")
        self._put(replace(self._project.tier(row.code), status=TierStatus.SUPERSEDED))

    # ── 3. offers ───────────────────────────────────────────────────────────────────────────────

    def _offer(self, tiers: Collection[str] | None, *, may_repeat: bool) -> None:
        if not self._project.customer:
            return  # it waits: as soon as one is named, all this is judged again
        held: set[str] = set()
        for bundle in self._book.rules.bundles:
            code = bundle.terms.code
            if (
                (tiers is None or not set(bundle.tiers).isdisjoint(tiers))
                and held.isdisjoint(bundle.tiers)
                and self._is_offerable(code, may_repeat=may_repeat)
                and all(self._is_free(member) for member in bundle.tiers)
            ):
                self._detect(code)
            row = self._project.tier(code)
            if row.status is TierStatus.DETECTED:
                held |= _codes(row)
        for row in self._rows(TierStatus.DETECTED):
            held |= _codes(row)  # of bundles that the rules in force no longer have, too
        for tier in self._book.rules.tiers:
            code = tier.terms.code
            if (
                (tiers is None or code in tiers)
                and code not in held
                and self._is_offerable(code, may_repeat=may_repeat)
            ):
                self._detect(code)

    def _is_free(self, member: str) -> bool:
        """Say whether a bundle may stand for this tier: not charged, refunded or cooling down."""
        row = self._project.tier(member)
        return (
            Cover(member, row.claim) not in self._charged()
            and row.status is not TierStatus.REFUNDED
            and not self._is_cooling(row)
        )

    def _is_offerable(self, code: str, *, may_repeat: bool) -> bool:
        row = self._project.tier(code)
        if (
            not row.is_reached
            or Cover(code, row.claim) in self._charged()
            or self._is_cooling(row)
        ):
            return False
        match row.status:
            case TierStatus.IDLE | TierStatus.SUPERSEDED:
                return True
            case TierStatus.CHARGED:
                # A bundle that was given other members still stands for those that it was paid
                # for; a new detection in its row would let them be asked for again.
                return not self._is_current(row.covers)
            case TierStatus.EXPIRED:
                return may_repeat
            case TierStatus.UNBILLED:
                return may_repeat and self._moment.now_ms - row.settled_at_ms >= UNBILLED_WAIT_MS
            case TierStatus.DETECTED | TierStatus.DECLINED | TierStatus.REFUNDED:
                return False  # the last two wait until it has fallen, which makes them idle

    def _is_cooling(self, row: TierRow) -> bool:
        terms = self._book.terms.get(row.code)
        wait_ms = 0 if terms is None else terms.cool_down_hours * HOUR_MS
        return row.has_fallen and self._moment.now_ms - row.detected_at_ms < wait_ms

    def _detect(self, code: str) -> None:
        project, book, moment = self._project, self._book, self._moment
        terms = book.terms[code]
        row = project.tier(code)
        generation = row.generation + 1
        detection = derived_id("emg", *project.key, code, str(generation))
        members = book.members.get(code, ())
        covers = tuple(Cover(each, project.tier(each).claim) for each in (code, *members))
        for other in list(self._rows(TierStatus.DETECTED)):
            if not _codes(other).isdisjoint(cover.code for cover in covers):
                self._supersede(other, by=detection, name=code)
        self._put(
            TierRow(
                key=project.key,
                code=code,
                is_reached=True,
                claim=row.claim,
                generation=generation,
                status=TierStatus.DETECTED,
                detection=detection,
                detected_at_ms=moment.now_ms,
                covers=covers,
                is_refundable=book.refunds,
                earlier=self._earlier(row),
            )
        )
        self.events.append(
            Detected(
                offset=moment.offset,
                detection=detection,
                key=project.key,
                customer=project.customer,
                code=code,
                name=terms.name,
                generation=generation,
                covers=covers,
                credits=terms.credits,
                price_minor=terms.price.amount_minor,
                currency=terms.price.currency,
                delivers=terms.delivers,
                evidence=evidence_for(
                    project, members or (code,), book, partition=moment.partition
                ),
                rule_version=book.version,
                rule_sha256=book.sha256,
                partition=moment.partition,
                detected_at_ms=moment.now_ms,
            )
        )

    def _earlier(self, row: TierRow) -> tuple[Earlier, ...]:
        """Return ended detections that the books may yet say were charged for a claim of now."""
        found = row.earlier
        if row.generation and not row.settled:
            found = (*found, Earlier(row.detection, row.detected_at_ms, row.covers))
        return tuple(each for each in found if self._is_current(each.covers))[-EARLIER_MAX:]

    def _is_current(self, covers: Iterable[Cover]) -> bool:
        return any(self._project.tier(code).claim == claim for code, claim in covers)

    # ── settlements ─────────────────────────────────────────────────────────────────────────────

    def _settle(self, detection: str, status: Settlement) -> bool:
        for row in list(self._project.tiers.values()):
            if row.detection == detection:
                return self._settle_newest(row, status)
            for earlier in row.earlier:
                if earlier.detection == detection:
                    self._settle_earlier(row, earlier, status)
                    return True
        return False

    def _settle_newest(self, row: TierRow, status: Settlement) -> bool:
        is_next = not row.settled or (
            row.settled == Settlement.CHARGED and status is Settlement.REFUNDED
        )
        if not is_next:
            return False
        now_ms = self._moment.now_ms
        settled = replace(row, settled=status.value, settled_at_ms=now_ms)
        self._put(replace(settled, status=_status_after(row, status)))
        if status is Settlement.REFUNDED and not row.is_reversed:
            self._let_wait(row)
        return True

    def _let_wait(self, refunded: TierRow) -> None:
        """Let the tiers of a refunded bundle wait like itself, not be asked for one by one."""
        for code in _codes(refunded) - {refunded.code}:
            member = self._project.tier(code)
            if member.is_reached and member.status in (TierStatus.IDLE, TierStatus.SUPERSEDED):
                self._put(replace(member, status=TierStatus.REFUNDED))

    def _settle_earlier(self, row: TierRow, earlier: Earlier, status: Settlement) -> None:
        """Take news of a detection that had been followed by another one of the same claim."""
        others = tuple(each for each in row.earlier if each != earlier)
        self._put(replace(row, earlier=others))
        if (
            status is not Settlement.CHARGED
            or row.status is TierStatus.CHARGED
            or not self._is_current(earlier.covers)
        ):
            return
        if row.status is TierStatus.DETECTED:
            self._supersede(row, by=earlier.detection, name=row.code)
        if not row.settled:
            # It may have been paid too, after a refund of the earlier one that is still to come.
            others = (*others, Earlier(row.detection, row.detected_at_ms, row.covers))
        self._put(
            replace(
                self._project.tier(row.code),
                status=TierStatus.CHARGED,
                detection=earlier.detection,
                detected_at_ms=earlier.detected_at_ms,
                covers=earlier.covers,
                is_reversed=False,
                settled=status.value,
                settled_at_ms=self._moment.now_ms,
                earlier=others[-EARLIER_MAX:],
            )
        )

    # ── rows ────────────────────────────────────────────────────────────────────────────────────

    def _rows(self, status: TierStatus) -> Iterator[TierRow]:
        """Return the rows of a status by code, so that their order is the same for everybody."""
        rows = sorted(self._project.tiers.items())
        return iter([row for _, row in rows if row.status is status])

    def _put(self, row: TierRow) -> None:
        if self._project.tiers.get(row.code) != row:
            self._project.change_tier(row)

    def _end(self, row: TierRow, how: How, *, by: str = "", reason: str) -> None:
        self.events.append(
            Ended(
                offset=self._moment.offset,
                detection=row.detection,
                key=self._project.key,
                how=how,
                by=by,
                reason=reason,
                at_ms=self._moment.now_ms,
            )
        )


def _codes(row: TierRow) -> set[str]:
    return {cover.code for cover in row.covers}


def _status_after(row: TierRow, status: Settlement) -> TierStatus:
    """Return where a detection stands after the books' word; money that moved counts always."""
    is_open = row.status is TierStatus.DETECTED
    match status:
        case Settlement.CHARGED:
            return TierStatus.CHARGED
        case Settlement.DECLINED:
            if not is_open and row.status is not TierStatus.SUPERSEDED:
                return row.status
            # What is not reached has fallen already, which is what a declined one waits for.
            return TierStatus.DECLINED if row.is_reached else TierStatus.IDLE
        case Settlement.EXPIRED:
            return TierStatus.EXPIRED if is_open else row.status
        case Settlement.UNBILLED:
            return TierStatus.UNBILLED if is_open else row.status
        case Settlement.REFUNDED:
            is_waiting = row.is_reached and not row.is_reversed
            return TierStatus.REFUNDED if is_waiting else TierStatus.IDLE
