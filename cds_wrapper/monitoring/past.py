"""What earlier reviews have left: findings, evidence in force, divisors, dated reviews."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import msgspec

from cds_wrapper.caveats.evidence import LocalEvidence
from cds_wrapper.ledger.edition_values import PastReview, StoredFinding, Subject
from cds_wrapper.ledger.editions import findings_in, kept_in, published_in, review_result, reviews_in
from cds_wrapper.monitoring.findings import FindingKind, key_of
from cds_wrapper.monitoring.looking import Before
from cds_wrapper.monitoring.values import ServiceFigures
from cds_wrapper.services.definitions import ServiceDefinition

LOOKED_AT_ANEW: Final = frozenset({FindingKind.GROUP_DRIFT.value, FindingKind.MODEL_OFF.value})
"""Kinds that the daily look finds: once closed, only what comes after the day counts."""


@dataclass(frozen=True, slots=True)
class Past:
    """What reviews before this one have left: findings, evidence in force, divisors, dated reviews.

    `reviewed_on` is the day that the last of them was as of.
    """

    findings: tuple[StoredFinding, ...]
    every_finding: int
    local: LocalEvidence | None
    divisors: Mapping[str, float]
    dated: tuple[int, date] | None
    reviewed_on: date | None = None


NO_PAST: Final = Past((), 0, None, {}, None)


def answered(findings: Sequence[StoredFinding], as_of: date, every: timedelta) -> list[StoredFinding]:
    """Findings that people closed less than one interval ago and that are not looked at anew.

    Their figures are of a quarter, so the next review sees the same ones; they are not opened again by them.
    """
    return [
        one
        for one in findings
        if one.closed_at and one.kind not in LOOKED_AT_ANEW and as_of - one.closed_at.date() < every
    ]


def past_of(ledger: Path, service: ServiceDefinition, up_to: date = date.max) -> Past:
    """What reviews have left, as it stood at the end of a day. `LedgerUnavailable` when it cannot be read."""
    subject = Subject(service.id, service.card.id, service.card.version)
    every = findings_in(ledger)
    reviews = [one for one in reviews_in(ledger, service.id) if one.subject == subject]
    made = [one for one in reviews if one.as_of <= up_to]
    numbered = [(one.dated, one.as_of) for one in made if one.dated is not None]
    own = [one for one in every if one.subject == subject]
    return Past(
        findings=stood_on(own, {one.review_id: one.as_of for one in reviews}, up_to),
        every_finding=len(every),
        local=local_in_force(ledger, service, up_to),
        divisors=_divisors(ledger, made),
        dated=max(numbered, default=None),
        reviewed_on=max((one.as_of for one in made), default=None),
    )


def stood_on(
    findings: Sequence[StoredFinding], reviewed: Mapping[str, date], day: date
) -> tuple[StoredFinding, ...]:
    """The findings that a day knew of: opened by a review as of it or before, and open if closed later.

    `reviewed` is the day of each review by its id. Pure.
    """
    known = [one for one in findings if reviewed.get(one.review_id or "", one.since) <= day]
    return tuple(
        replace(one, closed_at=None, closed_by=(), why=None)
        if one.closed_at and one.closed_at.date() > day
        else one
        for one in known
    )


def local_in_force(ledger: Path, service: ServiceDefinition, up_to: date = date.max) -> LocalEvidence | None:
    """This hospital's evidence that was published last and is about what the service is today.

    Reviews as of a later day than `up_to` are left out.
    """
    for published in published_in(ledger).get(service.id, ()):
        if published.as_of > up_to:
            continue
        kept = kept_in(ledger, published.local_digest)
        try:
            local = LocalEvidence.from_json(kept) if kept else None
        except msgspec.DecodeError:
            local = None
        if local and service.book.contents.question.is_answered_by(
            local, service.card.id, service.card.version
        ):
            return local
    return None


def _divisors(ledger: Path, made: Sequence[PastReview]) -> Mapping[str, float]:
    """Those in force: a design effect is only ever raised."""
    kept = review_result(ledger, made[-1].result_digest) if made else None
    found: Mapping[str, float] = msgspec.json.decode(kept)["divisors"] if kept else {}
    return found


def before_of(service: ServiceDefinition, figures: ServiceFigures, past: Past) -> Before:
    """Groups somebody else found something in have more of the error, which is fixed before looking."""
    suspects = {
        (one.exclusive, tuple(sorted(one.where.items()))) for one in service.book.findings if not one.is_local
    }
    closed: dict[tuple[bool, tuple[tuple[str, tuple[str, ...]], ...]], date] = {}
    for one in past.findings:
        if one.closed_at and one.kind in LOOKED_AT_ANEW:
            closed[one.key] = max(closed.get(one.key, date.min), one.closed_at.date())
    return Before(
        went_live=_went_live(service, figures),
        suspected=frozenset(one.group for one in figures.groups if key_of(one.group) in suspects),
        divisors=past.divisors,
        closed={one.group: closed[key] for one in figures.groups if (key := key_of(one.group)) in closed},
    )


def _went_live(service: ServiceDefinition, figures: ServiceFigures) -> date:
    """The first day: that of the plan, else of the first prediction that was measured."""
    first = figures.everybody.figures[0].period[0] if figures.everybody.figures else figures.as_of
    return first if service.plan.live_since in {date.min, date.max} else service.plan.live_since
