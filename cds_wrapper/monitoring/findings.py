"""From figures to findings: what, how sure, since when, which way, and what the plan says. Pure.

Two kinds annotate cards at once, because the error of their rule is bounded for the life of the version: a
group that drifted from the rest, and a model that is off as a whole. Others wait for a signature as `under
review`. What is no fault yet is listed and reaches no card: a lower sensitivity without a further sign, an
implausibly good result, outcomes that stop coming, values that go missing.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from cds_wrapper.caveats.caveat import CaveatLevel, Disposition
from cds_wrapper.caveats.found import Direction
from cds_wrapper.caveats.model_card import Where
from cds_wrapper.caveats.outside import GroupKey
from cds_wrapper.caveats.plan import MonitoringPlan, ResponsePlan
from cds_wrapper.monitoring.formulas.figure import Figure
from cds_wrapper.monitoring.formulas.proportions import newcombe_difference
from cds_wrapper.monitoring.formulas.supporting_sign import Sign, supporting_sign
from cds_wrapper.monitoring.values import (
    EVERYBODY,
    Group,
    GroupFigures,
    Measure,
    Measured,
    ServiceFigures,
)
from cds_wrapper.patient.rules import RACE


class FindingKind(enum.Enum):
    """Which rule found it; a closed list."""

    GROUP_DRIFT = "group_drift"
    MODEL_OFF = "model_off"
    MISSES_MORE = "misses_more"
    EQUAL_SCORE = "equal_score"
    LABEL_MISMATCH = "label_mismatch"
    THRESHOLD_EFFECT = "threshold_effect"
    TOO_GOOD = "too_good"
    FOLLOW_UP_FALLING = "follow_up_falling"
    MISSING_RISING = "missing_rising"

    @property
    def at_once(self) -> bool:
        """Whether cards say it as known without a signature: its error is bounded."""
        return self in {FindingKind.GROUP_DRIFT, FindingKind.MODEL_OFF}

    @property
    def carded(self) -> bool:
        """Whether cards speak of it at all."""
        return self.at_once or self in {FindingKind.MISSES_MORE, FindingKind.EQUAL_SCORE}


def where_of(group: Group) -> Where:
    """A group as evidence calls it."""
    return {attribute: (level,) for attribute, level in group.where}


def is_exclusive(group: Group) -> bool:
    """Whether a group leaves out people of several races; of other attributes a patient has one value."""
    return group.exclusive and any(attribute == RACE for attribute, _ in group.where)


def key_of(group: Group) -> GroupKey:
    """A group as `Estimate.group` writes it, in whatever order its attributes were declared."""
    return is_exclusive(group), tuple(sorted(where_of(group).items()))


FindingKey = tuple[str, GroupKey, str, str | None]
"""Rule, group, outcome and direction: two findings with the same are one."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One thing that a review found. `detail` are the figures behind it, without counts of people."""

    kind: FindingKind
    group: Group
    outcome: str
    direction: Direction | None
    since: date
    what: str
    sure: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    label_mismatch: bool = False

    @property
    def key(self) -> FindingKey:
        """What it is the same as another by."""
        direction = self.direction.value if self.direction else None
        return self.kind.value, key_of(self.group), self.outcome, direction


@dataclass(frozen=True, slots=True)
class Shares:
    """Known of those due (or missing of all), now and in the quarter before, of one group or attribute."""

    group: Group
    known: int
    due: int
    known_before: int
    due_before: int


# Dated reviews ----------------------------------------------------------------------------------------------


def may_miss_more(figures: ServiceFigures, plan: MonitoringPlan) -> bool:
    """Whether any group's sensitivity is low enough at the usual level to be looked at at the review's."""
    return any(_is_lower(one, plan.sensitivity_margin) for one in figures.groups[1:])


def _is_lower(one: GroupFigures, margin: float) -> bool:
    gap = one.of(Measure.SENSITIVITY_GAP)
    return (
        gap is not None
        and gap.value is not None
        and gap.high is not None
        and gap.value <= -margin
        and gap.high < 0
    )


def of_sensitivity(figures: ServiceFigures, plan: MonitoringPlan) -> Iterator[Observed]:
    """Groups of which more cases are missed; `figures` have intervals at the level of this review.

    Without a further sign it is the effect of one threshold on a group at lower risk. The sign is held to the
    same error: more events among the unflagged than predicted, or a lower AUROC.
    """
    for one in figures.groups[1:]:
        gap = one.of(Measure.SENSITIVITY_GAP)
        if gap is None or gap.value is None or not _is_lower(one, plan.sensitivity_margin):
            continue
        sign = _sign(one, plan)
        yield Observed(
            kind=FindingKind.MISSES_MORE if sign else FindingKind.THRESHOLD_EFFECT,
            group=one.group,
            outcome=figures.outcome,
            direction=Direction.MISSES_MORE if sign else None,
            since=figures.as_of,
            what=f"{abs(gap.value) * 100:.0f} in 100 fewer cases found than in others"
            + (
                f", with {sign}"
                if sign
                else "; no sign that this is more than one threshold for unlike risks"
            ),
            sure=_interval(gap),
            detail={"gap": round(gap.value, 3), "sign": sign},
        )


