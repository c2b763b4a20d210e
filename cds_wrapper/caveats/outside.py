"""What a result from elsewhere says about here: findings before this hospital has results of its own.

What transports from another study is the group's ratio to the rest of that study. With theta its logarithm
and s its standard error, the value here is taken as N(theta, s^2 + tau^2), where tau says how far such
ratios spread between health systems. The group's scores are held to be too low when P(ratio > 1.25) is at
least 0.90, too high when P(ratio < 0.80) is (Debray 2017 BMJ 356:i6460 and 2019 Stat Methods Med Res 28:2768
for the heterogeneity of observed over expected; the cut-offs are conventions that a board may change).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from itertools import groupby
from operator import attrgetter
from statistics import NormalDist

from cds_wrapper.caveats.model_card import Estimate, EvidenceSource, IntervalKind, Metric, State, Where
from cds_wrapper.errors import WrapperError

_NORMAL = NormalDist()
_BY_GROUP = attrgetter("group")


class UnusableLimits(WrapperError):
    """A cut-off in the plan is unknown or out of range; the message names it."""

    reason = "configuration"


class Direction(enum.Enum):
    """Which way a score errs for a group."""

    MISSES_MORE = "misses_more"
    FALSE_ALARMS_MORE = "false_alarms_more"
    SCORES_TOO_LOW = "scores_too_low"
    SCORES_TOO_HIGH = "scores_too_high"


@dataclass(frozen=True, slots=True)
class Limits:
    """The cut-offs of evidence, all conventions; a plan writes down only those it changes, by name.

    Ratios are observed over expected. `tau_*` are standard deviations of a log ratio between health
    systems. `small_cell` is the smallest count that may be shown; it may be raised, never lowered (CMS
    cell-size policy).
    """

    ratio_too_low: float = 1.25
    ratio_too_high: float = 0.80
    finding_probability: float = 0.90
    tau_rest: float = 0.20
    tau_absolute: float = 0.35
    tau_per_year: float = 0.01
    tau_other_setting: float = 0.10
    usable_events: float = 20
    small_cell: float = 11
    thin_events: float = 20
    adequate_events: float = 100
    adequate_oe_width: float = 1.5
    adequate_auroc_width: float = 0.15
    adequate_unknown_share: float = 0.30
    supported_oe_low: float = 0.67
    supported_oe_high: float = 1.50
    supported_gap: float = -0.10

    @classmethod
    def changed(cls, changes: Mapping[str, float]) -> Limits:
        """The shipped cut-offs with these changes; `UnusableLimits` names one that cannot be."""
        known = {limit.name for limit in fields(cls)}
        for name, value in changes.items():
            if name not in known:
                raise UnusableLimits(f"`limits.{name}` is not a cut-off known here.")
            if not math.isfinite(value) or (value <= 0 and name != "supported_gap"):
                raise UnusableLimits(f"`limits.{name}` must be a number above 0.")
        limits = cls(**changes)
        if limits.small_cell < _SMALLEST_CELL:
            raise UnusableLimits(f"`limits.small_cell` may be raised, not lowered: {_SMALLEST_CELL} or more.")
        if not 0.5 < limits.finding_probability < 1:
            raise UnusableLimits("`limits.finding_probability` lies between 0.5 and 1.")
        return limits


_SMALLEST_CELL = 11
DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Figures:
    """Two whole numbers "in 100": a group's and the others', or predicted and observed."""

    first: int
    second: int


@dataclass(frozen=True, slots=True)
class OutsideFinding:
    """A gap found elsewhere that is likely to hold here, for a group or (an empty `where`) for everybody.

    `p_low` and `p_high` are the probabilities that scores here are too low and too high. `signed` says
    whether the plan lists the card that this comes from. `id` tells nothing about the group: links are made
    from it.
    """

    id: str
    where: Where
    exclusive: bool
    direction: Direction
    source: EvidenceSource
    p_low: float
    p_high: float
    theta: float
    s: float
    tau: float
    since: date
    signed: bool
    estimate_ids: tuple[str, ...]
    figures: Figures | None = None


@dataclass(frozen=True, slots=True)
class Transported:
    """A ratio from elsewhere as it is expected here: logarithm, standard error, spread between places.

    `degrees` are those of the t distribution that several studies are pooled with; None for the normal.
    """

    theta: float
    s: float
    tau: float
    degrees: int | None = None

    def p_low(self, limits: Limits = DEFAULT_LIMITS) -> float:
        """Probability that scores here are too low: that the ratio is above `ratio_too_low`."""
        return self._cdf((self.theta - math.log(limits.ratio_too_low)) / self.spread)

    def p_high(self, limits: Limits = DEFAULT_LIMITS) -> float:
        """Probability that scores here are too high: that the ratio is below `ratio_too_high`."""
        return self._cdf((math.log(limits.ratio_too_high) - self.theta) / self.spread)

    @property
    def spread(self) -> float:
        """Standard deviation of the log ratio here."""
        return math.sqrt(self.s**2 + self.tau**2)

    def _cdf(self, value: float) -> float:
        return _NORMAL.cdf(value) if self.degrees is None else t_cdf(value, self.degrees)


def outside_findings(
    estimates: Iterable[Estimate], as_of: date, *, signed: bool, limits: Limits = DEFAULT_LIMITS
) -> tuple[OutsideFinding, ...]:
    """Every finding these figures make, in the order of the card; at most one for each group.

    The figures must already be about the right model, outcome and horizon. Development data never count.
    """
    usable = [row for row in estimates if usable_for_caution(row, limits)]
    order = {row.id: position for position, row in enumerate(usable)}
    by_group = groupby(sorted(usable, key=_BY_GROUP), key=_BY_GROUP)
    found = [_finding(list(rows), as_of, signed, limits) for _, rows in by_group]
    kept = sorted((one for one in found if one), key=lambda one: order[one.estimate_ids[0]])
    return tuple(replace(finding, id=f"outside-{number}") for number, finding in enumerate(kept, start=1))


def usable_for_caution(row: Estimate, limits: Limits = DEFAULT_LIMITS) -> bool:
    """Whether a figure can make a finding: external, observed over expected, with a spread."""
    return (
        row.state is State.REPORTED
        and row.source is EvidenceSource.EXTERNAL
        and row.metric is Metric.OE_RATIO
        and row.estimate is not None
        and row.estimate > 0
        and standard_error(row, limits) is not None
    )


def transport(row: Estimate, as_of: date, limits: Limits = DEFAULT_LIMITS) -> Transported:
    """One usable figure as it is expected here; years since its data ended are counted to `as_of`."""
    if row.estimate is None or (s := standard_error(row, limits)) is None:
        raise ValueError("Only a figure with a spread can be carried over.")
    return Transported(math.log(row.estimate), s, _tau(row, as_of, limits))


def standard_error(row: Estimate, limits: Limits = DEFAULT_LIMITS) -> float | None:
    """Standard error of the log ratio; None when neither an interval nor enough events are given.

    A spread over studies (an interquartile range) is no interval. Without one, 1/sqrt(events) is taken
    (Poisson).
    """
    if row.ci is None:
        enough = row.positives is not None and row.positives >= limits.usable_events
        return 1 / math.sqrt(row.positives) if enough and row.positives else None
    low, high = row.ci
    if row.interval_kind is IntervalKind.INTERQUARTILE or not 0 < low < high:
        return None
    if row.interval_kind is IntervalKind.ERROR:
        return math.log(high / low) / 2
    return math.log(high / low) / (2 * _NORMAL.inv_cdf((1 + row.level) / 2))


def t_cdf(value: float, degrees: int) -> float:
    """Student's t distribution for whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan2(value, math.sqrt(degrees))
    odd, cosine = degrees % 2, math.cos(angle)
    term, total = cosine if odd else 1.0, 0.0
    for power in range(odd, degrees - 1, 2):
        total += term
        term *= cosine**2 * (power + 1) / (power + 2)
    inside = 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
    return (1 + inside) / 2


