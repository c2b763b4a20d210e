"""From figures and findings to the evidence of this hospital that cards are made with. Pure.

Worse results count at once; better ones only in a monthly edition, and when they were better in the one
before too: a level that comes and goes with chance would teach clinicians to read over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from cds_wrapper.caveats.evidence import (
    DEFAULT_LIMITS,
    Direction,
    Estimate,
    EvidenceSource,
    Figures,
    Finding,
    Grade,
    Limits,
    LocalEvidence,
    LocalResult,
    Metric,
    Seen,
    grade,
)
from cds_wrapper.caveats.outside import GroupKey, figures_of
from cds_wrapper.ledger.edition_values import StoredFinding
from cds_wrapper.monitoring.findings import FindingKind, is_exclusive, key_of, where_of
from cds_wrapper.monitoring.values import GroupFigures, Measure, Measured, ServiceFigures
from cds_wrapper.services.definitions import ServiceDefinition

MONTH: Final = timedelta(days=28)
ONE_SIDED: Final = 1.6449 / 1.9600
"""A one-sided 95 % limit lies this part of the way from the value to the two-sided one."""

_METRICS: Final = {
    Measure.OE_RATIO: Metric.OE_RATIO,
    Measure.AUROC: Metric.AUROC,
    Measure.SENSITIVITY: Metric.SENSITIVITY,
    Measure.PPV: Metric.PPV,
}
_GAPS: Final = {Measure.SENSITIVITY: Measure.SENSITIVITY_GAP, Measure.AUROC: Measure.AUROC_GAP}


def estimates_of(figures: ServiceFigures, service: ServiceDefinition) -> Iterator[Estimate]:
    """The figures that an edition holds; an id tells nothing of the group."""
    numbered = enumerate((one, measure) for one in figures.groups for measure in _METRICS)
    for number, (one, measure) in numbered:
        found = one.of(measure)
        if found is None or found.value is None:
            continue
        gap = one.of(_GAPS[measure]) if measure in _GAPS else None
        yield Estimate(
            id=f"local-{number}",
            metric=_METRICS[measure],
            source=EvidenceSource.LOCAL,
            outcome=service.outcome.name,
            horizon=service.outcome.horizon,
            where=where_of(one.group),
            exclusive=is_exclusive(one.group),
            estimate=found.value,
            ci=found.interval,
            n=_mature(one),
            positives=one.counts["event"],
            threshold=figures.threshold if _METRICS[measure].needs_threshold else None,
            gap_low=_lower(gap) if gap else None,
            method=found.method,
        )


def _mature(one: GroupFigures) -> int:
    return one.counts["event"] + one.counts["no_event"]


def _lower(gap: Measured) -> float | None:
    """The one-sided 95 % lower limit of a gap."""
    if gap.value is None or gap.low is None:
        return None
    return gap.value - ONE_SIDED * (gap.value - gap.low)


def results_of(
    figures: ServiceFigures, estimates: Sequence[Estimate], limits: Limits
) -> tuple[LocalResult, ...]:
    """How much evidence there is of each group, and whether the score holds up in it."""
    ids: dict[GroupKey, list[str]] = {}
    for row in estimates:
        ids.setdefault(row.group, []).append(row.id)
    everybody = sum(figures.everybody.counts.values())
    found = (_result(one, everybody, limits) for one in figures.groups)
    return tuple(replace(one, estimate_ids=tuple(ids.get(one.group, ()))) for one in found)


def _result(one: GroupFigures, everybody: int, limits: Limits) -> LocalResult:
    ratio, by = one.of(Measure.OE_RATIO), one.oe_design_effect
    amount = grade_of(one, limits)
    daily = one.daily
    is_adequate = amount is Grade.ADEQUATE
    seen = None
    if ratio is not None and ratio.value is not None:
        seen = Seen(
            observed=sum(daily.group_events) / by,
            expected=sum(daily.group_expected) / by,
            rest_observed=sum(daily.rest_events),
            rest_expected=sum(daily.rest_expected),
            adequate=is_adequate,
        )
    return LocalResult(
        where=where_of(one.group),
        exclusive=is_exclusive(one.group),
        grade=amount,
        holds_up=is_adequate and _holds_up(one, limits),
        n=_mature(one),
        estimate_ids=(),
        seen=seen,
        share=sum(one.counts.values()) / everybody if everybody else None,
    )


def grade_of(one: GroupFigures, limits: Limits = DEFAULT_LIMITS) -> Grade:
    """How much evidence a group has; its counts are divided by the design effect of O/E."""
    ratio, area = one.of(Measure.OE_RATIO), one.of(Measure.AUROC)
    by = one.oe_design_effect
    unknown = one.counts["censored"] + one.counts["unverified"]
    due = _mature(one) + unknown
    return grade(
        _mature(one) / by,
        one.counts["event"] / by,
        oe_interval=ratio.interval if ratio else None,
        auroc_interval=area.interval if area else None,
        unknown_share=unknown / due if due else 0.0,
        limits=limits,
    )


def _holds_up(one: GroupFigures, limits: Limits) -> bool:
    """O/E within the limits, and neither gap to the rest surely ruled in: what is not known does not hold."""
    ratio = one.of(Measure.OE_RATIO)
    if ratio is None or ratio.low is None or ratio.high is None:
        return False
    if not (limits.supported_oe_low <= ratio.low and ratio.high <= limits.supported_oe_high):
        return False
    return not one.group.where or all(_is_ruled_out(one, measure, limits) for measure in _GAPS)


def _is_ruled_out(one: GroupFigures, measure: Measure, limits: Limits) -> bool:
    """Whether a gap to the rest beyond the limit is; there is none to rule out without the measure itself."""
    own, gap = one.of(measure), one.of(_GAPS[measure])
    if own is None or own.value is None:
        return True
    low = _lower(gap) if gap else None
    return low is not None and low >= limits.supported_gap


# Steadiness -------------------------------------------------------------------------------------------------


def steadied(fresh: LocalEvidence, last: LocalEvidence | None) -> LocalEvidence:
    """The same evidence, with what became better held back until a second monthly edition in a row."""
    is_monthly = last is None or last.monthly_on is None or fresh.as_of - last.monthly_on >= MONTH
    before = {one.group: one for one in last.results} if last else {}
    seen_better = set(last.improving) if last else set()
    results, improving = [], []
    for one in fresh.results:
        old = before.get(one.group)
        if not _is_better(one, old) or (is_monthly and one.group in seen_better):
            results.append(one)
        else:
            results.append(_held(one, old))
            if is_monthly or one.group in seen_better:
                improving.append(one.group)
    return replace(
        fresh,
        results=tuple(results),
        improving=tuple(improving),
        monthly_on=fresh.as_of if is_monthly or last is None else last.monthly_on,
    )


def _standing_of(one: LocalResult | None) -> tuple[Grade, bool]:
    return (Grade.NONE, False) if one is None else (one.grade, one.holds_up)


def _is_better(one: LocalResult, old: LocalResult | None) -> bool:
    amount, holds = _standing_of(old)
    return one.grade > amount or (one.holds_up and not holds)


def _held(one: LocalResult, old: LocalResult | None) -> LocalResult:
    amount, holds = _standing_of(old)
    held = min(one.grade, amount)
    seen = replace(one.seen, adequate=held is Grade.ADEQUATE) if one.seen else None
    return replace(one, grade=held, holds_up=holds and one.holds_up, seen=seen)


def changes_cards(fresh: LocalEvidence, last: LocalEvidence | None) -> bool:
    """Whether a new edition is due: cards could say something else, or a month has passed."""
    if last is None or fresh.monthly_on != last.monthly_on:
        return True
    return _carded(fresh) != _carded(last)


def _carded(local: LocalEvidence) -> tuple[object, ...]:
    results = tuple((one.group, one.grade, one.holds_up) for one in local.results)
    findings = tuple((one.id, one.signed, one.figures) for one in local.findings)
    return results, findings, local.standing


# Findings on cards ------------------------------------------------------------------------------------------


def findings_of(
    standing: Iterable[StoredFinding], figures: ServiceFigures, estimates: Sequence[Estimate], limits: Limits
) -> Iterator[Finding]:
    """The findings that cards speak of, with the figures of today where they may be shown."""
    for one in standing:
        kind = FindingKind(one.kind)
        if not kind.carded or not one.is_open:
            continue
        direction = Direction(one.direction) if one.direction else None
        rows = [row for row in estimates if row.group == one.key]
        yield Finding(
            id=one.finding_id,
            where=one.groups,
            exclusive=one.exclusive,
            direction=direction,
            source=EvidenceSource.LOCAL,
            p_low=None,
            p_high=None,
            theta=None,
            s=None,
            tau=None,
            since=one.since,
            signed=kind.at_once,
            estimate_ids=tuple(row.id for row in rows),
            figures=_figures(direction, one, rows, figures, limits),
            label_mismatch=bool(one.detail.get("label_mismatch")),
        )


def _figures(
    direction: Direction | None,
    finding: StoredFinding,
    rows: Sequence[Estimate],
    figures: ServiceFigures,
    limits: Limits,
) -> Figures | None:
    """Whole numbers in 100, if they are about what was found and nobody can be counted out of them."""
    if finding.outcome != figures.outcome:
        return None
    match direction:
        case Direction.SCORES_TOO_LOW | Direction.SCORES_TOO_HIGH:
            row = next((row for row in rows if row.metric is Metric.OE_RATIO), None)
            shown = figures_of(row, limits) if row else None
            is_so = shown and (shown.first < shown.second) is (direction is Direction.SCORES_TOO_LOW)
            return shown if is_so else None
        case Direction.MISSES_MORE:
            return _found_in_100(finding, figures, limits)
        case _:
            return None


def _found_in_100(finding: StoredFinding, figures: ServiceFigures, limits: Limits) -> Figures | None:
    """Of 100 cases, how many were found in the group and in the others."""
    one = next(
        (one for one in figures.groups if key_of(one.group) == finding.key),
        None,
    )
    if one is None:
        return None
    own, gap = one.of(Measure.SENSITIVITY), one.of(Measure.SENSITIVITY_GAP)
    if own is None or gap is None or own.value is None or gap.value is None:
        return None
    events, others = one.counts["event"], sum(one.daily.rest_events)
    found, rest = own.value * events, (own.value - gap.value) * others
    first, second = round(100 * own.value), round(100 * (own.value - gap.value))
    smallest = min(found, events - found, rest, others - rest, first, second)
    return Figures(first, second) if round(smallest) >= limits.small_cell and first < second else None


def evidence_of(
    figures: ServiceFigures,
    service: ServiceDefinition,
    standing: Iterable[StoredFinding],
    last: LocalEvidence | None,
    outside: Mapping[str, Sequence[str]],
) -> LocalEvidence:
    """This hospital's evidence as of a review, `last` that of the edition in force.

    `outside` are the figures behind each finding from elsewhere that stands in that edition.
    """
    limits = service.plan.limits
    estimates = tuple(estimates_of(figures, service))
    first = (
        figures.everybody.figures[0].period if figures.everybody.figures else (figures.as_of, figures.as_of)
    )
    fresh = LocalEvidence(
        service_id=service.id,
        model_id=figures.model_id,
        model_version=figures.model_version,
        outcome=service.outcome.name,
        horizon=service.outcome.horizon,
        threshold=figures.threshold,
        as_of=figures.as_of,
        period=first,
        estimates=estimates,
        results=results_of(figures, estimates, limits),
        findings=tuple(findings_of(standing, figures, estimates, limits)),
        standing=tuple(dict.fromkeys(row for rows in outside.values() for row in rows)),
    )
    return steadied(fresh, last)