def _sign(one: GroupFigures, plan: MonitoringPlan) -> str | None:
    unflagged, area = one.of(Measure.OE_UNFLAGGED), one.of(Measure.AUROC_GAP)
    match supporting_sign(_figure(unflagged), _figure(area), plan.auroc_margin):
        case Sign.MORE_MISSED if unflagged:
            return f"{unflagged.value:.2f} times the events expected among those not flagged"
        case Sign.LOWER_AUROC if area and area.value:
            return f"an AUROC {abs(area.value):.2f} lower"
    return None


def _figure(one: Measured | None) -> Figure:
    return Figure() if one is None else Figure(one.value, one.low, one.high)


# What is listed and not carded ------------------------------------------------------------------------------


def of_too_good(figures: ServiceFigures, plan: MonitoringPlan) -> Iterator[Observed]:
    """An AUROC that is hardly ever true: the outcome may be known to the score, or be made from it."""
    area = figures.everybody.of(Measure.AUROC)
    if area and area.value is not None and area.low is not None and area.low > plan.too_good:
        yield Observed(
            kind=FindingKind.TOO_GOOD,
            group=EVERYBODY,
            outcome=figures.outcome,
            direction=None,
            since=figures.as_of,
            what=f"an AUROC of {area.value:.3f} is implausibly good: does the score know the outcome?",
            sure=_interval(area),
            detail={"auroc": round(area.value, 3)},
        )


def of_follow_up(
    shares: Iterable[Shares], outcome: str, plan: MonitoringPlan, as_of: date
) -> Iterator[Observed]:
    """Outcomes that stopped coming: of those due fewer are known than a quarter before."""
    kind, words = (
        FindingKind.FOLLOW_UP_FALLING,
        "of outcomes due, {now} are known; in the quarter before {before}",
    )
    return _of_changes(shares, kind, outcome, words, -plan.known_share_fall, as_of)


def of_missing(
    shares: Iterable[Shares], outcome: str, plan: MonitoringPlan, as_of: date
) -> Iterator[Observed]:
    """Attributes of which more and more is missing: figures by group speak of fewer and fewer patients."""
    kind, words = FindingKind.MISSING_RISING, "{now} have no value; in the quarter before {before}"
    return _of_changes(shares, kind, outcome, words, plan.missing_share_rise, as_of)


def _of_changes(
    shares: Iterable[Shares], kind: FindingKind, outcome: str, words: str, margin: float, as_of: date
) -> Iterator[Observed]:
    """Shares that changed by `margin` or more in the direction of its sign, the whole interval with it."""
    way = math.copysign(1, margin)
    for one in shares:
        if one.due <= 0 or one.due_before <= 0:
            continue
        now, before = one.known / one.due, one.known_before / one.due_before
        low, high = newcombe_difference(one.known, one.due, one.known_before, one.due_before)
        change = now - before
        if way * change >= abs(margin) and min(way * low, way * high) > 0:
            yield Observed(
                kind=kind,
                group=one.group,
                outcome=outcome,
                direction=None,
                since=as_of,
                what=words.format(now=f"{now:.0%}", before=f"{before:.0%}"),
                sure=f"change {change:+.0%} ({low:+.0%} to {high:+.0%})",
                detail={"change": round(change, 3)},
            )


def _interval(figure: Measured) -> str:
    if figure.low is None or figure.high is None:
        return "no interval"
    return f"interval {figure.low:.3f} to {figure.high:.3f} at the level {figure.level:.4g}"


# What follows -----------------------------------------------------------------------------------------------


def without_doubles(observed: Iterable[Observed]) -> tuple[Observed, ...]:
    """Each once; a race counted alone or in combination stands for the same race counted alone."""
    found = list(observed)
    wider = {
        (one.kind, one.group.where, one.outcome, one.direction) for one in found if not one.group.exclusive
    }
    return tuple(
        one
        for one in found
        if not one.group.exclusive or (one.kind, one.group.where, one.outcome, one.direction) not in wider
    )


def plan_says(kind: FindingKind, opened_on: date, plan: ResponsePlan) -> str:
    """What was decided ahead about a finding of this kind, in words."""
    monitoring = plan.monitoring
    owner = monitoring.owner or "whoever answers for it (the plan names nobody)"
    due = f"{owner} has until {opened_on + monitoring.act_within}"
    if not kind.carded:
        return f"listed, on no card; {due}"
    if not kind.at_once:
        return f"cards say that it is under review until it is signed; {due}"
    response = plan.respond.get(CaveatLevel.REDUCED, Disposition.ANNOTATE)
    return f"reduced: cards {response.value} at once; anything stronger needs a signature; {due}"


def news(observed: Sequence[Observed], standing: Collection[FindingKey]) -> tuple[Observed, ...]:
    """What is not among the findings that stand."""
    return tuple(one for one in observed if one.key not in standing)


def is_dated(last: date | None, as_of: date, every: timedelta) -> bool:
    """Whether a dated review is due: none was made yet, or the last one is long enough ago."""
    return last is None or as_of - last >= every
