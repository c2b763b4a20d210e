"""What a result from elsewhere says about here: findings before this hospital has results of its own.

What transports from another study is the group's ratio to the rest of that study. With theta its logarithm
and s its standard error, the value here is taken as N(theta, s^2 + tau^2), where tau says how far such
ratios spread between health systems. The group's scores are held to be too low when P(ratio > 1.25) is at
least 0.90, too high when P(ratio < 0.80) is (Debray 2017 BMJ 356:i6460 and 2019 Stat Methods Med Res 28:2768
for the heterogeneity of observed over expected; the cut-offs are conventions that a board may change).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby
from operator import attrgetter
from statistics import NormalDist
from typing import TypeAlias

from cds_wrapper.caveats.combining import Prior, combined
from cds_wrapper.caveats.found import DEFAULT_LIMITS, Direction, Figures, Finding, Limits
from cds_wrapper.caveats.model_card import Estimate, EvidenceSource, IntervalKind, Metric, State

_NORMAL = NormalDist()
_BY_GROUP = attrgetter("group")


@dataclass(frozen=True, slots=True)
class Seen:
    """What this hospital saw of a group and of everybody else: events and expected events of mature episodes.

    All are divided by the design effect. With `adequate` its own results decide alone.
    """

    observed: float
    expected: float
    rest_observed: float
    rest_expected: float
    adequate: bool = False

    def beside(self, study: Transported) -> tuple[float, float] | None:
        """Events and expected events to hold against a study; None where they cannot be.

        What transports relative to the rest of a study is held against the group relative to the rest here.
        """
        if not study.relative:
            return self.observed, self.expected
        if self.rest_observed <= 0 or self.rest_expected <= 0:
            return None
        return self.observed, self.expected * self.rest_observed / self.rest_expected


GroupKey: TypeAlias = tuple[bool, tuple[tuple[str, tuple[str, ...]], ...]]
"""`Estimate.group`: whether it is exclusive, and its levels by attribute, both sorted."""


@dataclass(frozen=True, slots=True)
class Transported:
    """A ratio from elsewhere as it is expected here: logarithm, standard error, spread between places.

    `degrees` are those of the t distribution that several studies are pooled with; None for the normal.
    `relative` says that it is the group's ratio to the rest of its study.
    """

    theta: float
    s: float
    tau: float
    degrees: int | None = None
    relative: bool = False

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

    @property
    def prior(self) -> Prior:
        """What it says of the log ratio here before anything was seen here."""
        return Prior(self.theta, self.spread, self.degrees)

    def beside(self, seen: Seen | None, limits: Limits) -> tuple[float, float]:
        """`p_low` and `p_high` after what was seen here; adequate results stand beside it, not in it."""
        counts = seen.beside(self) if seen and not seen.adequate else None
        if counts is None:
            return self.p_low(limits), self.p_high(limits)
        here = combined(self.prior, *counts)
        return here.above(limits.ratio_too_low), here.below(limits.ratio_too_high)

    def differs_from(self, seen: Seen) -> bool:
        """Whether what was seen here is further from it than chance and the spread between places explain."""
        counts = seen.beside(self)
        if counts is None or min(counts) <= 0:
            return False
        observed, expected = counts
        room = _NORMAL.inv_cdf(0.975) * math.sqrt(self.spread**2 + 1 / observed)
        return abs(math.log(observed / expected) - self.theta) > room

    def _cdf(self, value: float) -> float:
        return _NORMAL.cdf(value) if self.degrees is None else t_cdf(value, self.degrees)


def outside_findings(
    estimates: Iterable[Estimate],
    as_of: date,
    *,
    signed: bool,
    limits: Limits = DEFAULT_LIMITS,
    seen: Mapping[GroupKey, Seen] | None = None,
    standing: Collection[str] = (),
) -> tuple[Finding, ...]:
    """Every finding these figures make, in the order of the card; at most one for each group.

    The figures must already be about the right model, outcome and horizon. Development data never count.
    `seen` is what this hospital saw of a group. A finding that stood in the edition before, made from one of
    the figures `standing`, stands until its probability falls below `standing_probability`.
    """
    usable = [row for row in estimates if usable_for_caution(row, limits)]
    order = {row.id: position for position, row in enumerate(usable)}
    found = [
        _finding(rows, here, as_of, signed, limits, (seen or {}).get(rows[0].group), standing)
        for rows, here in _studied(usable, as_of, limits)
    ]
    kept = sorted((one for one in found if one), key=lambda one: order[one.estimate_ids[0]])
    return tuple(replace(finding, id=f"outside-{number}") for number, finding in enumerate(kept, start=1))


def differing(
    estimates: Iterable[Estimate],
    as_of: date,
    seen: Mapping[GroupKey, Seen],
    limits: Limits = DEFAULT_LIMITS,
) -> frozenset[GroupKey]:
    """The groups whose results here differ from the published ones by more than chance and place explain."""
    usable = [row for row in estimates if usable_for_caution(row, limits)]
    studied = {rows[0].group: here for rows, here in _studied(usable, as_of, limits)}
    return frozenset(
        group for group, here in studied.items() if group in seen and here.differs_from(seen[group])
    )


def _studied(
    usable: Sequence[Estimate], as_of: date, limits: Limits
) -> Iterator[tuple[list[Estimate], Transported]]:
    """The figures of each group, and what they say together; a group whose studies disagree is left out."""
    for _, of_one_group in groupby(sorted(usable, key=_BY_GROUP), key=_BY_GROUP):
        rows = list(of_one_group)
        here = _together([transport(row, as_of, limits) for row in rows], limits)
        if here is not None:
            yield rows, here


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
    return Transported(math.log(row.estimate), s, _tau(row, as_of, limits), relative=row.reference == "rest")


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


def _finding(
    rows: Sequence[Estimate],
    here: Transported,
    as_of: date,
    signed: bool,
    limits: Limits,
    seen: Seen | None,
    standing: Collection[str],
) -> Finding | None:
    p_low, p_high = here.beside(seen, limits)
    stood = any(row.id in standing for row in rows)
    if max(p_low, p_high) < (limits.standing_probability if stood else limits.finding_probability):
        return None
    first = rows[0]
    return Finding(
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
    relative = all(study.relative for study in studies)
    error = 1 / math.sqrt(sum(weights))
    return Transported(_mean(studies, weights), error, tau, len(studies) - 2, relative)


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