def _tau(row: Estimate, as_of: date, limits: Limits) -> float:
    relative = row.reference == "rest" and not row.earlier_version
    years = max(0, as_of.year - row.data_ended) if row.data_ended is not None else 0
    return (
        (limits.tau_rest if relative else limits.tau_absolute)
        + limits.tau_per_year * years
        + (limits.tau_other_setting if row.other_setting else 0)
    )


def _finding(rows: Sequence[Estimate], as_of: date, signed: bool, limits: Limits) -> OutsideFinding | None:
    here = _together([transport(row, as_of, limits) for row in rows], limits)
    if here is None:
        return None
    p_low, p_high = here.p_low(limits), here.p_high(limits)
    if max(p_low, p_high) < limits.finding_probability:
        return None
    first = rows[0]
    return OutsideFinding(
        id="",
        where=first.where,
        exclusive=first.exclusive,
        direction=Direction.SCORES_TOO_LOW if p_low > p_high else Direction.SCORES_TOO_HIGH,
        source=EvidenceSource.EXTERNAL,
        p_low=p_low,
        p_high=p_high,
        theta=here.theta,
        s=here.s,
        tau=here.tau,
        since=as_of,
        signed=signed,
        estimate_ids=tuple(row.id for row in rows),
        figures=figures_of(first, limits) if len(rows) == 1 else None,
    )


def _together(studies: Sequence[Transported], limits: Limits) -> Transported | None:
    """One study as it is; two that agree in direction, the clearer one, else none; three or more pooled."""
    if len(studies) > 2:
        return _pooled(studies)
    if len({study.theta > 0 for study in studies}) > 1:
        return None
    return max(studies, key=lambda study: max(study.p_low(limits), study.p_high(limits)))


def _pooled(studies: Sequence[Transported]) -> Transported:
    """Random effects (DerSimonian and Laird 1986) with a t prediction on k - 2 degrees of freedom.

    The spread is never taken as less than the convention for one study.
    """
    weights = [1 / study.s**2 for study in studies]
    fixed = _mean(studies, weights)
    excess = sum(w * (study.theta - fixed) ** 2 for w, study in zip(weights, studies, strict=True))
    scale = sum(weights) - sum(w**2 for w in weights) / sum(weights)
    estimated = math.sqrt(max(0.0, (excess - len(studies) + 1) / scale))
    tau = max(estimated, *(study.tau for study in studies))
    weights = [1 / (study.s**2 + tau**2) for study in studies]
    return Transported(_mean(studies, weights), 1 / math.sqrt(sum(weights)), tau, len(studies) - 2)


def _mean(studies: Sequence[Transported], weights: Sequence[float]) -> float:
    return sum(w * study.theta for w, study in zip(weights, studies, strict=True)) / sum(weights)


def figures_of(row: Estimate, limits: Limits = DEFAULT_LIMITS) -> Figures | None:
    """Predicted and observed per 100, raw as published; None when they may not be shown.

    Both counts and their complements must reach `small_cell`, and the two numbers must differ once rounded.
    A number below `small_cell` is not shown even per 100: a reader could take it for a count of people.
    """
    if not row.n or row.positives is None or not row.estimate or row.reference == "rest":
        return None
    expected = row.positives / row.estimate
    counts = (row.positives, row.n - row.positives, expected, row.n - expected)
    predicted, observed = round(100 * expected / row.n), round(100 * row.positives / row.n)
    shown = min(*counts, predicted, observed) >= limits.small_cell and predicted != observed
    return Figures(predicted, observed) if shown else None
